"""URLs from outside: read strictly, and led nowhere that the operator did not mean."""

from __future__ import annotations

import pytest

from gateway.errors import DestinationError, SettingsError
from gateway.outward.destinations import Destination, Destinations, NoPublicAddressError

SETTING = "[atp] webhook_hosts"
REFUSED = [
    "http://app.example.com/hook",  # in clear
    "ftp://app.example.com/",
    "https://app.example.com:22/",
    "https://app.example.com:8443/",
    "https://app.example.com:0/",
    "https://app.example.com:65536/",
    "https://app.example.com:/",
    "https://user@app.example.com/",
    "https://app.example.com@127.0.0.1/",
    "https://app.example.com#@127.0.0.1/",
    "https://app.example.com\\@127.0.0.1/",
    "https://app.example.com/\n",
    " https://app.example.com/",
    "https://app.exa mple.com/",
    "https://bücher.example/",
    "https://\uff11\uff12\uff17.0.0.1/",  # full-width digits
    "https://127\u30020\u30020\u30021/",  # ideographic full stops
    "https://%31%32%37.0.0.1/",
    "https://app.example.com./",
    "https://localhost/",
    "https://localhost./",
    "https://intranet/",
    "https://127.0.0.1/",
    "https://127.0.0.1./",
    "https://127.1/",
    "https://0x7f.1/",
    "https://0x7f000001/",
    "https://0177.0.0.1/",
    "https://2130706433/",
    "https://app.example.0x7f/",
    "https://0/",
    "https://10.0.0.1/",
    "https://169.254.169.254/latest/meta-data/",
    "https://[::1]/",
    "https://[::]/",
    "https://[::ffff:127.0.0.1]/",
    "https://[::ffff:7f00:1]/",
    "https://[64:ff9b::7f00:1]/",
    "https://[64:ff9b:1::7f00:1]/",
    "https://[2002:7f00:1::]/",
    "https://[2001:0:4136:e378:8000:63bf:80ff:fffe]/",
    "https://[2606:4700::5efe:7f00:1]/",
    "https://[fe80::1%25eth0]/",
    "https://[fd00:ec2::254]/",
    "https://[ff02::1]/",
    "https://[::1/",
    "https://::1/",
    "https:///hook",
    "https:app.example.com/",
    "//app.example.com/",
    "app.example.com",
    "",
    "https://" + "a." * 130 + "com/",
    "https://app.example.com/" + "a" * 1000,
]


@pytest.mark.parametrize("url", REFUSED)
def test_what_may_lead_elsewhere_is_refused(url):
    with pytest.raises(DestinationError) as refused:
        Destinations(setting=SETTING).read(url)
    assert "127.0.0.1" not in str(refused.value), "an error repeats nothing of what was sent"


@pytest.mark.parametrize(
    ("url", "read"),
    [
        ("https://app.example.com", Destination("https", "app.example.com", 443, "/")),
        ("https://App.Example.com:443/a/b?c=d&e", Destination("https", "app.example.com", 443, "/a/b?c=d&e")),
        ("https://1.1.1.1/hook", Destination("https", "1.1.1.1", 443, "/hook")),
        ("https://[2606:4700:4700:0::1111]/", Destination("https", "2606:4700:4700::1111", 443, "/")),
        ("https://xn--bcher-kva.example/", Destination("https", "xn--bcher-kva.example", 443, "/")),
    ],
)
def test_a_public_https_url_is_read_and_written_from_its_parts(url, read):
    destinations = Destinations(setting=SETTING)

    assert destinations.read(url) == read
    assert destinations.read(read.url) == read


@pytest.mark.parametrize(
    "url",
    [
        "http://hooks.internal/",
        "https://hooks.internal/",
        "http://127.0.0.1:9000/",
        "https://127.0.0.1:9000/",
        "http://[::1]:9000/x",
        "https://app.example.com:8443/",
        "http://10.0.0.7/",
    ],
)
def test_the_operator_may_allow_hosts(url):
    allowed = ["hooks.internal", "127.0.0.1:9000", "[::1]:9000", "app.example.com:8443", "10.0.0.7"]

    assert Destinations(allowed, setting=SETTING).read(url).url == url


@pytest.mark.parametrize("url", ["http://hooks.internal:8080/", "https://127.0.0.1/", "http://[::1]/", "http://a.b/"])
def test_what_was_allowed_is_that_host_and_port_alone(url):
    allowed = ["hooks.internal", "127.0.0.1:9000", "[::1]:9000"]

    with pytest.raises(DestinationError, match=r"operator add its host.*\[atp\] webhook_hosts"):
        Destinations(allowed, setting=SETTING).read(url)


@pytest.mark.parametrize("entry", ["", "https://hooks.internal", "a b", "user@host", "host:99999", "0x7f.1", "*"])
def test_an_allowed_host_that_cannot_be_read_stops_the_start(entry):
    with pytest.raises(SettingsError, match=r"\[atp\] webhook_hosts"):
        Destinations([entry], setting=SETTING)


async def test_one_address_that_is_not_public_makes_a_name_unusable():
    async def resolve(host: str, port: int) -> list[str]:
        return {"good.example": ["1.1.1.1", "2606:4700:4700::1111"], "mixed.example": ["1.1.1.1", "::1"]}.get(host, [])

    destinations = Destinations(["inside.example"], setting=SETTING, resolve=resolve)

    assert await destinations.addresses("good.example", 443) == ["1.1.1.1", "2606:4700:4700::1111"]
    for host in ("mixed.example", "nowhere.example", "inside.example"):
        with pytest.raises(NoPublicAddressError, match=r"^no public address$"):
            await destinations.addresses(host, 443)


async def test_the_systems_resolver_is_asked_where_none_is_given():
    destinations = Destinations(["localhost:9000"], setting=SETTING)

    assert set(await destinations.addresses("localhost", 9000)) <= {"127.0.0.1", "::1"}
    with pytest.raises(NoPublicAddressError):
        await destinations.addresses("localhost", 9001)
    for spelled in ("127.1", "0x7f.1", "2130706433", "0177.0.0.1", "x" * 70 + ".example"):
        with pytest.raises(NoPublicAddressError):
            await destinations.addresses(spelled, 443)

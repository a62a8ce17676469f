"""Where people may be sent back to, and the many ways to be sent elsewhere."""

from __future__ import annotations

import pytest

from gateway.errors import SettingsError
from gateway.surfaces.atp.return_urls import ReturnUrls

ALLOWED = ["https://app.example.com/oauth/", "https://other.example:8443/"]


@pytest.mark.parametrize(
    "url",
    [
        "https://app.example.com/oauth/",
        "https://app.example.com/oauth/done?x=1&y=%2F",
        "https://other.example:8443/",
        "https://other.example:8443",
    ],
)
def test_a_url_below_an_allowed_one_is_kept(url: str) -> None:
    kept = ReturnUrls(ALLOWED).find(url)

    assert kept is not None
    assert kept.startswith(tuple(ALLOWED))


def test_a_host_in_capitals_and_the_default_port_are_the_same_place() -> None:
    assert ReturnUrls(ALLOWED).find("HTTPS://APP.example.com:443/oauth/x") == "https://app.example.com:443/oauth/x"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "/oauth/",
        "//evil.example/oauth/",
        "/\\evil.example",
        "https:evil.example",
        "https:/evil.example",
        "https:///app.example.com/oauth/",
        "\t//evil.example",
        "%09//evil.example",
        "https://app.example.com@evil.example/oauth/",
        "https://evil@app.example.com/oauth/",
        "https://app.example.com.evil.example/oauth/",
        "https://evil.example/app.example.com/oauth/",
        "https://app.example.com\\.evil.example/oauth/",
        "https://app.example.com/oauth",
        "https://app.example.com/oauthx/",
        "https://app.example.com/OAUTH/",
        "https://app.example.com/oauth/../evil",
        "https://app.example.com/oauth/%2e%2e/evil",
        "https://app.example.com/oauth/%2E%2e%2fevil",
        "https://app.example.com/oauth/..%5cevil",
        "https://app.example.com:8443/oauth/",
        "https://app.example.com:bad/oauth/",
        "https://app.example.com/oauth/#x",
        "https://app.example.com/oauth/ x",
        "https://app.example.com/oauth/\r\nLocation: https://evil.example",
        "https://app.ex\u0430mple.com/oauth/",
        "https://[::1/oauth/",
        "http://app.example.com/oauth/",
        "http://127.0.0.1:5000/oauth/",
        "javascript:alert(1)",
        "data:text/html,x",
        "https://app.example.com/oauth/" + "x" * 2000,
    ],
)
def test_anything_else_is_not(url: str) -> None:
    assert ReturnUrls(ALLOWED).find(url) is None


@pytest.mark.parametrize("url", ["http://127.0.0.1:5000/cb", "http://localhost/cb?x=1", "http://[::1]:9/"])
def test_the_persons_own_machine_is_let_through_where_that_is_asked_for(url: str) -> None:
    assert ReturnUrls(loopback=True).find(url) == url
    assert ReturnUrls().find(url) is None


@pytest.mark.parametrize("url", ["http://127.0.0.1.evil.example/", "http://127.0.0.1@evil.example/", "http://127.1/"])
def test_what_only_looks_like_the_persons_own_machine_is_not(url: str) -> None:
    assert ReturnUrls(loopback=True).find(url) is None


@pytest.mark.parametrize(
    "entry", ["https://app.example.com/oauth", "http://app.example.com/", "app.example.com/", "https://a.example/?x=/"]
)
def test_an_entry_that_would_let_too_much_through_is_refused(entry: str) -> None:
    with pytest.raises(SettingsError, match="ends in /"):
        ReturnUrls([entry])

"""What a key may be called, and what may be granted to it."""

from __future__ import annotations

import pytest

from gateway.access.key_rules import Rights, name_for, tenant_called
from gateway.errors import KeyChangeError
from gateway.key_types import KeyKind

APP, TOOLKIT, ADMIN = KeyKind.APP, KeyKind.TOOLKIT, KeyKind.ADMIN


@pytest.mark.parametrize("name", ["crm", "CRM-2", "a", "my.toolkit_v2", "9lives", "x" * 64])
def test_a_toolkit_may_be_called_what_fits_into_a_path(name: str) -> None:
    assert name_for(TOOLKIT, name) == tenant_called(name) == name


@pytest.mark.parametrize("name", ["", "a b", "a/b", "..", ".a", "-a", "a%2f", "ä", "a\n", "x" * 65, "a:b", "a?b"])
def test_a_toolkit_may_not_be_called_anything_else(name: str) -> None:
    for check in (tenant_called, lambda name: name_for(TOOLKIT, name)):
        with pytest.raises(KeyChangeError, match="letters, digits"):
            check(name)


@pytest.mark.parametrize("name", ["Notes", "Acme's Notes & Co.", "Заметки", "メモ帳", "नोट्स", "9 to 5", "x" * 64])
@pytest.mark.parametrize("kind", [APP, ADMIN])
def test_an_app_may_be_called_what_people_can_read(kind: KeyKind, name: str) -> None:
    assert name_for(kind, name) == name


DECEITFUL = """a\tb a\nb a\u200bb a\u202eb a\0b \udc80 ﬁnance <b> a:b a\u3164b a\u115fb a\u00a0b -rf 'x \u0301a 🜁"""


@pytest.mark.parametrize("name", ["", " ", " Notes", "Notes ", "a  b", "a\tb", "a\nb", "x" * 65, *DECEITFUL.split(" ")])
def test_an_app_may_not_be_called_what_deceives_the_eye(name: str) -> None:
    with pytest.raises(KeyChangeError, match="begins with a letter or digit"):
        name_for(APP, name)


@pytest.mark.parametrize(
    ("kind", "rights"),
    [
        (APP, Rights(providers=("hubspot",))),
        (ADMIN, Rights(providers=("hubspot",))),
        (TOOLKIT, Rights(may=("call",))),
        (TOOLKIT, Rights(toolkits=("crm",))),
        (ADMIN, Rights(return_urls=("https://a.example/",))),
    ],
)
def test_what_is_not_for_a_kind_of_key_is_refused(kind: KeyKind, rights: Rights) -> None:
    with pytest.raises(KeyChangeError, match="granted to"):
        rights.checked(kind)


@pytest.mark.parametrize(
    ("rights", "said"),
    [
        (Rights(may=("fly",)), "call, connect or tokens; there is no 'fly'"),
        (Rights(may=("",)), "there is no ''"),
        (Rights(toolkits=("a\nb",)), "A toolkit is written"),
        (Rights(toolkits=("**",)), "A toolkit is written"),
        (Rights(return_urls=("app.example.com",)), "written in full"),
    ],
)
def test_what_cannot_be_granted_is_refused_with_what_can(rights: Rights, said: str) -> None:
    with pytest.raises(KeyChangeError, match=said):
        rights.checked(APP)


@pytest.mark.parametrize(
    "url",
    [
        "https://app.example.com/connected",
        "https://app.example.com",
        "https://app.example.com:8443/a?b=c&d=%20",
        "http://127.0.0.1:5000/back",
        "http://localhost/back",
        "http://[::1]:9/",
    ],
)
def test_a_return_url_is_kept_to_the_letter(url: str) -> None:
    assert Rights(return_urls=(url,)).checked(APP).return_urls == (url,)


MISREAD = [
    *("/back", "//evil.example/", "/\\evil.example", "https:evil.example", "https:/evil.example", "https:///x"),
    *("http://app.example.com/", "https://a@app.example.com/", "https://app.example.com\\.evil.example/"),
    *("https://app.example.com/#x", "https://app.example.com/#", "https://app.example.com:bad/", "https://[::1/"),
    *("javascript:alert(1)", "data:text/html,x", "https://exämple.com/", "http://127.0.0.1.evil.example/"),
]
INJECTED = [
    "",
    "https://app.example.com/ x",
    "https://app.example.com/\r\nLocation: x",
    f"https://a.example/{2000 * 'x'}",
]


@pytest.mark.parametrize("url", [*MISREAD, *INJECTED])
def test_what_a_browser_could_read_otherwise_is_no_return_url(url: str) -> None:
    with pytest.raises(KeyChangeError, match="written in full"):
        Rights(return_urls=(url,)).checked(APP)

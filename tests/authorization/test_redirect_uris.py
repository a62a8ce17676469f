"""Which redirect URIs may be registered, and which a request may then name."""

from __future__ import annotations

import pytest

from gateway.authorization.redirect_uris import Place, PlaceKind, matches, may_be_registered, place_of

SITE = "https://app.example/callback"

MATCHING = [
    # registered, sent, whether it is the same
    (SITE, SITE, True),
    (SITE, "https://app.example/callback/", False),
    (SITE, "https://app.example/callback?x=1", False),
    (SITE, "https://app.example/callback#", False),
    (SITE, "https://app.example/callback#f", False),
    (SITE, "https://app.example/Callback", False),
    (SITE, "https://APP.example/callback", False),
    (SITE, "HTTPS://app.example/callback", False),
    (SITE, "http://app.example/callback", False),
    (SITE, "https://app.example:443/callback", False),
    (SITE, "https://app.example:8443/callback", False),
    (SITE, "https://app.example./callback", False),
    (SITE, "https://app.example.evil.example/callback", False),
    (SITE, "https://evil-app.example/callback", False),
    (SITE, "https://app.example@evil.example/callback", False),
    (SITE, "https://user@app.example/callback", False),
    (SITE, "https://app.example/callback/../evil", False),
    (SITE, "https://app.example/callback/%2e%2e/evil", False),
    (SITE, "https://app.example/%63allback", False),
    (SITE, "https://app.example//callback", False),
    (SITE, "https://app.example\\@evil.example/callback", False),
    (SITE, "https://app.example/callback%00", False),
    (SITE, " https://app.example/callback", False),
    (SITE, "https://app.example/callback\n", False),
    (SITE, "https://\u0430\u0440\u0440.example/callback", False),
    (SITE, "//app.example/callback", False),
    (SITE, "", False),
    ("http://localhost/callback", "http://localhost:52771/callback", True),
    ("http://localhost:3118/callback", "http://localhost:52771/callback", True),
    ("http://localhost:3118/callback", "http://localhost/callback", True),
    ("http://127.0.0.1/", "http://127.0.0.1:1/", True),
    ("http://[::1]:80/cb", "http://[::1]:65535/cb", True),
    ("http://127.0.0.1:33418", "http://127.0.0.1:59656", True),
    ("http://127.0.0.1/cb?a=1", "http://127.0.0.1:9/cb?a=1", True),
    ("http://127.0.0.1/cb?a=1", "http://127.0.0.1:9/cb?a=2", False),
    ("http://127.0.0.1:33418", "http://127.0.0.1:59656/", False),
    ("http://localhost/callback", "http://127.0.0.1/callback", False),
    ("http://localhost/callback", "http://localhost:65536/callback", False),
    ("http://localhost/callback", "http://localhost:0/callback", False),
    ("http://localhost/callback", "http://localhost:080/callback", False),
    ("http://localhost/callback", "http://localhost:/callback", False),
    ("http://localhost/callback", "http://localhost:1@evil.example/callback", False),
    ("http://localhost/callback", "http://localhost.evil.example:1/callback", False),
    ("http://localhost/callback", "https://localhost:1/callback", False),
    ("http://localhost/callback", "http://LOCALHOST:1/callback", False),
    ("http://localhost/callback", "http://localhost:1/callback#x", False),
    ("http://127.0.0.1/cb", "http://127.0.0.2/cb", False),
    ("http://127.0.0.1/cb", "http://0x7f.1/cb", False),
    ("http://127.0.0.1/cb", "http://2130706433/cb", False),
    ("https://localhost:8443/cb", "https://localhost:9443/cb", False),
    ("cursor://anysphere.cursor-mcp/oauth/callback", "cursor://anysphere.cursor-mcp/oauth/callback", True),
    ("cursor://anysphere.cursor-mcp/oauth/callback", "cursor://evil/oauth/callback", False),
    ("com.example.app:/callback", "com.example.app:/callback", True),
    ("com.example.app:/callback", "com.example.app://callback", False),
]


@pytest.mark.parametrize(("registered", "sent", "same"), MATCHING)
def test_a_redirect_uri_is_the_registered_one_to_the_letter_but_for_a_port_on_loopback(
    registered: str, sent: str, same: bool
) -> None:
    assert may_be_registered(registered)
    assert matches(("https://other.example/", registered), sent) == same


@pytest.mark.parametrize(
    "uri",
    [
        "http://app.example/callback",
        "http://192.168.1.10/callback",
        "http://127.0.0.1.evil.example/callback",
        "http://127.0.0.1@evil.example/callback",
        "http://localhost:99999/callback",
        "http://[::1/callback",
        "https://",
        "https:///callback",
        "https:app.example/callback",
        "https://app.example/callback#fragment",
        "https://user:password@app.example/callback",
        "https://app.example\\evil.example/",
        "https://app.example:99999/",
        "https://app.example:port/",
        "https://.app.example/",
        "https://app..example/",
        "https://app.example./",
        "https://\u0430\u0440\u0440.example/",
        "https://app%2eexample/",
        "HTTPS://app.example/callback",
        "javascript:alert(1)",
        "javascript://app.example/%0aalert(1)",
        "data:text/html,<script>alert(1)</script>",
        "vbscript:msgbox",
        "file:///etc/passwd",
        "blob:https://app.example/1",
        "about:blank",
        "ftp://app.example/callback",
        "ws://app.example/callback",
        "intent://scan/#Intent;scheme=zxing;end",
        "ms-msdt:/id",
        "search-ms:/query",
        "tel:/+1",
        "urn:ietf:wg:oauth:2.0:oob",
        "unknown-app://callback",
        "/callback",
        "callback",
        "",
        "https://app.example/" + "a" * 2000,
        "https://app.example/\x00",
        "https://app.example/a b",
        None,
        7,
        ["https://app.example/callback"],
    ],
)
def test_what_is_no_place_for_a_code_is_not_registered(uri: object) -> None:
    assert not may_be_registered(uri)


@pytest.mark.parametrize(
    ("uri", "place"),
    [
        ("https://claude.ai/api/mcp/auth_callback", Place(PlaceKind.SITE, "claude.ai")),
        ("https://app.example:8443/cb", Place(PlaceKind.SITE, "app.example:8443")),
        ("https://[2001:db8::1]/cb", Place(PlaceKind.SITE, "[2001:db8::1]")),
        ("http://localhost:52771/callback", Place(PlaceKind.DEVICE, "localhost:52771")),
        ("http://[::1]:9/", Place(PlaceKind.DEVICE, "[::1]:9")),
        ("cursor://anysphere.cursor-mcp/oauth/callback", Place(PlaceKind.APP, "Cursor")),
        ("com.example.app:/callback", Place(PlaceKind.APP, "com.example.app")),
    ],
)
def test_a_person_reads_where_an_answer_goes(uri: str, place: Place) -> None:
    assert may_be_registered(uri)
    assert place_of(uri) == place

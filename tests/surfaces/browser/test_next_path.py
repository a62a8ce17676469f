"""After signing in one goes on to a page of ours, whatever the address of the sign-in page says."""

from __future__ import annotations

import pytest

from gateway.surfaces.browser.next_path import LONGEST, path_of_ours

TRICKS = [
    None,
    7,
    "",
    "connections",
    "https://evil.example",
    "http:/evil.example",
    "https:evil.example",
    "//evil.example",
    "///evil.example",
    "////evil.example/..",
    "/\\evil.example",
    "\\\\evil.example",
    "/\\/evil.example",
    "\\/evil.example",
    "/\t/evil.example",
    "\t//evil.example",
    " //evil.example",
    "/\n/evil.example",
    "/\r\nLocation: https://evil.example",
    "/%0d%0a\r\nx: y",
    "/x\x00",
    "javascript:alert(1)",
    "/javascript:alert(1)\n",
    "data:text/html,x",
    "@evil.example",
    ".evil.example",
    "/..//evil.example",
    "/.//evil.example",
    "/x//evil.example",
    "/x#//evil.example",
    "/x?a#b",
    "/x?a\\b",
    "/x?a b",
    "/<script>",
    '/x"onload="x',
    "/x%zz",
    "/\u2044evil.example",
    "/\uff0fevil.example",
    "/caf\u00e9",
    "?next=/x",
    "#x",
    "/login",
    "/login?next=/login",
    "/login/callback?code=x",
    "/logout",
    "/invitation/code",
    "/x" * LONGEST,
]


@pytest.mark.parametrize("trick", TRICKS)
def test_what_is_no_path_of_ours_leads_to_the_front_page(trick: object) -> None:
    assert path_of_ours(trick) == "/"


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/connections",
        "/connect/abc_DEF-123",
        "/loginx",
        "/a/b?c=d&e=%2F%2Fevil.example",
        "/authorize?response_type=code&redirect_uri=http%3A%2F%2F127.0.0.1%3A49152%2Fcallback&state=a//b",
    ],
)
def test_a_path_of_ours_passes_as_it_is(path: str) -> None:
    assert path_of_ours(path) == path

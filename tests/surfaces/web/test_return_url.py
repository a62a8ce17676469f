"""Open redirects: what is followed, and what is not."""

from __future__ import annotations

import pytest

from gateway.surfaces.web.return_url import return_location
from gateway.types import FlowStatus


@pytest.mark.parametrize(
    ("url", "location"),
    [
        ("https://app.example.com", "https://app.example.com/?status=connected"),
        ("https://app.example.com/a/b?x=1#part", "https://app.example.com/a/b?x=1&status=connected"),
        ("https://app.example.com/?status=failed&y=", "https://app.example.com/?y=&status=connected"),
        ("http://localhost:3000/back", "http://localhost:3000/back?status=connected"),
        ("http://[::1]:3000/back", "http://[::1]:3000/back?status=connected"),
        ("HTTPS://APP.example.com/%41", "https://app.example.com/%41?status=connected"),
    ],
)
def test_an_ordinary_url_is_put_together_anew(url: str, location: str) -> None:
    assert return_location(url, FlowStatus.CONNECTED) == location


def test_the_connection_is_named_where_there_is_one_and_nothing_of_ours_can_be_forged() -> None:
    url = "https://app.example.com/?connection_id=forged&status=forged&connection_id=again"

    assert return_location(url, FlowStatus.CONNECTED, "c1") == (
        "https://app.example.com/?status=connected&connection_id=c1"
    )
    assert return_location(url, FlowStatus.DECLINED) == "https://app.example.com/?status=declined"


@pytest.mark.parametrize(
    "url",
    [
        None,
        "",
        "/back",
        "//evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "https:evil.example",
        "https:/evil.example",
        "https:///evil.example",
        "https://",
        "https://app.example.com@evil.example",
        "https://user:pass@app.example.com",
        "https://@app.example.com",
        "https://app.example.com\\@evil.example",
        "https://evil.example\\.app.example.com",
        "https://app.example.com:99999",
        "https://app.example.com:x",
        "https://app.example.com /",
        "https://app.example.com/\r\nset-cookie: a=b",
        "ht\ttps://evil.example",
        "\thttps://evil.example",
        " https://evil.example",
        "https://evil.example\x00",
        "https://ev%69l.example",
        "https://évil.example",
        "https://[::1",
        "https://[vF.x]/",
        "javascript:alert(1)",
        "javascript://app.example.com/%0aalert(1)",
        "JAVASCRIPT:alert(1)",
        "data:text/html,x",
        "file:///etc/passwd",
        "ftp://app.example.com",
        "view-source:https://app.example.com",
    ],
)
def test_anything_else_leads_nowhere(url: str | None) -> None:
    assert return_location(url, FlowStatus.CONNECTED) is None

"""Sends the browser back to the app that began a flow, with the outcome and nothing else: never a token.

The URL was checked when the flow was made; it is checked again here, because this is where it counts, and the result
is put together anew from its parts: what we do not understand does not pass through.

Source: RFC 9700 section 4.11 (open redirection), WHATWG URL (what browsers make of `\\` and tabs).
"""

from __future__ import annotations

import re
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from gateway.types import FlowStatus

_PLAIN = re.compile(r"[\x21-\x5b\x5d-\x7e]+")  # ASCII without blanks, controls and the backslash
_OURS = ("status", "connection_id")
_AUTHORITY = re.compile(r"([a-z0-9]([a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:.]+\])(:[0-9]{1,5})?")


def return_location(url: str | None, status: FlowStatus, connection_id: str | None = None) -> str | None:
    """Where to go, with `status` in the query, and `connection_id` where there is one.

    None if there is nowhere to go, or it cannot be trusted.
    """
    if url is None or not _PLAIN.fullmatch(url):
        return None
    try:
        parts = urlsplit(url)
        has_port_zero = parts.port == 0  # a port out of range is a ValueError
    except ValueError:
        return None
    authority = parts.netloc.lower()
    if parts.scheme not in ("http", "https") or has_port_zero or not _AUTHORITY.fullmatch(authority):
        return None
    outcome = {"status": status.value} | ({"connection_id": connection_id} if connection_id else {})
    query = [pair for pair in parse_qsl(parts.query, keep_blank_values=True) if pair[0] not in _OURS]
    path = quote(parts.path or "/", safe="/%:@!$&'()*+,;=~-._")
    return f"{parts.scheme}://{authority}{path}?{urlencode([*query, *outcome.items()])}"

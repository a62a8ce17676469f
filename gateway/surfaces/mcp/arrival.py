"""An HTTP request whose headers are decoded once, however many of them somebody looks at.

Above: http, exchange, sessions.
"""

from __future__ import annotations

from functools import cached_property

from mcp.server.streamable_http import check_accept_headers
from starlette.requests import Request

_USUAL_ACCEPT = "application/json, text/event-stream"


class Arrival(Request):
    """Starlette's request; `fields` and `field_lines` (RFC 9110 section 5.2) are its headers as plain values."""

    @cached_property
    def field_lines(self) -> list[tuple[str, str]]:
        """Names in lower case, and values, as they arrived."""
        return self.headers.items()

    @cached_property
    def fields(self) -> dict[str, str]:
        """By lower-case name; the last one where there are several."""
        return dict(self.field_lines)

    @property
    def has_repeated_fields(self) -> bool:
        return len(self.fields) != len(self.field_lines)

    @property
    def accepts(self) -> tuple[bool, bool]:
        """Whether the host takes JSON, and whether it takes event streams."""
        return (True, True) if self.fields.get("accept") == _USUAL_ACCEPT else check_accept_headers(self)

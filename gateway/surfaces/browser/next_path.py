"""Where somebody goes on after signing in: a path of ours, or the front page.

It comes from an address that anybody can have made up. So it is a path and a query in plain characters, and nothing
that a browser would read as another host or scheme: what we do not understand does not pass through.

Source: RFC 9700 section 4.11 (open redirection), WHATWG URL (what browsers make of `\\`, tabs and `//`).
"""

from __future__ import annotations

import re

LONGEST = 16 << 10  # characters
FRONT = "/"
_OURS = re.compile(r"/(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2}|/(?!/))*(?:\?[\x21-\x5b\x5d-\x7e]*)?")
_NOWHERE = re.compile(r"/(?:login|logout|invitation|static)(?:[/?]|$)")
"""Pages that one is not led to after signing in: it would go round in circles."""


def path_of_ours(text: object) -> str:
    """The path if it is one of ours, else the front page's."""
    if not isinstance(text, str) or len(text) > LONGEST or not _OURS.fullmatch(text):
        return FRONT
    if text.startswith("//") or "#" in text or _NOWHERE.match(text):
        return FRONT
    return text

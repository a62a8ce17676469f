"""The readable parts of a signed token, read strictly. Nothing here has been verified.

Above: signature, access, authorization. Source: RFC 7515 section 3.1; RFC 8725 section 3.1.
"""

from __future__ import annotations

import binascii
import json
from base64 import urlsafe_b64decode
from typing import Any


def header_of(token: str) -> dict[str, Any] | None:
    """The header as a JSON object; None where it is none, or says something twice."""
    return _json(token.partition(".")[0])


def claims_of(token: str) -> dict[str, Any] | None:
    """The claims as a JSON object; None where they are none, or say something twice."""
    parts = token.split(".")
    return _json(parts[1]) if len(parts) == 3 else None


def _json(part: str) -> dict[str, Any] | None:
    try:
        text = urlsafe_b64decode(part + "=" * (-len(part) % 4)).decode()
        found = json.loads(text, object_pairs_hook=_once_each)
    except (binascii.Error, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice")
    return found

"""Reads what an app sends, and refuses what cannot be meant. Nothing here knows what a message is for.

A `RefusalError` is an answer: `endpoint` turns it into its HTTP status, `tasks` into a failed task, `app_socket` into
a message.
"""

from __future__ import annotations

import json
import unicodedata
from dataclasses import dataclass
from typing import Any, NoReturn
from urllib.parse import unquote

from starlette.requests import Request

LARGEST_BODY = 1 << 20  # bytes
LONGEST_USER_ID = 255  # characters


class RefusalError(Exception):
    """A request that is not served: `status` is HTTP's, `code` is for scripts, the text says what to do."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


async def json_object(request: Request, limit: int = LARGEST_BODY) -> dict[str, Any]:
    """The request's body, a JSON object of at most `limit` bytes."""
    raw = bytearray()
    async for chunk in request.stream():
        raw += chunk
        if len(raw) > limit:
            raise RefusalError(413, "too_large", f"The request is larger than {limit} bytes. Send less.")
    return object_in(raw, "The request's body")


def object_in(raw: str | bytes | bytearray, called: str) -> dict[str, Any]:
    """The JSON object that `raw` is; `called` is what to name it in a refusal."""
    try:
        found = json.loads(raw, parse_constant=_refuse_constant, object_pairs_hook=_each_key_once)
        json.dumps(found, ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, RecursionError):  # not JSON, not UTF-8, half a surrogate pair, 1e999, nested too deep
        raise RefusalError(
            400, "invalid_request", f"{called} is not JSON. Send a JSON object, each key in it once."
        ) from None
    if not isinstance(found, dict):
        raise RefusalError(400, "invalid_request", f"{called} is not a JSON object. Send one.")
    return found


def optional_text(body: dict[str, Any], name: str) -> str | None:
    """A field that may be missing, null or empty: all three are None."""
    value = body.get(name)
    if value is not None and not isinstance(value, str):
        raise RefusalError(400, "invalid_request", f"{name} is not a string. Send a string, or leave it out.")
    return value or None


def text(body: dict[str, Any], name: str) -> str:
    value = optional_text(body, name)
    if value is None:
        raise RefusalError(400, "invalid_request", f"{name} is missing. Send it as a string.")
    return value


def external_user_id(value: Any) -> str:
    """The app's id for a person. Any text that can be typed on one line, and numbers, for ids often are some."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or not value.strip() or len(value) > LONGEST_USER_ID or _has_controls(value):
        raise RefusalError(
            400,
            "invalid_request",
            f"external_user_id must be a string of 1 to {LONGEST_USER_ID} characters on one line: your own, lasting "
            "id of the person.",
        )
    return value


def user_in_path(request: Request) -> str:
    """The app's id for a person where it ends a path, just as the SDK put it there: not percent-encoded.

    A `/` in it is more path, and a `?` begins what HTTP takes for a query. A `#` ends the path, and what is left would
    be somebody else's id: that the closing slash went with it gives it away.
    """
    query = request.scope["query_string"]
    tail = request.path_params["user"] + (f"?{unquote(query.decode('latin-1'))}" if query else "")
    if not tail.endswith("/"):
        raise RefusalError(
            400,
            "invalid_request",
            "The path does not end in /. Percent-encode the external_user_id: a # in it cuts off the rest.",
        )
    return external_user_id(tail[:-1])


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a list, as an app asks for it: the `number`th, from 1, of so many things each."""

    number: int
    size: int

    @property
    def skipped(self) -> int:
        return (self.number - 1) * self.size


def page_asked(request: Request) -> Page | None:
    """The page in the query; None where the app asks for none, and gets all."""
    asked = request.query_params
    if "page" not in asked and "page_size" not in asked:
        return None
    return Page(_counted(asked.get("page", "1"), "page"), min(_counted(asked.get("page_size", "10"), "page_size"), 100))


def _counted(written: str, name: str) -> int:
    if not written.isascii() or not written.isdecimal() or len(written) > 6 or int(written) == 0:
        raise RefusalError(400, "invalid_request", f"{name} must be a whole number from 1 on.")
    return int(written)


def _has_controls(value: str) -> bool:
    return any(unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") for character in value)


def _each_key_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """What one parser takes for one thing and another for something else is refused (RFC 8259 section 4)."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice")
    return found


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")

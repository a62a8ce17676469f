"""What a tool returned, as a ToolResult: content for the host to show, and the JSON value behind it.

Any JSON value, or what `json_value` makes one, is structured and also sent as text; a plain string is its own text.
Content (`Text`, `Image` …, or the classes of the MCP SDK) is sent as content, alone or in a list with other values. A
`ToolResult` is taken as it is. Then the call's token is blotted out of all of it.

Below: `content`, `json_value`, `gateway.redaction`. Above: the executor.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from gateway.errors import InvalidResultError
from gateway.redaction import Redactor
from gateway.toolkit.content import Audio, Content, EmbeddedResource, Image, ResourceLink, Text, ToolResult
from gateway.toolkit.json_value import HALF_A_CHARACTER, compact, encode, too_large

RESULT_LIMIT = 1 << 20
"""The largest result that leaves, in bytes of JSON, unless whoever runs the tool says otherwise."""

_NOTHING = ToolResult((), None, has_structured=True)
_CONTENT = (Text, Image, Audio, ResourceLink, EmbeddedResource)


def to_result(value: Any, limit: int) -> ToolResult:
    """What a tool's return value is sent as. `limit` is in bytes of JSON, roughly: base64 counts, field names do not.

    InvalidResultError for what cannot be sent: it says what is wrong, and where.
    """
    if value is None:
        return _NOTHING
    if isinstance(value, str):
        text = _text(value, "the result", limit)
        return ToolResult((Text(text),), text, has_structured=True)
    if isinstance(value, ToolResult):
        return _finished(value, limit)
    if (content := _as_content(value)) is not None:
        return ToolResult(_checked((content,), limit))
    if isinstance(value, list | tuple) and any(map(_is_content, {type(part): part for part in value}.values())):
        return ToolResult(_checked(tuple(_block(part, limit) for part in value), limit))
    text, read = encode(value, limit)
    return ToolResult((Text(text),), read, has_structured=True)


def redact_result(result: ToolResult, redactor: Redactor) -> ToolResult:
    """The result without any of the redactor's secrets: in text, JSON keys and values, addresses and binary data.

    Costs a few plain searches where there is none.
    """
    if not any(map(redactor.finds, _searched(result))):
        return result
    structured = redactor.redact_json(result.structured)
    if not isinstance(structured, str) and result.content == (Text(compact(result.structured)),):
        return replace(result, content=(Text(compact(structured)),), structured=structured)
    content = tuple(_redact_content(block, redactor) for block in result.content)
    return replace(result, content=_unsplit(content, redactor), structured=structured)


def _finished(result: ToolResult, limit: int) -> ToolResult:
    content = _checked(tuple(result.content), limit)
    if not result.has_structured:
        return replace(result, content=content)
    return replace(result, content=content, structured=encode(result.structured, limit)[1])


def _block(part: Any, limit: int) -> Content:
    """One member of a list that mixes content with other values."""
    if (content := _as_content(part)) is not None:
        return content
    return Text(part if isinstance(part, str) else encode(part, limit)[0])


def _is_content(value: Any) -> bool:
    return isinstance(value, _CONTENT) or _foreign(value) is not None


def _as_content(value: Any) -> Content | None:
    if isinstance(value, _CONTENT):
        return value
    convert = _foreign(value)
    if convert is None:
        return None
    try:
        return convert(value)
    except (AttributeError, TypeError, binascii.Error):
        kind = type(value).__name__
        raise InvalidResultError(f"The tool's result cannot be sent: a {kind} in it is not complete.") from None


_FOREIGN: dict[str, Callable[[Any], Content]] = {
    "TextContent": lambda it: Text(it.text),
    "ImageContent": lambda it: Image(_decoded(it.data), _mime_type(it) or "image/png"),
    "AudioContent": lambda it: Audio(_decoded(it.data), _mime_type(it) or "audio/wav"),
    "ResourceLink": lambda it: ResourceLink(str(it.uri), it.name, it.description, _mime_type(it)),
    "EmbeddedResource": lambda it: EmbeddedResource(
        str(it.resource.uri),
        getattr(it.resource, "text", None),
        _decoded(it.resource.blob) if hasattr(it.resource, "blob") else None,
        _mime_type(it.resource),
    ),
}


def _foreign(value: Any) -> Callable[[Any], Content] | None:
    """The conversion of a content object of the MCP SDK (1 or 2), known by its name: nothing is imported for it."""
    kind = type(value)
    return _FOREIGN.get(kind.__name__) if kind.__module__.partition(".")[0] in ("mcp", "mcp_types") else None


def _mime_type(it: Any) -> str | None:
    """Asked by the name of its version of the SDK, and by no other: fastmcp answers the old one with a warning."""
    found: str | None = it.mime_type if hasattr(it, "mime_type") else it.mimeType
    return found


def _decoded(data: str) -> bytes:
    return base64.b64decode(data, validate=True)


def _checked(content: tuple[Content, ...], limit: int) -> tuple[Content, ...]:
    """Content whose every text is text, whose data is bytes, and that is not too large."""
    size = 0
    for number, block in enumerate(content):
        where = f"content block {number + 1}"
        if not isinstance(block, _CONTENT):
            raise InvalidResultError(f"The tool's result cannot be sent: {where} is a {type(block).__name__}.")
        if isinstance(block, EmbeddedResource) and (block.text is None) == (block.data is None):
            raise InvalidResultError(f"The tool's result cannot be sent: {where} needs either text or data.")
        data = getattr(block, "data", None)
        if not isinstance(data, bytes | None) or (data is None and isinstance(block, Image | Audio)):
            raise InvalidResultError(f"The tool's result cannot be sent: the data of {where} is not bytes.")
        size += len(data or b"") * 4 // 3 + sum(len(_text(text, where, limit).encode()) for text in _texts(block))
        if size > limit:
            raise too_large(limit)
    return content


def _text(value: Any, where: str, limit: int) -> str:
    """Plain text that UTF-8 can carry, out of any kind of `str`."""
    if not isinstance(value, str):
        raise InvalidResultError(f"The tool's result cannot be sent: the text of {where} is a {type(value).__name__}.")
    if len(value) > limit:
        raise too_large(limit)
    try:
        raw = value.encode()
    except UnicodeEncodeError:
        raise InvalidResultError(f"The tool's result cannot be sent: {where} {HALF_A_CHARACTER}.") from None
    if len(raw) > limit:
        raise too_large(limit)
    return raw.decode()


def _texts(block: Content) -> list[Any]:
    """A block's texts, those that a secret could stand in."""
    match block:
        case Text(text):
            return [text]
        case Image(_, mime_type) | Audio(_, mime_type):
            return [mime_type]
        case ResourceLink(uri, name, description, mime_type):
            return [uri, name, description or "", mime_type or ""]
        case EmbeddedResource(uri, text, _, mime_type):
            return [uri, text or "", mime_type or ""]


def _searched(result: ToolResult) -> Iterator[str]:
    """Everything in a result, as text. Text blocks are joined, so that a secret split across two of them is found."""
    said = _said(result.content)
    yield said
    for block in result.content:
        if not isinstance(block, Text):
            yield "\n".join(_texts(block))
            yield _as_text(getattr(block, "data", None) or b"")
    structured = result.structured
    if result.has_structured and structured is not None:
        as_json = structured if isinstance(structured, str) else compact(structured)
        if as_json != said:
            yield as_json
        if "\\" in as_json:  # JSON has escaped something, and perhaps something in a secret
            yield "\n".join(_strings(structured))


def _strings(value: Any) -> Iterator[str]:
    """Every string of a JSON value, keys too, as it is and not as JSON writes it."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for part in (*value, *value.values()) if isinstance(value, dict) else value:
            yield from _strings(part)


def _said(content: tuple[Content, ...]) -> str:
    return "".join([block.text for block in content if isinstance(block, Text)])


def _redact_content(block: Content, redactor: Redactor) -> Content:
    changes: dict[str, Any] = {
        field: redactor.redact(value)
        for field in ("text", "uri", "name", "description", "mime_type")
        if (value := getattr(block, field, None)) is not None
    }
    if (data := getattr(block, "data", None)) is not None:
        changes["data"] = _redact_bytes(data, redactor)
    return replace(block, **changes)


def _redact_bytes(data: bytes, redactor: Redactor) -> bytes:
    text = _as_text(data)
    return redactor.redact(text).encode("latin-1") if redactor.finds(text) else data


def _as_text(data: bytes) -> str:
    """Bytes as text that can be searched and turned back: one character for each."""
    return data.decode("latin-1")


def _unsplit(content: tuple[Content, ...], redactor: Redactor) -> tuple[Content, ...]:
    """Where a secret runs from one text block into the next, make all text one block and blot it out of that."""
    said = _said(content)
    if not redactor.finds(said):
        return content
    others = tuple(block for block in content if not isinstance(block, Text))
    return (Text(redactor.redact(said)), *others)

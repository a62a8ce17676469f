"""The call's token leaves in no part of a result, in none of the forms it is known to travel in."""

from __future__ import annotations

import base64
import json
import urllib.parse

import pytest

from gateway.redaction import MASK, Redactor
from gateway.toolkit.content import Audio, EmbeddedResource, Image, ResourceLink, Text, ToolResult
from gateway.toolkit.result import redact_result, to_result

TOKEN = 'CNRY/token+"93fa"\\5d1c8e=='
FORMS = {
    "raw": TOKEN,
    "bearer": f"Bearer {TOKEN}",
    "url": urllib.parse.quote(TOKEN, safe=""),
    "json": json.dumps(TOKEN),
    "base64": base64.b64encode(TOKEN.encode()).decode(),
    "base64 of a header": base64.b64encode(f"Bearer {TOKEN}".encode()).decode(),
    "hex": TOKEN.encode().hex(),
    "reversed": TOKEN[::-1],
}


@pytest.fixture
def redactor():
    return Redactor([TOKEN])


def places(secret):
    """One result for each place that a secret can stand in."""
    return {
        "a string": secret,
        "a value": {"headers": {"Authorization": secret}, "n": 1},
        "a key": {secret: 1},
        "a list": ["a", [secret]],
        "text": Text(f"see {secret}."),
        "an address": ResourceLink(f"https://example.com/?q={secret}", "name"),
        "a name": ResourceLink("https://example.com", secret, secret),
        "a resource": EmbeddedResource("file:///a", text=secret),
        "a binary resource": EmbeddedResource("file:///a", data=secret.encode()),
        "an image": Image(b"\x89PNG\r\n" + secret.encode() + b"\xff\xfe"),
        "a sound": Audio(secret.encode()),
        "a mime type": Image(b"x", secret),
        "an error": ToolResult((Text(secret),), is_error=True),
        "a value behind other text": ToolResult((Text("fine"),), {"t": secret}, has_structured=True),
        "a string behind other text": ToolResult((Text("fine"),), secret, has_structured=True),
    }


def strings(value):
    if isinstance(value, dict):
        return [text for key, part in value.items() for text in (key, *strings(part))]
    return [text for part in value for text in strings(part)] if isinstance(value, list) else [str(value)]


def seen(result):
    """Everything that would leave, as text and as bytes-in-text."""
    parts = strings(result.structured)
    for block in result.content:
        parts += [str(getattr(block, name, "")) for name in ("text", "uri", "name", "description", "mime_type")]
        parts.append((getattr(block, "data", None) or b"").decode("latin-1"))
    return "\n".join(parts)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("place", places(""))
def test_the_token_is_blotted_out_in_every_form_and_place(redactor, place, form):
    result = to_result(places(FORMS[form])[place], 1 << 20)
    assert redactor.finds(seen(result))

    shown = redact_result(result, redactor)

    assert not redactor.finds(seen(shown))
    assert MASK in seen(shown)
    assert shown.is_error is result.is_error


def test_what_holds_no_token_is_not_touched(redactor):
    for value in ({"a": 1}, "text", [Text("x"), Image(b"x")], None, 5):
        result = to_result(value, 1 << 20)
        assert redact_result(result, redactor) is result


def test_the_text_stays_the_json_of_the_value(redactor):
    shown = redact_result(to_result({"t": TOKEN, TOKEN: [TOKEN]}, 1 << 20), redactor)

    assert shown.structured == {"t": MASK, MASK: [MASK]}
    assert [json.loads(block.text) for block in shown.content] == [shown.structured]


def test_a_token_of_digits_is_found_as_a_number_too():
    shown = redact_result(to_result({"n": 1234567890, "ok": 1}, 1 << 20), Redactor(["1234567890"]))

    assert shown.structured == {"n": MASK, "ok": 1}
    assert json.loads(shown.content[0].text) == shown.structured


def test_a_token_split_across_blocks_is_found(redactor):
    image = Image(b"x")
    shown = redact_result(to_result([Text(f"a {TOKEN[:9]}"), image, Text(f"{TOKEN[9:]} b")], 1 << 20), redactor)

    assert shown.content == (Text(f"a {MASK} b"), image)


def test_bytes_around_a_token_stay_as_they_are(redactor):
    data = bytes(range(256))
    shown = redact_result(to_result(Image(data + TOKEN.encode() + data), 1 << 20), redactor)

    assert shown.content[0].data == data + MASK.encode() + data

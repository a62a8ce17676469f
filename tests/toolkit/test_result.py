"""What a tool returned, as content and as JSON, and what is refused with a sentence."""

from __future__ import annotations

import base64
import collections
import dataclasses
import datetime as dt
import decimal
import enum
import json
import pathlib
import resource
import types
import typing
import uuid

import mcp_types
import pydantic
import pytest

from gateway.errors import InvalidResultError
from gateway.toolkit.content import Audio, EmbeddedResource, Image, ResourceLink, Text, ToolResult
from gateway.toolkit.result import to_result

LIMIT = 1 << 20


class Stage(enum.Enum):
    LEAD = "lead"


class Level(enum.IntEnum):
    HIGH = 3


@dataclasses.dataclass
class Contact:
    name: str
    stage: Stage


class Address(pydantic.BaseModel):
    street: str
    since: dt.date


class Point(typing.NamedTuple):
    x: int
    y: int


@pytest.mark.parametrize(
    ("value", "structured"),
    [
        ({"a": [1, 2.5, True, None, "ä"]}, {"a": [1, 2.5, True, None, "ä"]}),
        ([], []),
        (0, 0),
        (False, False),
        ((1, 2), [1, 2]),
        (Point(1, 2), [1, 2]),
        ({3, 1, 2}, [1, 2, 3]),
        (frozenset({"a"}), ["a"]),
        ({1: "a", None: "b", False: "c"}, {"1": "a", "null": "b", "false": "c"}),
        (Contact("Ada", Stage.LEAD), {"name": "Ada", "stage": "lead"}),
        ([Address(street="Long Lane", since="2026-01-02")], [{"street": "Long Lane", "since": "2026-01-02"}]),
        (dt.datetime(2026, 1, 2, 3, 4, tzinfo=dt.UTC), "2026-01-02T03:04:00+00:00"),
        (dt.time(3, 4), "03:04:00"),
        (dt.timedelta(minutes=2), 120.0),
        (decimal.Decimal("1.10"), "1.10"),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (pathlib.PurePosixPath("/a/b"), "/a/b"),
        (Level.HIGH, 3),
        (Stage.LEAD, "lead"),
        (types.MappingProxyType({"a": 1}), {"a": 1}),
        (collections.OrderedDict(a=1), {"a": 1}),
        ({"a": 1}.keys(), ["a"]),
        ({"a": 1}.values(), [1]),
        (collections.deque([1]), [1]),
        (2**70, 2**70),
    ],
)
def test_json_and_what_has_a_form_in_it_is_structured_and_text(value, structured):
    result = to_result(value, LIMIT)

    assert result.structured == structured
    assert result.has_structured
    assert [json.loads(block.text) for block in result.content] == [structured]
    assert type(result.structured) in (dict, list, str, int, float, bool)


def test_the_text_is_compact_and_readable():
    assert to_result({"a": ["ä", 1]}, LIMIT).content == (Text('{"a":["ä",1]}'),)


def test_a_string_is_its_own_text():
    assert to_result("hello", LIMIT) == ToolResult((Text("hello"),), "hello", has_structured=True)


def test_every_kind_of_string_becomes_a_plain_one():
    class Loud(str):
        __slots__ = ()

        def __str__(self):
            return "something else"

    assert type(to_result(Loud("hello"), LIMIT).structured) is str
    assert to_result(Loud("hello"), LIMIT).structured == "hello"


def test_none_is_a_value_without_content():
    assert to_result(None, LIMIT) == ToolResult((), None, has_structured=True)


def test_later_changes_do_not_reach_the_result():
    value = {"a": [1]}
    result = to_result(value, LIMIT)

    value["a"].append(2)

    assert result.structured == {"a": [1]}


@pytest.mark.parametrize(
    "block",
    [
        Text("x"),
        Image(b"\x89PNG"),
        Audio(b"RIFF"),
        ResourceLink("file:///a", "a", "the a", "text/plain"),
        EmbeddedResource("file:///a", text="x"),
        EmbeddedResource("file:///a", data=b"x"),
    ],
)
def test_content_is_sent_as_content(block):
    assert to_result(block, LIMIT) == ToolResult((block,))
    assert to_result([block, block], LIMIT) == ToolResult((block, block))


def test_content_may_be_mixed_with_other_values():
    assert to_result(["See:", Image(b"x"), {"n": 1}], LIMIT).content == (Text("See:"), Image(b"x"), Text('{"n":1}'))


def test_the_mcp_sdk_s_content_is_taken_too():
    data = base64.b64encode(b"x").decode()
    theirs = [
        mcp_types.TextContent(type="text", text="t"),
        mcp_types.ImageContent(type="image", data=data, mime_type="image/gif"),
        mcp_types.AudioContent(type="audio", data=data, mime_type="audio/ogg"),
        mcp_types.ResourceLink(type="resource_link", uri="file:///a", name="a"),
        mcp_types.EmbeddedResource(
            type="resource", resource=mcp_types.TextResourceContents(uri="file:///a", text="x", mime_type="text/x")
        ),
        mcp_types.EmbeddedResource(
            type="resource", resource=mcp_types.BlobResourceContents(uri="file:///a", blob=data)
        ),
    ]

    assert to_result(theirs, LIMIT).content == (
        Text("t"),
        Image(b"x", "image/gif"),
        Audio(b"x", "audio/ogg"),
        ResourceLink("file:///a", "a"),
        EmbeddedResource("file:///a", text="x", mime_type="text/x"),
        EmbeddedResource("file:///a", data=b"x"),
    )
    assert to_result(theirs[0], LIMIT).content == (Text("t"),)


def test_the_mcp_sdk_s_content_is_not_asked_for_the_field_of_another_version():
    class Renamed:
        uri, name, description, mime_type = "file:///a", "a", None, None

        @property
        def mimeType(self):
            raise DeprecationWarning("renamed to mime_type")

    Renamed.__module__, Renamed.__name__ = "mcp_types", "ResourceLink"

    assert to_result(Renamed(), LIMIT).content == (ResourceLink("file:///a", "a"),)


def test_broken_base64_in_the_mcp_sdk_s_content_is_refused():
    with pytest.raises(InvalidResultError, match=r"an? ImageContent in it is not complete"):
        to_result(mcp_types.ImageContent(type="image", data="not base64!", mime_type="image/gif"), LIMIT)


def test_a_finished_result_is_taken_as_it_is():
    finished = ToolResult((Text("no"),), is_error=True)
    with_value = ToolResult((Text("3 found"),), {"found": (1, 2, 3)}, has_structured=True)

    assert to_result(finished, LIMIT) == finished
    assert to_result(with_value, LIMIT).structured == {"found": [1, 2, 3]}
    assert to_result(with_value, LIMIT).content == (Text("3 found"),)


def cyclic():
    value = {"a": []}
    value["a"].append(value)
    return value


def deep(levels):
    value = []
    for _ in range(levels):
        value = [value]
    return value


@dataclasses.dataclass
class Node:
    next: object


def cyclic_dataclass():
    node = Node(None)
    node.next = Node(node)
    return node


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        (b"x", "the result is bytes. Decode it to text, or return an Image"),
        ({"items": [{"raw": bytearray(b"x")}]}, "the result.items[0].raw is bytes"),
        ({"price": float("nan")}, "the result.price is nan, which JSON does not have. Return None instead"),
        ([1, float("inf")], "the result[1] is inf"),
        (cyclic(), "the result.a[0] contains itself"),
        (cyclic_dataclass(), "contains itself"),
        (deep(200), "it is nested more than 100 deep"),
        (deep(100_000), "it is nested more than 100 deep"),
        ("\ud800", "the result holds half a character"),
        ({"a": "\ud800"}, "the result.a holds half a character"),
        ({"\ud800": 1}, "a key of the result holds half a character"),
        ({(1, 2): "x"}, "the result has a key that is a tuple. Make its keys text"),
        ({"a": {Stage.LEAD: 1}}, "the result.a has a key that is a Stage"),
        ((number for number in ()), "the result is a generator, which JSON does not have"),
        ({"error": ValueError("secret")}, "the result.error is a ValueError, which JSON does not have"),
        (object(), "the result is a object, which JSON does not have"),
        (Contact, "the result is a type, which JSON does not have"),
        ({"n": 10**5000}, "the result.n is an integer of too many digits"),
        (Image("text"), "the data of content block 1 is not bytes"),
        (Image(None), "the data of content block 1 is not bytes"),
        ([Text("a"), Text(5)], "the text of content block 2 is a int"),
        (Text("\ud800"), "content block 1 holds half a character"),
        (EmbeddedResource("file:///a"), "content block 1 needs either text or data"),
        (ToolResult(("text",)), "content block 1 is a str"),
    ],
)
def test_what_cannot_be_sent_is_refused_with_what_and_where(value, sentence):
    with pytest.raises(InvalidResultError) as refused:
        to_result(value, LIMIT)
    assert sentence in str(refused.value)
    assert "secret" not in str(refused.value)
    assert len(str(refused.value)) < 400
    assert refused.value.__cause__ is None
    assert refused.value.__suppress_context__ or refused.value.__context__ is None


def test_a_value_that_fails_while_it_is_read_is_refused():
    class Broken:
        def model_dump(self, mode):
            raise ValueError("CNRY")

    with pytest.raises(InvalidResultError, match=r"the result.a is a Broken"):
        to_result({"a": Broken()}, LIMIT)


def test_depth_made_by_conversion_counts_too():
    node = None
    for _ in range(150):
        node = Node(node)

    with pytest.raises(InvalidResultError, match="nested more than 100 deep"):
        to_result(node, LIMIT)


TOO_LARGE = "larger than 1000 bytes, the most that can be sent"


@pytest.mark.parametrize(
    "value",
    [
        "x" * 1001,
        "ä" * 501,
        {"a": "x" * 1000},
        {"x" * 1000: 1},
        ["ä" * 300, "ä" * 300],
        list(range(1000)),
        [[]] * 1001,
        ["x" * 10] * 100,
        {"a": ['"' * 600]},
        Text("x" * 1001),
        Image(b"x" * 800),
        [Text("x" * 600), Text("x" * 600)],
        ToolResult((), "x" * 1001, has_structured=True),
        Contact("x" * 1000, Stage.LEAD),
    ],
)
def test_what_is_too_large_is_refused(value):
    with pytest.raises(InvalidResultError, match=TOO_LARGE):
        to_result(value, 1000)


def test_what_just_fits_is_sent():
    assert to_result("x" * 1000, 1000)
    assert to_result({"a": "x" * 992}, 1000)


def test_a_bomb_is_refused_without_being_built():
    lines = ["x" * 1_000_000] * 5_000
    laughs = ["ha"] * 10
    for _ in range(20):
        laughs = [laughs] * 10
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    for bomb in (lines, laughs, {"a": lines}):
        with pytest.raises(InvalidResultError, match="larger than"):
            to_result(bomb, LIMIT)

    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 64 * 1024  # KiB

"""Rows of the audit as lines: JSON for other systems, CSV for spreadsheets. Above: `gateway.cli.audit`.

A line of JSON is what the row's hash covers, and the hash: whoever has a whole chain can verify it (docs/audit.md). In
CSV, what a spreadsheet would take for a formula begins with an apostrophe, and what could deceive the eye is replaced.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from gateway.audit.call_record import BEGUN
from gateway.store.audit_chain import Entry, described
from gateway.store.trail_rows import TrailRows, Wanted
from gateway.surfaces.browser.plain_text import visible

_PAGE = 1000
_COLUMNS = (
    "seq", "at", "tenant", "issuer", "subject", "action", "outcome", "client", "client_id", "tool", "provider",
    "account", "scopes", "duration_ms", "reference", "arguments", "id", "hash", "unfinished",
)  # fmt: skip
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # noqa: RUF001 - spreadsheets take these too
"""OWASP, "CSV Injection"."""


@dataclass(frozen=True, slots=True)
class Format:
    """What stands before all lines, and what makes a line of a row; `unfinished` is a call without an end."""

    head: str
    line: Callable[[Entry, bool], str]


async def pages(trail: TrailRows, wanted: Wanted) -> AsyncIterator[tuple[Sequence[Entry], set[str]]]:
    """The rows that are wanted, in pages, each with the ids of the calls in it that have no end on record."""
    place = "", -1
    while page := await trail.find(wanted, place, _PAGE):
        begun = {entry.event.id for entry in page if entry.event.action == "tool.begun"}
        ended = await trail.existing([event_id.removesuffix(BEGUN) for event_id in begun])
        yield page, {event_id for event_id in begun if event_id.removesuffix(BEGUN) not in ended}
        place = page[-1].event.principal.tenant, page[-1].link.seq


def as_object(entry: Entry, unfinished: bool = False) -> dict[str, Any]:
    """A row in JSON's types."""
    fields = described(entry.event, entry.link.seq) | {"hash": entry.link.hash.hex()}
    return fields | {"unfinished": True} if unfinished else fields


def _json_line(entry: Entry, unfinished: bool) -> str:
    # In ASCII: no terminal and no log that it passes through takes part of it for a command.
    return json.dumps(as_object(entry, unfinished), sort_keys=True, separators=(",", ":")) + "\n"


def _csv_line(entry: Entry, unfinished: bool) -> str:
    fields = as_object(entry, unfinished)
    fields["scopes"] = " ".join(fields.get("scopes", ()))
    return _csv([_cell(fields.get(name, "")) for name in _COLUMNS])


def _cell(value: Any) -> str:
    text = visible(str(value), longest=2000)
    return f"'{text}" if text.startswith(_FORMULA) or str(value).startswith(_FORMULA) else text


def _csv(cells: Sequence[str]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="\r\n").writerow(cells)  # RFC 4180
    return line.getvalue()


FORMATS = {"jsonl": Format("", _json_line), "csv": Format(_csv(_COLUMNS), _csv_line)}

"""That there are other rules or limits than before goes on record, by the first gateway that starts with them.

They stand in the settings, so nobody changes them in the gateway. What was in force last is kept in the database; the
row has its digest, and the configuration of that day, wherever that is kept, is told by it.

Below: the store's rows, rules, rates. Above: the composition.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict

from gateway.access.rates import CallsPerMinute
from gateway.access.rules import Rule
from gateway.audit import AuditLog
from gateway.store.mark_rows import MarkRows
from gateway.types import Principal

_MARK = "rules in force"
_SETTINGS = Principal("atp-gateway", "settings")


async def note_rules(rules: Sequence[Rule], limits: CallsPerMinute, marks: MarkRows, audit: AuditLog) -> bool:
    """Whether these are others than were in force last; if so, that is on record now. StoreUnavailableError."""
    text = text_of(rules, limits)
    digest = hashlib.sha256(text.encode()).hexdigest()
    if await marks.find(_MARK) is None and not rules and limits == CallsPerMinute():
        return False  # there never were any
    event = audit.event(_SETTINGS, "rules.changed", f"{len(rules)}_rules", reference=digest)
    return await marks.replace(_MARK, text.encode(), event)


def text_of(rules: Sequence[Rule], limits: CallsPerMinute) -> str:
    """What the digest is of: JSON, its keys sorted, without what is not said."""
    said = [{line: value for line, value in asdict(rule).items() if value} for rule in rules]
    return json.dumps({"rules": said, "calls_per_minute": asdict(limits)}, sort_keys=True, separators=(",", ":"))

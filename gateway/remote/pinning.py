"""What becomes of a definition that a toolkit registers: taken as it is, or kept waiting for an administrator.

What a model reads about a tool decides what it does, so a toolkit that has been looked at once must not say something
else the next day (a "rug pull"). With `review`, whatever a toolkit says anew waits: other words, schemas, hints,
provider or scopes of a tool, and tools that were not there before, or a renamed one would slip through. Its first set
is taken as it is: an administrator has just made its key. A toolkit that never completes a set has ten minutes for it.

While a change waits, the former definition stays listed and is served, if it makes sense for what the worker runs by
now (`Definition.can_stand_in_for`): other words and scopes do no harm. Where the worker takes other arguments, returns
something else or signs in elsewhere, the tool is hidden until somebody decides. The code itself is not pinned: whoever
runs a toolkit runs what they like, and is trusted with the arguments and the tokens it was granted.

Without `review` a change takes effect. Either way it goes on record. Pure. Above: `registration`, `review`.
Source: OWASP on MCP rug pulls; CVE-2025-54136.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from gateway.remote.definition import Definition
from gateway.toolkit.remote_tool import RemoteSet, RemoteTool

FIRST_SET = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Said:
    """What a toolkit says of a tool, at `at`. `code_hash` is the SHA-256 of the source that came with it."""

    definition: Definition
    code_hash: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Pinned:
    """What is kept now, and for the record: the action, and what it was that changed."""

    tool: RemoteTool
    action: str
    what: str


def pin(new: RemoteTool, former: RemoteTool | None, whole: RemoteSet | None, said: Said, *, review: bool) -> Pinned:
    """What is to be kept of a tool. `new` is one of which nothing is kept; `former` is what is; `whole` its toolkit."""
    text = said.definition.to_json()
    if former is None or not former.definition:
        if review and whole is not None and _is_settled(whole, said.at):
            return _proposed(former or new, text, said, "new")
        return Pinned(_approved(former or new, text, said.code_hash, said.at), "tool.added", "done")
    changes = said.definition.changes_from(Definition.of_json(former.definition))
    if changes and review:
        return _proposed(former, text, said, ", ".join(changes))
    action, what = ("tool.changed", ", ".join(changes)) if changes else ("tool.added", "as before")
    return Pinned(_approved(former, text, said.code_hash, said.at), action, what)


def served(tool: RemoteTool) -> Definition | None:
    """What hosts are shown of a tool, and what its calls go by. None: it is hidden."""
    if not tool.definition or tool.removed_at is not None:
        return None
    definition = Definition.of_json(tool.definition)
    if tool.proposed and not definition.can_stand_in_for(Definition.of_json(tool.proposed)):
        return None
    return definition


def waits(tool: RemoteTool) -> bool:
    """Whether an administrator has to decide about something."""
    return bool(tool.proposed) and tool.proposed != tool.rejected and tool.removed_at is None


def approved(tool: RemoteTool, now: datetime) -> RemoteTool:
    """With what it proposes in force."""
    return _approved(tool, tool.proposed, tool.proposed_code_hash, now)


def rejected(tool: RemoteTool, now: datetime) -> RemoteTool:
    """With what it proposes turned down: the toolkit may say it as often as it likes."""
    return replace(tool, rejected=tool.proposed, changed_at=now)


def _is_settled(whole: RemoteSet, now: datetime) -> bool:
    return bool(whole.toolkit_hash) or now - whole.created_at > FIRST_SET


def _approved(tool: RemoteTool, definition: str, code_hash: str, now: datetime) -> RemoteTool:
    kept = replace(
        tool,
        definition=definition,
        code_hash=code_hash,
        proposed="",
        proposed_code_hash="",
        rejected="",
        removed_at=None,
    )
    return kept if kept == tool else replace(kept, changed_at=now)


def _proposed(tool: RemoteTool, definition: str, said: Said, what: str) -> Pinned:
    kept = replace(tool, proposed=definition, proposed_code_hash=said.code_hash, removed_at=None)
    return Pinned(kept if kept == tool else replace(kept, changed_at=said.at), "tool.waits", what)

"""One thing that was looked at: how it stands, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """BROKEN keeps clients out. DOUBTFUL keeps some out, or may one day. SKIPPED could not be looked at."""

    FINE = "fine"
    DOUBTFUL = "doubtful"
    BROKEN = "broken"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Finding:
    """`topic` is a word or two, `text` what was seen, `mend` what to do; empty where there is nothing to do."""

    topic: str
    state: State
    text: str
    mend: str = ""


def fine(topic: str, text: str) -> Finding:
    return Finding(topic, State.FINE, text)


def doubtful(topic: str, text: str, mend: str) -> Finding:
    return Finding(topic, State.DOUBTFUL, text, mend)


def broken(topic: str, text: str, mend: str) -> Finding:
    return Finding(topic, State.BROKEN, text, mend)


def skipped(topic: str, text: str) -> Finding:
    return Finding(topic, State.SKIPPED, text)

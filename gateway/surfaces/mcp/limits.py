"""The numbers of the MCP surface, each with its unit and its reason. These are defaults; the app may give others."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    hold_seconds: float = 40.0
    """How long a retried call waits for the person to finish connecting. Hosts give up on a call after 60 s."""

    ask_seconds: float = 600.0
    """How long a host may take to answer a question that was pushed to it. The tool's own timeout ends it sooner."""

    pause_seconds: float = 15.0
    """The longest silence on an event stream before a sign of life is sent. Proxies give up after 30 s or 60 s."""

    notice_seconds: float = 5.0
    """How long one host may take to accept a notification that nobody waits for."""

    finish_seconds: float = 5.0
    """How long running calls may go on after a host on stdio has closed its end, or a cancelled one take to end."""

    elicitation_seconds: float = 900.0
    """How long a connect link is watched, so that the host can be told when the person is done."""

    page: int = 100
    """Tools on one page of `tools/list`: 100 are encoded in under 5 ms."""

    list_ttl_ms: int = 60_000
    """How long a host may keep a list before it asks again."""

    body_bytes: int = 4 << 20
    """The largest message accepted, over HTTP and over stdio."""

    sessions: int = 10_000
    """Handshake-era sessions open at once, of all people together."""

    sessions_each: int = 100
    """Handshake-era sessions and SSE streams open at once, for one person. Hosts often leave them behind."""

    session_idle_seconds: float = 1800.0
    """After how long without a request, an open stream or a running call a session is closed."""

    listeners_each: int = 10
    """`subscriptions/listen` streams open at once, for one person."""

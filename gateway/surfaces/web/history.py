"""What was done in my name: my calls, and what became of my connections, page by page, the newest first.

GET /connections/history?what=calls|changes&before=ID
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.surfaces.browser.pages import Pages, principal_of
from gateway.surfaces.web.event_words import Words, took, words_for
from gateway.surfaces.web.problems import explained
from gateway.types import AuditEvent, Principal

PAGE = 50
_LONGEST_ID = 100


class Record(Protocol):
    """The record of what was done, as far as it is a person's own."""

    async def list_history(
        self, principal: Principal, limit: int, *, calls: bool | None = None, before: str | None = None
    ) -> Sequence[AuditEvent]:
        """The latest; calls alone, or everything else alone; from behind the event with the id `before`."""
        ...


@dataclass(frozen=True, slots=True)
class Line:
    """One event in words."""

    event: AuditEvent
    words: Words
    provider_name: str | None
    took: str


def lines(events: Sequence[AuditEvent], provider_name: Callable[[str], str]) -> list[Line]:
    """Events in words. `provider_name` gives the name of a provider as people know it, for its id."""
    return [
        Line(
            event, words_for(event), provider_name(event.provider) if event.provider else None, took(event.duration_ms)
        )
        for event in events
    ]


class HistoryPages:
    def __init__(self, pages: Pages, record: Record, provider_name: Callable[[str], str]) -> None:
        self._pages = pages
        self._record = record
        self._provider_name = provider_name

    def routes(self) -> list[Route]:
        return [Route("/connections/history", explained(self._show), methods=["GET"])]

    async def _show(self, request: Request) -> Response:
        calls = request.query_params.get("what") != "changes"
        before = request.query_params.get("before", "")[:_LONGEST_ID] or None
        found = await self._record.list_history(principal_of(request), PAGE + 1, calls=calls, before=before)
        shown = found[:PAGE]
        return self._pages.page(
            request,
            "history.html",
            lines=lines(shown, self._provider_name),
            calls=calls,
            is_first=before is None,
            older=shown[-1].id if len(found) > PAGE else None,
        )

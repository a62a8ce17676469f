"""A twin that another process serves: the same clock, log and script, over HTTP.

    twin = RemoteTwin("http://127.0.0.1:8700")
    twin.script({"on": "refresh", "fault": "timeout_after"})
    assert twin.log().count("refresh") == 1

Plain blocking calls, for the process that conducts an experiment. Below: `admin`'s endpoints. Above: tests.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from types import TracebackType
from typing import Any, Self

import httpx2

from gateway.testing.log import Hit, Log


class RemoteTwin:
    """Controls the twin at an origin. httpx2.HTTPStatusError, with its sentence, for what it does not know."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self._http = httpx2.Client(base_url=self.url, trust_env=False, timeout=10)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    def now(self) -> datetime:
        return datetime.fromisoformat(self._ask("GET", "clock")["now"])

    def advance(self, by: timedelta) -> None:
        """Move the twin's clock. A gateway follows if it reads the same `SharedClock`."""
        self._ask("POST", "clock", {"advance": by.total_seconds()})

    def log(self, after: int = 0) -> Log:
        """What it was asked; with `after`, since the hit of that number."""
        return Log(Hit.from_json(hit) for hit in self._ask("GET", f"log?after={after}")["hits"])

    def script(self, *steps: dict[str, Any]) -> list[dict[str, Any]]:
        """Add steps to what is to go wrong; gives all that are left."""
        left: list[dict[str, Any]] = self._ask("POST", "script", {"steps": steps})["steps"]
        return left

    def clear_script(self) -> None:
        self._ask("DELETE", "script")

    def behave(self, **changes: Any) -> None:
        """Set fields of the twin's Behaviour; durations in seconds."""
        self._ask("POST", "behaviour", changes)

    def revoke_all(self, person: str) -> None:
        """End a person's grants, as they would on the provider's own page."""
        self._ask("POST", f"people/{person}/revoke")

    def revoke_access(self, person: str) -> None:
        """End a person's access tokens before their time."""
        self._ask("POST", f"people/{person}/revoke-access")

    def _ask(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        answer = self._http.request(method, f"/twin/{path}", json=body)
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        return found

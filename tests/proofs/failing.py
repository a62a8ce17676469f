"""What a gateway stands on, made to fail once: at the n-th statement, or at the n-th request to a provider.

Given to the composition in place of the real database and network, which it wraps: nothing is patched.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import httpx2
from sqlalchemy import event, make_url
from sqlalchemy.exc import OperationalError

from gateway.deferred import Outside
from gateway.oauth.http import ProviderTransport
from gateway.store.engine import Engines, sqlite_engines
from gateway.store.postgres import postgres_engines
from gateway.store.store import Store

What = Literal["statement", "finished statement", "commit", "request", "answer"]
"""Where it fails. A finished statement was carried out and is taken back; of an answer the request was carried out."""


class Fault:
    """Happens once, at the n-th place of its kind, counted from `arm`."""

    def __init__(self, what: What) -> None:
        self.what = what
        self._left = 0
        self.happened = False

    def arm(self, nth: int) -> None:
        self._left = nth
        self.happened = False

    def end(self) -> bool:
        """Nothing will fail any more. Whether something did."""
        self._left = 0
        return self.happened

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Whoever looks at what came of it is not counted."""
        left, self._left = self._left, 0
        yield
        self._left = left

    def is_now(self, what: What) -> bool:
        if what != self.what or not self._left:
            return False
        self._left -= 1
        self.happened = self._left == 0
        return self.happened

    def outside(self) -> Outside:
        return Outside(self._open_store, lambda: FailingTransport(self))

    async def _open_store(self, url: str) -> Store:
        await (await Store.open(url)).close()
        engines = _engines(url)
        for engine in {engines.writing.engine, engines.reading.engine}:
            event.listen(engine, "before_cursor_execute", self._before)
            event.listen(engine, "after_cursor_execute", self._after)
        event.listen(engines.writing.engine, "commit", self._commit)
        return Store(engines)

    def _before(self, *_: Any) -> None:
        self._fail("statement")

    def _after(self, *_: Any) -> None:
        self._fail("finished statement")

    def _commit(self, _: Any) -> None:
        self._fail("commit")

    def _fail(self, what: What) -> None:
        if self.is_now(what):
            raise OperationalError("ordered", None, Exception("the database failed, as ordered"))


class FailingTransport(ProviderTransport):
    """The way out to providers, with connections that are reset."""

    def __init__(self, fault: Fault) -> None:
        super().__init__()
        self._fault = fault

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if self._fault.is_now("request"):
            raise httpx2.ConnectError("connection refused, as ordered")
        response = await super().handle_async_request(request)
        if self._fault.is_now("answer"):
            raise httpx2.ReadError("connection reset by peer, as ordered")
        return response


def _engines(url: str) -> Engines:
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        return sqlite_engines(Path(str(parsed.database)))
    return postgres_engines(parsed)

"""The polled way in: a toolkit whose workers ask for calls over HTTP, and answer in a request of their own.

Nothing tells one poll's process from another's. So all polls of a toolkit are one worker with room for any number of
calls; a poll that is open takes one, and who was given its id can answer it. The published SDK sleeps for 30 seconds
after each poll and each call; a toolkit is there until nothing has been heard of it for longer than that.

Below: `remote_toolkit`. Above: the ATP surface. Source: AgentToolProtocol 0.2.5, `poll_inbox_for_requests`.
"""

from __future__ import annotations

import asyncio

from gateway.key_types import ApiKey
from gateway.remote.remote_toolkit import RemoteToolkit
from gateway.toolkit.tool_request import ToolRequest
from gateway.toolkit.workers import Worker

STAYS_SECONDS = 75.0


class Inbox:
    """The inbox of one toolkit. Its tools are listed until `stays_seconds` after the last poll or answer."""

    def __init__(self, toolkit: RemoteToolkit, *, stays_seconds: float = STAYS_SECONDS) -> None:
        self._toolkit = toolkit
        self._stays_seconds = stays_seconds
        self._worker: Worker | None = None
        self._heard: dict[str, float] = {}
        self._keys: dict[str, ApiKey] = {}
        self._looking: asyncio.TimerHandle | None = None
        self.open_polls = 0

    async def take(self, key: ApiKey, limit: asyncio.Timeout) -> ToolRequest | None:
        """A call for whoever polls with this key, None when `limit` is over before there is one.

        The caller hands it over, or gives it back at once.
        """
        worker = self._hear(key.id)
        self.show_key(key)
        self.open_polls += 1
        try:
            async with limit:
                while (request := await worker.take()) is not None:
                    if not self._refused(worker, key, request):
                        return request
        except TimeoutError:
            pass
        finally:
            self.open_polls -= 1
            if key.id in self._keys:
                self._hear(key.id)
        return None

    def show_key(self, key: ApiKey) -> None:
        """The key of an open poll, as it is now."""
        self._keys[key.id] = key
        self._toolkit.show_key((self, key.id), key)

    def give_back(self, request: ToolRequest) -> None:
        """It was not handed over: somebody else is given it."""
        if self._worker is not None:
            self._worker.give_back(request)

    def answering(self, key: ApiKey) -> Worker | None:
        """Who answers calls, for one who brings an answer; None where no call was taken."""
        if self._worker is not None:
            self._hear(key.id)
        return self._worker

    def drop(self, key: ApiKey) -> None:
        """The key is no key any more."""
        self._heard.pop(key.id, None)
        self._keys.pop(key.id, None)
        self._toolkit.drop_key((self, key.id))
        self._look()

    def _refused(self, worker: Worker, key: ApiKey, request: ToolRequest) -> bool:
        shown = self._keys.get(key.id, key)
        no = request.credential and self._toolkit.not_granted(shown, request.credential.provider)
        if no:
            worker.fail(request.id, no)
        return bool(no)

    def _hear(self, key_id: str) -> Worker:
        """Somebody with this key is there."""
        self._heard[key_id] = asyncio.get_running_loop().time()
        if self._worker is None:
            self._worker = self._toolkit.workers.join(capacity=None)
        self._look_in(self._stays_seconds)
        return self._worker

    def _look_in(self, seconds: float) -> None:
        if self._looking is not None:
            self._looking.cancel()
        self._looking = asyncio.get_running_loop().call_later(seconds, self._look)

    def _look(self) -> None:
        """Leave when nobody has been heard of for long, and no call runs any more."""
        now = asyncio.get_running_loop().time()
        for key_id, heard in tuple(self._heard.items()):
            if now - heard >= self._stays_seconds and not self.open_polls:
                del self._heard[key_id]
                self._keys.pop(key_id, None)
                self._toolkit.drop_key((self, key_id))
        if self._worker is None:
            return
        if self._heard or self._worker.is_busy or self.open_polls:
            self._look_in(min(self._stays_seconds, 5.0))
            return
        self._worker.leave()
        self._worker = None

"""Calls that another gateway asks this one to make, with a worker that is connected here. Each is made once.

What is no call to this gateway, or too old, or was here before, is refused before anything happens; that it was here
before is told to whoever sealed it, and to nobody else. A call is never passed on: where no worker is here it ends, as
not sent. Nothing is put on record here: the gateway that took the call does that.

Below: `sealed_call`, `remote_toolkit`. Above: the surface that reads the request. The other side: `elsewhere`.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime
from typing import NamedTuple

from gateway.clock import Clock
from gateway.errors import CallError, ToolkitUnreachableError
from gateway.remote.remote_toolkit import RemoteToolkit
from gateway.remote.sealed_call import FRESH, CallSeal, End, SentCall, meaningless_mark

Find = Callable[[str, str], RemoteToolkit | None]
"""The toolkit of a tenant by name, if it has shown itself here."""


class Refused(NamedTuple):
    """No answer. The mark means something to whoever sealed the call alone."""

    mark: str


class Holder:
    """`seal` is that of calls to this gateway."""

    def __init__(self, seal: CallSeal, find: Find, clock: Clock) -> None:
        self._seal = seal
        self._find = find
        self._clock = clock
        self._taken: OrderedDict[str, datetime] = OrderedDict()

    async def answer(self, sealed: bytes) -> bytes | Refused:
        """The sealed end of a sealed call. Refused: nothing was done. To cancel this gives the call up."""
        now = self._clock.now()
        call = self._seal.open_call(sealed, now)
        if call is None:
            return Refused(meaningless_mark())
        if not self._is_new(call.request.id, now):
            return Refused(self._seal.seal_taken(sealed))
        return self._seal.seal_end(await self._made(call), sealed)

    async def _made(self, call: SentCall) -> End:
        toolkit, tool = self._find(call.tenant, call.toolkit), call.request.tool
        try:
            if toolkit is None:
                raise ToolkitUnreachableError(
                    f"{call.toolkit} has no worker that runs. {tool} was not called: try again in a moment."
                )
            return End(await toolkit.call_here(call.request, call.seconds, waits=call.waits))
        except CallError as error:
            return End(error=error)

    def _is_new(self, call_id: str, now: datetime) -> bool:
        """Note that the call was here. It is remembered for as long as it could be brought again."""
        while self._taken and abs(now - next(iter(self._taken.values()))) > 2 * FRESH:
            self._taken.popitem(last=False)
        if call_id in self._taken:
            return False
        self._taken[call_id] = now
        return True

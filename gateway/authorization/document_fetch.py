"""Asks for clients' metadata documents and keys: at public addresses, or at hosts that the operator named, and nowhere
else.

Below: outward. Above: documents and client_keys, by way of the app. That an address does not answer and that it must
not be asked look the same from here: nobody is to learn from us what there is on our own network.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable

from gateway.authorization.documents import SECONDS
from gateway.errors import DestinationError
from gateway.outward.destinations import Destinations, Resolve
from gateway.outward.guarded import Answer, GuardedRequests, UnansweredError

log = logging.getLogger(__name__)

SETTING = "[access] document_hosts"
_HEADERS = {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "atp-gateway"}


class DocumentFetch:
    """A `client_keys.Fetch`. `hosts` may be asked over http, and at private addresses, too. `resolve` is for tests."""

    def __init__(self, hosts: Iterable[str] = (), *, resolve: Resolve | None = None) -> None:
        self._destinations = Destinations(hosts, setting=SETTING, resolve=resolve)
        self._requests = GuardedRequests(self._destinations)

    async def __call__(self, url: str, /, limit: int) -> Answer | None:
        try:
            destination = self._destinations.read(url)
            return await self._requests.get(destination, _HEADERS, SECONDS, limit=limit)
        except DestinationError:
            return None
        except UnansweredError as error:
            log.warning(
                "what a program says of itself at %s could not be read: %s. If this gateway may not reach the "
                "internet, set [access] client_documents = false: programs then register instead.",
                destination.host,
                error.why,
            )
            return None

    async def close(self) -> None:
        await self._requests.close()

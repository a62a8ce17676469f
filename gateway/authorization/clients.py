"""Who may ask people for access: a client by its id, wherever its description is.

Below: the store's rows, documents. Above: requests, client_proof.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from gateway.authorization.documents import GRANT_TYPES, ClientDocuments, is_document_id
from gateway.authorization_types import ClientSource, RegisteredClient
from gateway.store.client_rows import ClientRows


class Clients:
    """`configured` are those of the settings. Without `documents`, an address is no client's id."""

    def __init__(
        self, configured: Iterable[RegisteredClient], rows: ClientRows, documents: ClientDocuments | None
    ) -> None:
        self._configured = {client.id: client for client in configured}
        self._rows = rows
        self._documents = documents

    async def find(self, client_id: str) -> RegisteredClient | None:
        """The client that a person is to be asked about. AuthorizationError where its document is no good."""
        if is_document_id(client_id):
            return None if self._documents is None else await self._documents.get(client_id)
        return await self._find_here(client_id)

    async def find_at_token(self, client_id: str) -> RegisteredClient | None:
        """The client that wants tokens and shows no key. Asks no document: nothing in one matters then.

        A client of a document has no secret, and what it may have is in the code or grant, which bears its id, and says
        whether a key has to be shown.
        """
        if not is_document_id(client_id):
            return await self._find_here(client_id)
        if self._documents is None:
            return None
        self._documents.check(client_id)
        return RegisteredClient(client_id, ClientSource.DOCUMENT, client_id, (), GRANT_TYPES)

    def needs_document(self, client_id: str) -> bool:
        """Whether `find` would ask another machine. AuthorizationError where that is not even to be tried."""
        if self._documents is None or not is_document_id(client_id):
            return False
        self._documents.check(client_id)
        return True

    async def note_use(self, client: RegisteredClient, now: datetime) -> None:
        """Note that a person let the client in: a registration that was used stays."""
        if client.source is ClientSource.REGISTRATION and client.used_at is None:
            await self._rows.note_use(client.id, now)

    async def _find_here(self, client_id: str) -> RegisteredClient | None:
        return self._configured.get(client_id) or await self._rows.find(client_id)

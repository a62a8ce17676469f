"""Which programs may ask people for access, as the operator sees and changes it.

Programs are from the settings, added here, registered by themselves, or known by the address of their document. All are
listed; one that is added here needs no file and no restart. Ending one ends all that people let it have: a program of
the settings, or one with a document, may ask again until the settings say otherwise.

Below: redirect_uris, the store's rows, audit. Above: the command line.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from gateway.audit import AuditLog
from gateway.authorization.client_keys import keys_in
from gateway.authorization.digests import new_secret, secret_digest_of
from gateway.authorization.documents import GRANT_TYPES, LONGEST_NAME, MOST_REDIRECT_URIS, is_document_id
from gateway.authorization.redirect_uris import may_be_registered
from gateway.authorization_types import KEY, AccessGrant, ClientSource, RegisteredClient
from gateway.clock import Clock
from gateway.errors import ClientChangeError
from gateway.secret import Secret
from gateway.store.roster_rows import RosterRows
from gateway.types import AuditEvent, Principal

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._~-]{0,127}")  # what needs no encoding in a header or a query


@dataclass(frozen=True, slots=True)
class Listed:
    """A client, with `grants` that are alive: people who let it in; `used_at`: when one last was given or refreshed."""

    client: RegisteredClient
    grants: int = 0
    used_at: datetime | None = None


class Roster:
    """`configured` are the clients of the settings."""

    def __init__(self, configured: Iterable[RegisteredClient], rows: RosterRows, audit: AuditLog, clock: Clock) -> None:
        self._configured = {client.id: client for client in configured}
        self._rows = rows
        self._audit = audit
        self._clock = clock

    async def list_all(self) -> list[Listed]:
        """Those of the settings first, then each by when it came."""
        known = [*self._configured.values()]
        known += [client for client in await self._rows.list_all() if client.id not in self._configured]
        uses = {use.client_id: use for use in await self._rows.uses(self._clock.now())}
        listed = [Listed(client, used_at=client.used_at) for client in known]
        listed += [
            Listed(RegisteredClient(use.client_id, _source(use.client_id), use.name, (), frozenset()))
            for use in uses.values()
            if use.client_id not in {client.id for client in known} and (use.grants or is_document_id(use.client_id))
        ]
        return [
            replace(each, grants=use.grants, used_at=use.used_at) if (use := uses.get(each.client.id)) else each
            for each in listed
        ]

    async def add(
        self,
        client_id: str,
        name: str,
        redirect_uris: Collection[str],
        *,
        with_secret: bool = False,
        keys: str | None = None,
        by: Principal,
    ) -> tuple[RegisteredClient, Secret | None]:
        """A new client, and its secret, which nobody can ever ask for again. ClientChangeError.

        `keys` are its public keys, a JWK set as JSON or the address of one, by which it proves itself instead. With
        either and no redirect URI it is a program without people, which gets tokens in its own name.
        """
        _check(client_id, redirect_uris, with_secret=with_secret, keys=keys)
        secret = new_secret("atpg_client_") if with_secret else None
        client = RegisteredClient(
            id=client_id,
            source=ClientSource.OPERATOR,
            name=name.strip()[:LONGEST_NAME] or client_id,
            redirect_uris=tuple(dict.fromkeys(redirect_uris)),
            grant_types=GRANT_TYPES if redirect_uris else frozenset({"client_credentials"}),
            auth_method=KEY if keys else "client_secret_basic" if secret else "none",
            secret_digest=secret_digest_of(secret.reveal()) if secret else None,
            keys=_usable(keys) if keys else None,
            created_at=self._clock.now(),
        )
        event = self._audit.event(by, "client.added", "done", client=client.name, reference=client.id)
        if client_id in self._configured or not await self._rows.insert(client, event):
            raise ClientChangeError(f"There is a program {client_id} already. See: atp-gateway clients list")
        return client, secret

    async def end(self, client_id: str, *, by: Principal) -> Listed:
        """End a client and all that people let it have; what it was. ClientChangeError if there is none of that id."""
        found = next((each for each in await self.list_all() if each.client.id == client_id), None)
        if found is None:
            raise ClientChangeError(f"There is no program {client_id}. See: atp-gateway clients list")
        now, name = self._clock.now(), found.client.name or client_id
        event = self._audit.event(by, "client.revoked", "done", client=name, reference=client_id)
        return replace(found, grants=await self._rows.end(client_id, now, event, self._ended))

    def _ended(self, grant: AccessGrant) -> AuditEvent:
        return self._audit.event(
            grant.principal, "grant.revoked", "by the operator", client=grant.client_name, reference=grant.id
        )


def _source(client_id: str) -> ClientSource:
    """Of a client without a row: its document, or a registration that is gone."""
    return ClientSource.DOCUMENT if is_document_id(client_id) else ClientSource.REGISTRATION


def _usable(keys: str) -> str:
    """The keys as they are kept."""
    try:
        found = {"jwks_uri": keys} if keys.startswith(("https://", "http://")) else {"jwks": json.loads(keys)}
    except ValueError:
        found = {}
    if (usable := keys_in(found)) is None:
        raise ClientChangeError(
            "These are no keys that a program can prove itself by. Give a JWK set with public keys for signatures, "
            'such as {"keys": [{"kty": "EC", …}]}, or the https address of one.'
        )
    return usable


def _check(client_id: str, redirect_uris: Collection[str], *, with_secret: bool, keys: str | None) -> None:
    if with_secret and keys:
        raise ClientChangeError("A program proves itself by a --secret, or by its --keys. Leave one of them out.")
    if not _ID.fullmatch(client_id):
        raise ClientChangeError(
            f"{client_id!r} is no id for a program: use letters, digits, and . _ ~ -, such as nightly-report."
        )
    if wrong := [uri for uri in redirect_uris if not may_be_registered(uri)]:
        raise ClientChangeError(
            f"{wrong[0]!r} cannot be a redirect URI. Write https, or http at 127.0.0.1, [::1] or localhost, or the "
            "app's own scheme, such as com.example.app:/callback."
        )
    if len(redirect_uris) > MOST_REDIRECT_URIS:
        raise ClientChangeError(f"A program has at most {MOST_REDIRECT_URIS} redirect URIs.")
    if not redirect_uris and not with_secret and not keys:
        raise ClientChangeError(
            "Name its --redirect-uri; or give it a --secret, or --keys of its own, and it acts in its own name."
        )

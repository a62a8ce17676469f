"""Clients whose id is the address of a document that describes them (client ID metadata documents).

Whoever signs in may name such an address, and we ask it. So it is read strictly, `fetch` connects to public addresses
only, follows no redirect and reads no more than `LARGEST` bytes for no longer than `SECONDS`, and the operator may
narrow the hosts. A document is kept as long as its HTTP headers say, within a day; an error is not kept. While its host
does not answer, the last good document serves for a day: an outage there must lock nobody out here.

Below: client_keys; `fetch` is given. Above: clients.
Source: draft-ietf-oauth-client-id-metadata-document, MCP 2026-07-28 Authorization, "Client ID Metadata Documents";
RFC 9111.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

from gateway.authorization.client_keys import Fetch, keys_in
from gateway.authorization.redirect_uris import may_be_registered
from gateway.authorization_types import KEY, ClientSource, RegisteredClient
from gateway.errors import AuthorizationError

LARGEST = 5 * 1024
SECONDS = 5.0
LONGEST_NAME = 200
MOST_REDIRECT_URIS = 50
GRANT_TYPES = frozenset({"authorization_code", "refresh_token"})

_USUAL = 300.0  # seconds that a document is kept of which nothing is said
_LONGEST_KEPT = 86_400.0
_USABLE = 86_400.0
_MOST_KEPT = 500
_AT_A_TIME = 8
_URL = re.compile(r"https?://[!-\[\]-~]+")
_LONGEST_URL = 1000
_MAX_AGE = re.compile(r"(?:^|[\s,])max-age=\"?([0-9]{1,10})")
_LOOPBACK = ("127.0.0.1", "::1", "localhost")


@dataclass(slots=True)
class _Kept:
    client: RegisteredClient
    fresh_until: float
    usable_until: float


_UNREAD = "Its description could not be read at"
_FOR_THE_OPERATOR = (
    "Try again; and if this gateway may not reach the internet, whoever runs it sets client_documents = false in "
    "[access], so that programs register instead"
)


class ClientDocuments:
    """`hosts` are the only ones whose documents count; empty: all. A loopback one has to be among them."""

    def __init__(
        self, fetch: Fetch, hosts: Collection[str] = (), *, timer: Callable[[], float] = time.monotonic
    ) -> None:
        self._fetch = fetch
        self._hosts = frozenset(hosts)
        self._timer = timer
        self._kept: dict[str, _Kept] = {}
        self._fetching: dict[str, asyncio.Task[RegisteredClient]] = {}

    async def get(self, client_id: str) -> RegisteredClient:
        """The client that the document at its id describes. AuthorizationError, in words for a person."""
        self.check(client_id)
        kept = self._kept.get(client_id)
        if kept is not None and self._timer() < kept.fresh_until:
            return kept.client
        task = self._fetching.get(client_id)
        if task is None:
            if len(self._fetching) >= _AT_A_TIME:
                raise AuthorizationError(
                    "temporarily_unavailable", "Too many programs are new at once. Try again.", 503
                )
            task = self._fetching[client_id] = asyncio.create_task(self._read(client_id))
            task.add_done_callback(lambda _: self._fetching.pop(client_id, None))
        return await asyncio.shield(task)

    def check(self, client_id: str) -> None:
        """AuthorizationError where the id is no address that a document may be at. Asks nobody."""
        place = _place(client_id)
        if place is None:
            raise _refused("Its address is not one that a program's description may be at")
        scheme, host, netloc = place
        if self._hosts and not {host, netloc} & self._hosts:
            raise _refused(f"Programs of {host} are not admitted to this gateway")
        is_own_machine = host in _LOOPBACK and bool(self._hosts)
        if scheme != "https" and not is_own_machine:
            raise _refused("Its address does not begin with https")

    async def _read(self, client_id: str) -> RegisteredClient:
        fetched, now = await self._fetch(client_id, limit=LARGEST), self._timer()
        kept = self._kept.pop(client_id, None)
        if fetched is None or fetched.status >= 500:
            if kept is not None and now < kept.usable_until:
                self._kept[client_id] = kept
                return kept.client
            raise _refused(f"{_UNREAD} {urlsplit(client_id).hostname}. {_FOR_THE_OPERATOR}")
        if fetched.status != 200:
            raise _refused("There is no description at its address")
        if len(fetched.body) > LARGEST:
            raise _refused(f"Its description is longer than {LARGEST} bytes")
        client = _client(client_id, fetched.body)
        if (seconds := _kept_for(fetched.headers)) > 0:
            if len(self._kept) >= _MOST_KEPT:
                del self._kept[next(iter(self._kept))]
            self._kept[client_id] = _Kept(client, now + seconds, now + _USABLE)
        return client


def is_document_id(client_id: str) -> bool:
    """Whether the id is meant to be an address: no other of ours looks like one."""
    return client_id.startswith(("https://", "http://"))


def _place(client_id: str) -> tuple[str, str, str] | None:
    """Scheme, host, and host with port, of an address in its plainest form, with a path."""
    if len(client_id) > _LONGEST_URL or not _URL.fullmatch(client_id) or "#" in client_id:
        return None
    try:
        parts = urlsplit(client_id)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        return None
    segments = [unquote(segment) for segment in parts.path.split("/")]
    if not host or "@" in parts.netloc or parts.path in ("", "/") or {".", ".."} & set(segments):
        return None
    return parts.scheme, host, parts.netloc


def _client(client_id: str, body: bytes) -> RegisteredClient:
    try:
        found: Any = json.loads(body.decode("utf-8"))
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise _refused("Its description is not a JSON object")
    if found.get("client_id") != client_id:
        raise _refused("Its description is about another address")
    name, uris = found.get("client_name"), found.get("redirect_uris")
    if not isinstance(name, str) or not name.strip() or not isinstance(uris, list):
        raise _refused("Its description lacks client_name or redirect_uris")
    usable = tuple(uri for uri in uris[:MOST_REDIRECT_URIS] if may_be_registered(uri))
    if not usable:
        raise _refused("Its description names no redirect URI that can be used")
    methods, keys = _auth_methods(found), keys_in(found)
    if "client_secret" in found or not methods & {"none", KEY}:
        raise _refused("Its description asks for a way to prove itself that is not offered here")
    if "none" not in methods and keys is None:
        raise _refused("Its description says that it proves itself by its key, and names no jwks_uri that can be used")
    asked = found.get("grant_types", [*GRANT_TYPES])
    grant_types = GRANT_TYPES & frozenset(each for each in asked if isinstance(each, str)) if asked else GRANT_TYPES
    return RegisteredClient(
        client_id,
        ClientSource.DOCUMENT,
        name.strip()[:LONGEST_NAME],
        usable,
        grant_types,
        auth_method="none" if "none" in methods else KEY,
        keys=keys if KEY in methods else None,
        application_type="native" if found.get("application_type") == "native" else "web",
    )


def _auth_methods(found: Mapping[str, Any]) -> set[str]:
    """The ways in which it can prove itself: the one that it likes best, and those that it offers besides.

    A description does not know which server reads it, so some list what they can do, as a server does: OpenID Connect
    Relying Party Metadata Choices 1.0. Whoever offers `none` too may come either way, and stays with the one it chose.
    """
    offered = found.get("token_endpoint_auth_methods_supported")
    named = [found.get("token_endpoint_auth_method"), *(offered if isinstance(offered, list) else [])]
    return {method for method in named if isinstance(method, str)} or {"none"}


def _kept_for(headers: Mapping[str, str]) -> float:
    """Seconds. A document of which its host says nothing is kept for a few minutes."""
    control = headers.get("cache-control", "").lower()
    if "no-store" in control or "no-cache" in control:
        return 0.0
    age = _MAX_AGE.search(control)
    return min(float(age[1]), _LONGEST_KEPT) if age else _USUAL


def _refused(why: str) -> AuthorizationError:
    return AuthorizationError("invalid_client", f"This program cannot be let in. {why}.")

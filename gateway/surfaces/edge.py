"""In front of every route, HTTP and WebSocket: who may enter at all. Pure ASGI.

In this order: one Host header, and one of ours (400, 421); an Origin of ours, if there is one (403); a listed path
(404); a body that is not too large (413); not too many wrong keys from there (429); somebody we know (401; 503 if that
cannot be told), whose token is for the tools (403). Whoever looks at a page and is nobody is led to sign in. Then the
route runs, with `principal` and `access` in `scope["state"]`, both None at a visitors' door where nobody is known; and
it is ended where what let a program in is taken back. Deny by default: a route that is not listed in the doors cannot
be reached, whatever the application routes.

Decisions use `scope["path"]`, which the router uses too, never a URL rebuilt from headers. What a route fails to
catch ends here, with a reference id for the caller and the rest in the log.

Below: `headers`, `proxies`, `addresses`, `doors`, `guessing`, `body`, `bearer`, `vigil`, `answer`, access. Above: the
app.
"""

from __future__ import annotations

import logging
import re
import secrets
import time
from dataclasses import replace
from functools import partial
from urllib.parse import quote, urlencode

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.access.authenticator import Authenticator, Refused
from gateway.access.scopes import TOOLS
from gateway.errors import GatewayError, StoreUnavailableError
from gateway.surfaces import access_log, vigil
from gateway.surfaces.addresses import Addresses
from gateway.surfaces.answer import Answer
from gateway.surfaces.bearer import Bearer
from gateway.surfaces.body import CountedBody
from gateway.surfaces.doors import Door, Doors, Entrance
from gateway.surfaces.guessing import Guessing, shown_in
from gateway.surfaces.headers import Headers
from gateway.surfaces.proxies import Proxies
from gateway.surfaces.refusal import (
    BAD_HOST,
    CANNOT_TELL,
    NOT_AUTHENTICATED,
    NOT_FOUND,
    TOO_LARGE,
    UNAVAILABLE,
    WRONG_HOST,
    WRONG_ORIGIN,
    Refusal,
    crashed,
    wants_page,
)
from gateway.surfaces.vigil import Vigil
from gateway.types import Access

log = logging.getLogger(__name__)

BODY_LIMIT = 4 << 20
_TOKEN_IN_QUERY = re.compile(rb"(?:^|&)access_token=")
_IN_THE_ADDRESS = Refused(
    "invalid_request", "A token is taken from the Authorization header only: addresses end up in logs. Send it there."
)
_TAKEN_BACK = Refused.invalid("What let this request in was taken back while it was being served.")


class Edge:
    """Wraps the application. `bearer` makes a program's 401 and 403, with what it is to bring instead.

    `scope["client"]` names whoever is calling; with `proxies`, behind those.
    """

    def __init__(
        self,
        app: ASGIApp,
        authenticator: Authenticator,
        doors: Doors,
        addresses: Addresses,
        *,
        bearer: Bearer = Bearer(),  # noqa: B008 - frozen
        proxies: Proxies | None = None,
        body_limit: int = BODY_LIMIT,
        access_log: bool = False,
    ) -> None:
        self._app = app
        self._authenticator = authenticator
        self._doors = doors
        self._addresses = addresses
        self._bearer = bearer
        self._proxies = proxies
        self._body_limit = body_limit
        self._logs = access_log
        self._guessing = Guessing(knows_proxies=proxies is not None)
        self.look_again_after = vigil.LOOK_EVERY
        """Seconds, after which it is asked again whether a request that is still being served may go on."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        headers = Headers.of(scope)
        if self._proxies is not None and (peer := scope.get("client")):
            scope["client"] = (self._proxies.caller(peer[0], headers.get("x-forwarded-for")), peer[1])
        door = self._doors.find(_routed_path(scope))
        is_open = door is not None and door.entrance is Entrance.OPEN
        answer = Answer(scope, headers, send, for_every_site=is_open)
        shown = shown_in(scope, headers, door) if door is not None else None
        try:
            refusal = (
                self._refusal(headers, door)
                or self._guessing.refusal(scope, headers, shown)
                or await self._authenticate(scope, headers, door)
            )
            if refusal is not None:
                await answer.refuse(refusal)
                return
            if is_open and _is_preflight(scope, headers):
                await answer.allow()
                return
            if "transfer-encoding" in headers:
                receive = CountedBody(receive, answer, self._body_limit).receive
            await self._serve(scope, receive, answer, headers, door)
        except ClientDisconnect:
            return
        except StoreUnavailableError as error:
            log.warning("%s could not be served: %s", door and door.path, error)
            await answer.refuse(UNAVAILABLE)
        except Exception as error:  # noqa: BLE001 - the last one who can answer: a bug in a route is a 500, not a dead socket
            await answer.refuse(_crash(door, error))
        finally:
            self._guessing.note(scope, headers, shown, answer.status)
            if self._logs:
                milliseconds = (time.perf_counter() - started) * 1000
                method, caller = scope.get("method", "WEBSOCKET"), scope.get("client") or ("",)
                access_log.note(method, door and door.path, answer.status, milliseconds, caller[0])

    async def _serve(self, scope: Scope, receive: Receive, answer: Answer, headers: Headers, door: Door | None) -> None:
        """Run the route; of a program, only as long as what let it in is not taken back."""
        if door is None or door.entrance is not Entrance.PROGRAM:
            await self._app(scope, receive, answer.send)
            return
        access: Access = scope["state"]["access"]
        with Vigil(partial(self._authenticator.stands, headers, access), self.look_again_after) as watched:
            await self._app(scope, receive, answer.send)
        if watched.has_ended_it:
            await (answer.end() if answer.status else answer.refuse(self._bearer.refused(door.path, _TAKEN_BACK)))

    def _refusal(self, headers: Headers, door: Door | None) -> Refusal | None:
        """Everything that can be told without asking who it is."""
        host = headers.get("host")
        if not host or "," in host:
            return BAD_HOST
        among_replicas = (
            door is not None and door.entrance is Entrance.REPLICA and host.lower() in self._addresses.replica_hosts
        )
        if host.lower() not in self._addresses.hosts and not among_replicas:
            return WRONG_HOST
        origin = headers.get("origin")
        is_open = door is not None and door.entrance is Entrance.OPEN
        if origin is not None and not is_open and not self._is_ours(origin.lower(), host.lower()):
            return WRONG_ORIGIN
        if door is None or (door.entrance is Entrance.REPLICA and not among_replicas):
            return NOT_FOUND
        if int(headers.get("content-length", "0")) > self._body_limit:  # the HTTP parser has seen that it is a number
            return TOO_LARGE
        return None

    def _is_ours(self, origin: str, host: str) -> bool:
        """Besides our public origins: wherever the request itself went. The ATP SDK's WebSocket library sends that."""
        return origin in self._addresses.origins or origin in (f"http://{host}", f"https://{host}")

    async def _authenticate(self, scope: Scope, headers: Headers, door: Door | None) -> Refusal | None:
        """Put the Access on the request. Only an authenticator that gives one lets somebody in."""
        if door is None or door.entrance in (Entrance.PUBLIC, Entrance.OPEN, Entrance.REPLICA):
            return None
        by_program = door.entrance is Entrance.PROGRAM
        if by_program and _TOKEN_IN_QUERY.search(scope.get("query_string", b"")):
            return self._bearer.refused(door.path, _IN_THE_ADDRESS)
        try:
            found = await (self._authenticator.program if by_program else self._authenticator.browser)(headers)
        except GatewayError as error:
            log.warning("nobody can be let in at %s right now: %s", door.path, error)
            return CANNOT_TELL
        except Exception:  # whatever an authenticator's trouble is, it lets nobody in
            log.exception("the authenticator failed; the request was refused")
            return CANNOT_TELL
        access = found if isinstance(found, Access) and (not by_program or TOOLS in found.scopes) else None
        if access is None and door.entrance is not Entrance.VISITOR:
            return self._not_good(door.path, found) if by_program else self._nobody(scope, headers)
        scope.setdefault("state", {}).update(principal=access.principal if access else None, access=access)
        return None

    def _nobody(self, scope: Scope, headers: Headers) -> Refusal:
        """A person who looks at a page is led to sign in, and back; whatever else is refused."""
        if self._doors.sign_in is None or scope.get("method") != "GET" or not wants_page(headers):
            return NOT_AUTHENTICATED
        query = scope.get("query_string", b"").decode("latin-1")
        wanted = quote(_routed_path(scope)) + (f"?{query}" if query else "")
        place = f"{scope.get('root_path', '')}{self._doors.sign_in}?{urlencode({'next': wanted})}"
        return replace(NOT_AUTHENTICATED, status=303, headers={"location": place})

    def _not_good(self, door: str, found: Access | Refused | None) -> Refusal:
        if found is None:
            return self._bearer.unknown(door)
        if isinstance(found, Refused):
            return self._bearer.refused(door, found)
        return self._bearer.insufficient(door, {TOOLS}, "This token was not issued for the gateway's tools.")


def _routed_path(scope: Scope) -> str:
    path: str = scope["path"]
    root: str = scope.get("root_path", "")
    return path[len(root) :] if root and path.startswith(f"{root}/") else path


def _is_preflight(scope: Scope, headers: Headers) -> bool:
    return scope.get("method") == "OPTIONS" and "access-control-request-method" in headers


def _crash(door: Door | None, error: Exception) -> Refusal:
    reference = secrets.token_hex(4)
    log.error("%s failed, reference %s", door and door.path, reference, exc_info=error)
    return crashed(reference)

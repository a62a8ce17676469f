"""A small CRM whose API is protected by a fake authorization server: each person sees their own records.

    crm = Crm(AuthorizationServer(…))
    async with serving(crm) as url:      # issuer and API base URL in one
        …

Contacts and companies in the shapes of HubSpot's CRM objects API, under its dated paths and its v3 ones; errors in
HubSpot's shape too, down to the category. Records live in memory. It is one vendor: what the API does not answer, the
authorization server does.

Source: developers.hubspot.com, CRM objects API, 2026-03 and v3. Below: `authorization_server`, `bearer`. Above: the
demo, the HubSpot twin, tests.
"""

from __future__ import annotations

import json
import uuid
from collections import defaultdict
from itertools import count
from typing import Any

from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from gateway.clock import Clock, SystemClock
from gateway.testing.authorization_server import AuthorizationServer
from gateway.testing.bearer import Problem, admit
from gateway.testing.grants import Person

CONTACTS: dict[str, tuple[tuple[str, str, str], ...]] = {
    "alice": (
        ("Ada", "Lovelace", "ada@analytical.example"),
        ("Grace", "Hopper", "grace@cobol.example"),
        ("Katherine", "Johnson", "katherine@orbit.example"),
    ),
    "bob": (
        ("Alan", "Turing", "alan@bletchley.example"),
        ("Claude", "Shannon", "claude@entropy.example"),
    ),
    "carol": (("Radia", "Perlman", "radia@spanning.example"),),
}
"""Whose contacts are whose: first name, last name, e-mail."""

READ, WRITE = "read", "write"
_KINDS = {"contacts", "companies", "deals"}
_DEFAULT_PAGE, _LARGEST_PAGE = 10, 100


class Crm:
    """The API and, at every other path, its authorization server. `calls` counts the API's answers by person."""

    def __init__(self, server: AuthorizationServer, clock: Clock | None = None) -> None:
        self.server = server
        self.calls: defaultdict[str, int] = defaultdict(int)
        self._clock = clock or SystemClock()
        self._ids = count(101)
        self._records: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
        for name, contacts in CONTACTS.items():
            for first, last, email in contacts:
                self._put(name, "contacts", {"firstname": first, "lastname": last, "email": email})
        server.serve_also(
            Route(path, endpoint, methods=[method])
            for path in ("/crm/objects/{version}/{kind}", "/crm/v3/objects/{kind}")
            for method, endpoint in (("GET", self._list), ("POST", self._create))
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.server(scope, receive, send)

    def records(self, person: str, kind: str) -> list[dict[str, Any]]:
        """What `person` has: `contacts` or `companies`."""
        return self._records[person, kind]

    async def _list(self, request: Request) -> Response:
        allowed = self._admit(request, READ)
        if isinstance(allowed, Response):
            return allowed
        try:
            limit, after = _page(request.query_params)
        except ValueError:
            return _error(400, "VALIDATION_ERROR", "limit and after are whole numbers; limit is at most 100.")
        everything = self.records(allowed.name, request.path_params["kind"])
        body: dict[str, Any] = {"results": everything[after : after + limit]}
        if after + limit < len(everything):
            link = str(request.url.include_query_params(after=after + limit))
            body["paging"] = {"next": {"after": str(after + limit), "link": link}}
        return JSONResponse(body)

    async def _create(self, request: Request) -> Response:
        allowed = self._admit(request, WRITE)
        if isinstance(allowed, Response):
            return allowed
        try:
            body = json.loads(await request.body())
        except ValueError:
            return _error(400, "VALIDATION_ERROR", "Invalid input JSON.")
        properties = body.get("properties") if isinstance(body, dict) else None
        if not isinstance(properties, dict) or not properties:
            return _error(400, "VALIDATION_ERROR", "Send an object with at least one property under `properties`.")
        return JSONResponse(self._put(allowed.name, request.path_params["kind"], properties), 201)

    def _admit(self, request: Request, access: str) -> Person | Response:
        """Whose request it is, or the refusal."""
        kind = request.path_params["kind"]
        if kind not in _KINDS:
            return _error(404, "OBJECT_NOT_FOUND", f"Unable to infer object type from: {kind}")
        scope = f"crm.objects.{kind}.{access}"
        token = admit(self.server, request, scope)
        if token is Problem.EXPIRED:
            return _error(401, "EXPIRED_AUTHENTICATION", "The OAuth token used to make this call has expired.")
        if token is Problem.SCOPE:
            context = {"context": {"requiredGranularScopes": [scope]}}
            message = "This app hasn't been granted all required scopes to make this call."
            return _error(403, "MISSING_SCOPES", message, errors=[{"message": f"{scope} is required.", **context}])
        if isinstance(token, Problem):
            return _error(401, "INVALID_AUTHENTICATION", "Authentication credentials not found or no longer valid.")
        self.calls[token.grant.person.name] += 1
        return token.grant.person

    def _put(self, person: str, kind: str, properties: dict[str, Any]) -> dict[str, Any]:
        now = self._clock.now().strftime("%Y-%m-%dT%H:%M:%S.000Z")
        number = str(next(self._ids))
        stamps = {"createdate": now, "lastmodifieddate": now, "hs_object_id": number}
        texts = {key: None if value is None else str(value) for key, value in properties.items()}
        record = {"id": number, "properties": texts | stamps, "createdAt": now, "updatedAt": now, "archived": False}
        self._records[person, kind].append(record)
        return record


def _page(params: QueryParams) -> tuple[int, int]:
    limit, after = int(params.get("limit", _DEFAULT_PAGE)), int(params.get("after", 0))
    if not 0 < limit <= _LARGEST_PAGE or after < 0:
        raise ValueError
    return limit, after


def _error(status: int, category: str, message: str, **more: Any) -> Response:
    body = {"status": "error", "message": message, "correlationId": str(uuid.uuid4()), "category": category}
    return JSONResponse(body | more, status)

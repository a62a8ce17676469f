"""A little of Salesforce's REST API: queries, new records, and the identity service. Its errors are arrays.

Sources: developer.salesforce.com, REST API (Query, sObject Basic Information, status codes), Identity URLs.
Below: `bearer`. Above: `salesforce`.
"""

from __future__ import annotations

import re
from collections import defaultdict
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from gateway.testing.authorization_server import AuthorizationServer
from gateway.testing.bearer import Problem, admit
from gateway.testing.crm import CONTACTS
from gateway.testing.grants import Person
from gateway.testing.twins.people import number_of

ORGANIZATION = "00D000000000062EAA"
_SOQL = re.compile(r"\s*SELECT\s+(?P<fields>[\w\s,.]+?)\s+FROM\s+(?P<kind>\w+)\b", re.IGNORECASE)
_DATA = "/services/data/{version}"

Records = defaultdict[tuple[str, str], list[dict[str, Any]]]


def user_id(person: Person) -> str:
    """Eighteen characters, beginning with the users' prefix."""
    return f"005{number_of(person)}AAAAAAA"


def identity_url(origin: str, person: Person) -> str:
    return f"{origin}/id/{ORGANIZATION}/{user_id(person)}"


def identity(origin: str, person: Person) -> dict[str, Any]:
    """What the identity service tells."""
    return {
        "id": identity_url(origin, person),
        "user_id": user_id(person),
        "organization_id": ORGANIZATION,
        "username": f"{person.name}@twin.example",
        "display_name": person.full_name,
        "email": person.email,
        "urls": {"query": f"{origin}/services/data/v{{version}}/query/"},
    }


def serve(server: AuthorizationServer) -> None:
    """Add the API to the twin. Each person sees contacts of their own."""
    records: Records = defaultdict(list)
    for name, contacts in CONTACTS.items():
        for first, last, email in contacts:
            _put(records[name, "Contact"], "Contact", {"FirstName": first, "LastName": last, "Email": email})

    async def query(request: Request) -> Response:
        token = admit(server, request, "api", "full")
        if isinstance(token, Problem):
            return _turned_away(token)
        asked = _SOQL.match(request.query_params.get("q", ""))
        if asked is None:
            return _error(400, "MALFORMED_QUERY", "unexpected token: write SELECT … FROM …")
        found = [_picked(record, asked["fields"]) for record in records[token.grant.person.name, asked["kind"]]]
        return JSONResponse({"totalSize": len(found), "done": True, "records": found})

    async def create(request: Request) -> Response:
        token = admit(server, request, "api", "full")
        if isinstance(token, Problem):
            return _turned_away(token)
        kind = request.path_params["kind"]
        made = _put(records[token.grant.person.name, kind], kind, await request.json())
        return JSONResponse({"id": made["Id"], "success": True, "errors": []}, 201)

    async def who(request: Request) -> Response:
        token = admit(server, request)
        if isinstance(token, Problem):
            return PlainTextResponse("Bad_OAuth_Token", 403)
        return JSONResponse(identity(str(request.base_url).rstrip("/"), token.grant.person))

    server.serve_also(
        [
            Route(f"{_DATA}/query", query),
            Route(f"{_DATA}/query/", query),
            Route(f"{_DATA}/sobjects/{{kind}}", create, methods=["POST"]),
            Route(f"{_DATA}/sobjects/{{kind}}/", create, methods=["POST"]),
            Route("/id/{organization}/{user}", who),
        ]
    )


def _put(mine: list[dict[str, Any]], kind: str, fields: dict[str, Any]) -> dict[str, Any]:
    number = f"{'003' if kind == 'Contact' else '001'}{len(mine) + 1:012d}AAA"
    url = f"/services/data/v62.0/sobjects/{kind}/{number}"
    mine.append({"attributes": {"type": kind, "url": url}, "Id": number, **fields})
    return mine[-1]


def _picked(record: dict[str, Any], fields: str) -> dict[str, Any]:
    names = [name.strip() for name in fields.split(",")]
    return {"attributes": record["attributes"], **{name: record.get(name) for name in names}}


def _turned_away(problem: Problem) -> Response:
    """One code for whatever is wrong with a session: expired, revoked, unknown."""
    if problem is Problem.SCOPE:
        return _error(403, "INSUFFICIENT_ACCESS", "This session is not valid for use with the REST API")
    return _error(401, "INVALID_SESSION_ID", "Session expired or invalid")


def rate_limited(what: str) -> Response:
    if what != "api":
        return JSONResponse({"error": "rate_limit_exceeded", "error_description": "login rate exceeded"}, 400)
    return _error(403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.")


def _error(status: int, code: str, message: str) -> Response:
    return JSONResponse([{"message": message, "errorCode": code}], status)

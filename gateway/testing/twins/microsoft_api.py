"""A little of Microsoft Graph: the person and their mail, with Graph's errors.

Sources: learn.microsoft.com, Graph v1.0 (user, message, sendMail), "Error responses", "Throttling guidance".
Below: `bearer`. Above: `microsoft`.
"""

from __future__ import annotations

import uuid
from collections import Counter
from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gateway.testing.authorization_server import AuthorizationServer
from gateway.testing.bearer import Problem, admit
from gateway.testing.grants import Person
from gateway.testing.twins.people import names_of, uuid_of

_SUBJECTS = ("Numbers for the board", "Lunch on Thursday?")
_DEAD = {
    Problem.EXPIRED: "Lifetime validation failed, the token is expired.",
    Problem.REVOKED: "Access token has been revoked.",
    Problem.MISSING: "Access token is empty.",
}


def serve(server: AuthorizationServer) -> None:
    """Add the API to the twin. Each person has two messages; what they send is counted and goes nowhere."""
    sent: Counter[str] = Counter()

    async def me(request: Request) -> Response:
        token = admit(server, request, "User.Read")
        if isinstance(token, Problem):
            text = "Insufficient privileges to complete the operation."
            return _turned_away(token, "Authorization_RequestDenied", text)
        first, last = names_of(token.grant.person)
        return JSONResponse(
            {
                "@odata.context": f"{request.base_url}v1.0/$metadata#users/$entity",
                "id": uuid_of(token.grant.person),
                "displayName": token.grant.person.full_name,
                "givenName": first,
                "surname": last,
                "mail": token.grant.person.email,
                "userPrincipalName": token.grant.person.email,
            }
        )

    async def messages(request: Request) -> Response:
        token = admit(server, request, "Mail.Read", "Mail.ReadWrite")
        if isinstance(token, Problem):
            return _turned_away(token, "ErrorAccessDenied", "Access is denied. Check credentials and try again.")
        person = token.grant.person
        context = f"{request.base_url}v1.0/$metadata#users('{uuid_of(person)}')/messages"
        return JSONResponse({"@odata.context": context, "value": _messages(person, server.clock.now().isoformat())})

    async def send_mail(request: Request) -> Response:
        token = admit(server, request, "Mail.Send")
        if isinstance(token, Problem):
            return _turned_away(token, "ErrorAccessDenied", "Access is denied. Check credentials and try again.")
        sent[token.grant.person.name] += 1
        return Response(status_code=202)

    server.serve_also(
        [
            Route("/v1.0/me", me),
            Route("/v1.0/me/messages", messages),
            Route("/v1.0/me/sendMail", send_mail, methods=["POST"]),
        ]
    )


def _messages(person: Person, at: str) -> list[dict[str, Any]]:
    sender = {"emailAddress": {"name": "Radia Perlman", "address": "radia@spanning.example"}}
    return [
        {
            "id": f"AAMk{person.name}{number}",
            "receivedDateTime": at,
            "subject": subject,
            "bodyPreview": "",
            "isRead": False,
            "from": sender,
        }
        for number, subject in enumerate(_SUBJECTS, 1)
    ]


def _turned_away(problem: Problem, denied: str, text: str) -> Response:
    if problem is Problem.SCOPE:
        return _error(403, denied, text)
    return invalid_token(_DEAD.get(problem, "Invalid authentication token."))


def invalid_token(text: str) -> Response:
    return _error(401, "InvalidAuthenticationToken", text, {"WWW-Authenticate": 'Bearer realm=""'})


def rate_limited(what: str) -> Response:
    if what != "api":
        body = {"error": "temporarily_unavailable", "error_description": "AADSTS90055: Too many requests."}
        return JSONResponse(body | {"error_codes": [90055]}, 429, headers={"Retry-After": "10"})
    return _error(429, "TooManyRequests", "Too many requests", {"Retry-After": "10"})


def _error(status: int, code: str, text: str, headers: dict[str, str] | None = None) -> Response:
    number = str(uuid.uuid4())
    inner = {"date": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S"), "request-id": number, "client-request-id": number}
    return JSONResponse({"error": {"code": code, "message": text, "innerError": inner}}, status, headers=headers)

"""A little of Gmail and of Google Calendar, with the errors of both.

Sources: developers.google.com, Gmail API v1 (users.messages), Calendar API v3 (events), and google.rpc.ErrorInfo.
Below: `bearer`. Above: `google`.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gateway.testing.authorization_server import AuthorizationServer
from gateway.testing.bearer import Problem, admit

_SCOPE = "https://www.googleapis.com/auth/"
_MAIL = (f"{_SCOPE}gmail.readonly", f"{_SCOPE}gmail.modify", "https://mail.google.com/")
_READ_EVENTS = (f"{_SCOPE}calendar.events.readonly", f"{_SCOPE}calendar.readonly")
_WRITE_EVENTS = (f"{_SCOPE}calendar.events", f"{_SCOPE}calendar")
_REALM = 'Bearer realm="https://accounts.google.com/"'


def serve(server: AuthorizationServer) -> None:
    """Add the API to the twin. Each person has two messages and, at first, one event."""
    events: defaultdict[str, list[dict[str, Any]]] = defaultdict(lambda: [_event(1, "Tea with the twins")])

    async def messages(request: Request) -> Response:
        token = admit(server, request, *_MAIL)
        if isinstance(token, Problem):
            return _turned_away(token, "gmail.googleapis.com", "MailboxService.ListMessages", _MAIL)
        found = [
            {"id": f"18f{token.grant.person.name}{n}", "threadId": f"18f{token.grant.person.name}{n}"} for n in (1, 2)
        ]
        return JSONResponse({"messages": found, "resultSizeEstimate": len(found)})

    async def list_events(request: Request) -> Response:
        token = admit(server, request, *_READ_EVENTS, *_WRITE_EVENTS)
        if isinstance(token, Problem):
            return _turned_away(token, "calendar-json.googleapis.com", "calendar.v3.Events.List", _READ_EVENTS)
        items = events[token.grant.person.name]
        return JSONResponse({"kind": "calendar#events", "summary": token.grant.person.email, "items": items})

    async def insert_event(request: Request) -> Response:
        token = admit(server, request, *_WRITE_EVENTS)
        if isinstance(token, Problem):
            return _turned_away(token, "calendar-json.googleapis.com", "calendar.v3.Events.Insert", _WRITE_EVENTS)
        mine = events[token.grant.person.name]
        mine.append(_event(len(mine) + 1, str((await request.json()).get("summary", ""))))
        return JSONResponse(mine[-1])

    calendar = "/calendar/v3/calendars/primary/events"
    server.serve_also(
        [
            Route("/gmail/v1/users/me/messages", messages),
            Route(calendar, list_events),
            Route(calendar, insert_event, methods=["POST"]),
        ]
    )


def _event(number: int, summary: str) -> dict[str, Any]:
    return {"kind": "calendar#event", "id": f"twin{number}", "status": "confirmed", "summary": summary}


def _turned_away(problem: Problem, service: str, method: str, scopes: tuple[str, ...]) -> Response:
    if problem is Problem.SCOPE:
        reason = {
            "@type": "type.googleapis.com/google.rpc.ErrorInfo",
            "reason": "ACCESS_TOKEN_SCOPE_INSUFFICIENT",
            "domain": "googleapis.com",
            "metadata": {"service": service, "method": method},
        }
        challenge = f'{_REALM}, error="insufficient_scope", scope="{" ".join(scopes)}"'
        text = "Request had insufficient authentication scopes."
        return _error(403, text, "PERMISSION_DENIED", challenge, details=[reason])
    text = (
        "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other valid "
        "authentication credential. See https://developers.google.com/identity/sign-in/web/devconsole-project."
    )
    return _error(401, text, "UNAUTHENTICATED", f'{_REALM}, error="invalid_token"')


def rate_limited(what: str) -> Response:
    if what != "api":
        return JSONResponse({"error": "rate_limit_exceeded", "error_description": "Rate Limit Exceeded"}, 403)
    errors = [{"domain": "usageLimits", "reason": "rateLimitExceeded", "message": "Rate Limit Exceeded"}]
    return _error(429, "Rate Limit Exceeded", "RESOURCE_EXHAUSTED", None, errors=errors)


def _error(status: int, text: str, name: str, challenge: str | None, **more: Any) -> Response:
    headers = {"WWW-Authenticate": challenge} if challenge else {}
    return JSONResponse({"error": {"code": status, "message": text, "status": name, **more}}, status, headers=headers)

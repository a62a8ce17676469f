"""The sending side of one request: security headers on what leaves, and what is known about the answer.

A page gets the whole set; every answer gets `nosniff`; one behind an open door may be read by pages of every site. A
route that needs another value sets the header itself, and that one stays. Below: `refusal`. Above: the edge.

Source: Content Security Policy 3; Fetch ("append a request Origin header", "CORS protocol"); RFC 9111.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from starlette.types import Message, Scope, Send

from gateway.surfaces.refusal import Refusal, wants_page


def content_security_policy(*form_targets: str) -> str:
    """Nothing but our own script, style and images; forms go to us and to `form_targets`."""
    forms = " ".join(("'self'", *form_targets))
    return (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        f"form-action {forms}; frame-ancestors 'none'; base-uri 'none'"
    )


_NOSNIFF = (b"x-content-type-options", b"nosniff")
_PAGE_HEADERS = (
    (b"content-security-policy", content_security_policy().encode()),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
    (b"cross-origin-opener-policy", b"same-origin"),
)
_FOR_EVERY_SITE = (b"access-control-allow-origin", b"*")
_PREFLIGHT = (
    _FOR_EVERY_SITE,
    (b"access-control-allow-methods", b"GET, POST"),
    (b"access-control-allow-headers", b"*, Authorization"),
    (b"access-control-max-age", b"600"),
)
_ANSWERS = ("http.response.start", "websocket.accept", "websocket.close", "websocket.http.response.start")


class Answer:
    """One request's answer. `status` is 0 until there is one; after `end` whatever the route sends is dropped.

    `for_every_site`: pages of other sites may read it.
    """

    __slots__ = ("_ended", "_for_every_site", "_headers", "_scope", "_send", "status")

    def __init__(self, scope: Scope, headers: Mapping[str, str], send: Send, *, for_every_site: bool = False) -> None:
        self._scope = scope
        self._headers = headers
        self._send = send
        self._for_every_site = for_every_site
        self._ended = False
        self.status = 0

    async def send(self, message: Message) -> None:
        if self._ended:
            return
        if not self.status and message["type"] in _ANSWERS:
            self.status = message.get("status", 101 if message["type"] == "websocket.accept" else 403)
            if message["type"] == "http.response.start":
                message["headers"] = _guarded(message.get("headers", ()))
                if self._for_every_site:
                    message["headers"].append(_FOR_EVERY_SITE)
        await self._send(message)

    async def refuse(self, refusal: Refusal) -> None:
        """Answer with a refusal, unless the route has begun its own answer, and end."""
        if not self.status:
            if self._scope["type"] == "http":
                await self._refuse("http.response", refusal)
            elif "websocket.http.response" in self._scope.get("extensions", {}):
                await self._refuse("websocket.http.response", refusal)
            else:
                await self.send({"type": "websocket.close", "code": 1008})
        elif self._scope["type"] == "websocket":
            await self.send({"type": "websocket.close", "code": 1011})
        self._ended = True

    async def allow(self) -> None:
        """Tell a browser that a page of another site may send the request that it asks about."""
        await self._send({"type": "http.response.start", "status": 204, "headers": list(_PREFLIGHT)})
        await self._send({"type": "http.response.body", "body": b""})
        self.status = 204

    async def end(self) -> None:
        """End an answer that the route has begun, in good order."""
        if self._scope["type"] == "websocket":
            await self.send({"type": "websocket.close", "code": 1008})
        else:
            await self.send({"type": "http.response.body", "body": b""})
        self._ended = True

    async def _refuse(self, prefix: str, refusal: Refusal) -> None:
        as_page = prefix == "http.response" and wants_page(self._headers)
        body = refusal.body(as_page=as_page, root=self._scope.get("root_path", ""))
        headers = refusal.headers_of(body, as_page=as_page)
        pairs = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
        await self.send({"type": f"{prefix}.start", "status": refusal.status, "headers": pairs})
        await self.send({"type": f"{prefix}.body", "body": body})


def _guarded(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    guarded = list(headers)
    guarded.append(_NOSNIFF)
    if any(name == b"content-type" and value.startswith(b"text/html") for name, value in guarded):
        present = {name for name, _ in guarded}
        guarded += [header for header in _PAGE_HEADERS if header[0] not in present]
    return guarded

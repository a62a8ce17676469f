"""Our cookies: HttpOnly, SameSite=Lax, for the whole host, never for other hosts of the domain.

With https they are Secure and carry the `__Host-` prefix, which browsers enforce. Plain http exists on loopback only;
there the prefix would make browsers drop the cookie, so it is left out. Lax and not Strict: the way back from a
provider is a navigation that another site began.

Source: RFC 6265bis sections 4.1.3.2 and 5.6.7.
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response


class Cookies:
    """`secure` says whether the browser reaches us by https."""

    def __init__(self, *, secure: bool) -> None:
        self._secure = secure
        self._prefix = "__Host-atp-" if secure else "atp-"

    def name_of(self, name: str) -> str:
        """What the browser knows the cookie as."""
        return self._prefix + name

    def find(self, request: Request, name: str) -> str | None:
        return request.cookies.get(self._prefix + name)

    def put(self, response: Response, name: str, value: str, seconds: int) -> None:
        response.set_cookie(
            self._prefix + name, value, max_age=seconds, secure=self._secure, httponly=True, samesite="lax"
        )

    def drop(self, response: Response, name: str) -> None:
        self.put(response, name, "", 0)

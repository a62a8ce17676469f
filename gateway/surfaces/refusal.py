"""A plain "no", as a page for a person and as JSON for a program.

Used by the edge, before any route is entered, and for what goes wrong behind it. Each says what to do next. Needs
no template engine: it has to work when nothing else does.

Below: nothing. Above: `edge`, `application`, `web`.
"""

from __future__ import annotations

import html
import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from starlette.requests import Request
from starlette.responses import Response


@dataclass(frozen=True, slots=True)
class Refusal:
    """`code` is the stable name that scripts may test for; `title` and `text` are for people."""

    status: int
    code: str
    title: str
    text: str
    headers: Mapping[str, str] = field(default_factory=dict)

    def body(self, *, as_page: bool, root: str = "") -> bytes:
        """The answer's body. `root` is the path under which the gateway is mounted."""
        return (self._page(html.escape(root)) if as_page else self._json()).encode()

    def headers_of(self, body: bytes, *, as_page: bool) -> dict[str, str]:
        return {
            "content-type": "text/html; charset=utf-8" if as_page else "application/json",
            "content-length": str(len(body)),
            "cache-control": "no-store",
            **self.headers,
        }

    def answer(self, request: Request) -> Response:
        """As a response, for a route that refuses by itself: the very one that the edge would give."""
        as_page = wants_page(request.headers)
        body = self.body(as_page=as_page, root=request.scope.get("root_path", ""))
        return Response(body, self.status, self.headers_of(body, as_page=as_page))

    def _json(self) -> str:
        return json.dumps({"status": "error", "code": self.code, "message": self.text, "error": self.code})

    def _page(self, root: str) -> str:
        title, text = html.escape(self.title), html.escape(self.text)
        return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title} · ATP Gateway</title>
<link rel="icon" href="{root}/static/icon.svg" type="image/svg+xml">
<link rel="stylesheet" href="{root}/static/style.css">
<script src="{root}/static/page.js" defer></script>
</head>
<body>
<header class="top"><a class="brand" href="{root}/">ATP Gateway</a></header>
<main class="narrow">
<section class="card">
<p class="eyebrow">{self.status}</p>
<h1>{title}</h1>
<p class="lead">{text}</p>
<p class="onward"><a class="button secondary" href="{root}/">To the front page</a></p>
</section>
</main>
</body>
</html>
"""


def wants_page(headers: Mapping[str, str]) -> bool:
    """Whether a person looks at the answer: browsers name text/html first in every navigation."""
    return "text/html" in headers.get("accept", "")


BAD_HOST = Refusal(400, "bad_host", "Which address was that?", "A request carries exactly one Host header. Send one.")
WRONG_HOST = Refusal(
    421,
    "wrong_host",
    "Not known by this name",
    "This gateway does not answer to that host name. Open it under the address it was set up with, "
    "or set public_url to the address you use.",
)
WRONG_ORIGIN = Refusal(
    403,
    "wrong_origin",
    "Another site asked",
    "This request came from a page of another site, and those may not use the gateway. Open the gateway itself.",
)
NOT_FOUND = Refusal(
    404, "not_found", "Nothing here", "There is no such page. Check the address, or start at the front page."
)
METHOD = Refusal(
    405,
    "method_not_allowed",
    "Not that way",
    "This address exists but is used in another way. Start at the front page.",
)
UNREADABLE = Refusal(400, "bad_request", "Not understood", "The request could not be read. Go back and try again.")
TOO_LARGE = Refusal(
    413, "body_too_large", "Too much at once", "The request is larger than this gateway accepts. Send less at a time."
)
NOT_AUTHENTICATED = Refusal(
    401,
    "not_authenticated",
    "Who is there?",
    "The gateway does not know who you are. Sign in and open this page again.",
)
NO_CREDENTIAL = Refusal(
    401,
    "not_authenticated",
    "Who is there?",
    "The gateway does not know who is calling. Send a valid token or key in the Authorization header.",
)
INSUFFICIENT_SCOPE = Refusal(
    403,
    "insufficient_scope",
    "Not with this token",
    "The token does not allow this. Ask for one with the scope that the challenge names.",
)
GUESSING = Refusal(
    429,
    "too_many_wrong_credentials",
    "Too many wrong keys",
    "Too many wrong keys or tokens came from your address. Wait a moment, then send the right one.",
)
CANNOT_TELL = Refusal(
    503,
    "authentication_unavailable",
    "Back in a moment",
    "The gateway cannot check who you are right now. Nothing was done; try again in a moment.",
    {"retry-after": "5"},
)

UNAVAILABLE = Refusal(
    503,
    "store_unavailable",
    "Back in a moment",
    "The gateway's database does not answer right now. Try again in a moment.",
    {"retry-after": "5"},
)


def crashed(reference: str) -> Refusal:
    return Refusal(
        500,
        "internal_error",
        "Something broke",
        f"That is our fault, not yours. The cause is in the gateway's log under reference {reference}.",
    )

"""How a fake authorization server behaves: one field for each way real ones differ or go wrong.

Change a field at any time; it holds from the next request on. The defaults are a well-behaved server.

Below: nothing. Above: `gateway.testing.grants` and `gateway.testing.authorization_server`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any


@dataclass(slots=True)
class Behaviour:
    """The fields of a token answer that a server may leave out, rename or add; and its strictness."""

    access_lifetime: timedelta = timedelta(minutes=30)
    """How long an access token lives, from when it is issued."""
    names_lifetime: bool = True
    """Whether answers carry `expires_in`. Salesforce's do not, and yet its tokens expire."""
    rotates: bool = False
    """Whether a refresh answers with a new refresh token and kills the old one."""
    refreshable: bool = True
    """Whether there are refresh tokens at all."""
    denied_scopes: frozenset[str] = frozenset()
    """Scopes that people leave unticked: the grant comes without them."""
    auth_methods: tuple[str, ...] = ("client_secret_basic", "client_secret_post", "none")
    """How a client may prove itself at the token endpoint."""
    token_extras: Mapping[str, Any] = field(default_factory=dict)
    """Further fields of every token answer, such as HubSpot's `hub_id`."""
    redirect_issuer: str | None = None
    """Sent as `iss` on redirects in place of our own issuer: the mix-up attack that RFC 9207 is against."""
    delay: float = 0.0
    """Seconds that every token answer takes. To hold requests without a clock, close the server's `gate`."""

"""How a fake authorization server behaves: one field for each way real ones differ or go wrong.

Change a field at any time; it holds from the next request on. The defaults are a well-behaved server.

Below: nothing. Above: `gateway.testing.grants` and `gateway.testing.authorization_server`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

FOR_EVER = timedelta.max


@dataclass(slots=True)
class Behaviour:
    """A server's policy, the fields of a token answer that it may leave out, rename or add; and its strictness."""

    access_lifetime: timedelta = timedelta(minutes=30)
    """How long an access token lives, from when it is issued."""
    slides: bool = False
    """Whether using an access token lengthens its life, as it does Salesforce's sessions."""
    names_lifetime: bool = True
    """Whether answers carry `expires_in`. Salesforce's do not, and yet its tokens expire."""
    refreshable: bool = True
    """Whether there are refresh tokens at all."""
    rotates: bool = False
    """Whether a refresh answers with a new refresh token and, when the reuse window is over, kills the old one."""
    repeats_refresh_token: bool = False
    """Whether an answer to a refresh holds the refresh token again though it has not changed."""
    reuse_window: timedelta = timedelta(0)
    """For how long a replaced refresh token still works. None is strict rotation; FOR_EVER is Microsoft's."""
    reuse_until_used: bool = False
    """A replaced refresh token works until its successor, or the access token beside that, has been used."""
    reuse_revokes: bool = True
    """Whether a refresh token that comes back after its time ends the whole family (RFC 9700 section 4.14)."""
    refresh_idle: timedelta | None = None
    """After how long without a refresh the grant ends."""
    refresh_life: timedelta | None = None
    """After how long the grant ends whatever happens: 7 days for an app of Google's testing mode."""
    most_grants: int | None = None
    """How many grants one person may give one client: a further one silently ends the oldest's refresh token."""
    granular: bool = False
    """Whether people may untick single scopes on the consent page."""
    denied_scopes: frozenset[str] = frozenset()
    """Scopes that come to nothing, unticked or beyond the person's plan: the grant comes without them."""
    needs_pkce: bool = True
    """Whether a request without a code challenge is refused."""
    auth_methods: tuple[str, ...] = ("client_secret_basic", "client_secret_post", "none")
    """How a client may prove itself at the token endpoint."""
    token_extras: Mapping[str, Any] = field(default_factory=dict)
    """Further fields of every token answer, such as HubSpot's `hub_id`."""
    redirect_issuer: str | None = None
    """Sent as `iss` on redirects in place of our own issuer: the mix-up attack that RFC 9207 is against."""
    skew: timedelta = timedelta(0)
    """How far the server's own clock is ahead: in the times that it writes into id_tokens and introspections."""
    delay: float = 0.0
    """Seconds that every token answer takes. To hold requests without a clock, close the server's `gate`."""

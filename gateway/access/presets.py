"""What the access tokens of common authorization servers are like, as data; the rules are in `claims`.

RFC 9068 says what a signed access token looks like, and few servers follow it to the letter. What each does instead:
which `typ` it writes, which claims say what the token is good for, and what it can be made to name as its audience. How
to set each of them up stands in docs/access.md.

Pure. Above: `claims`, the app. Sources: RFC 9068; Keycloak, "Integrating with MCP"; Microsoft identity platform,
"Access token claims reference"; Okta, "API access management"; Auth0, "Access token profiles"; Google, "tokeninfo".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Preset:
    """One sort of authorization server.

    `types` are the values of `typ` in the header, in lower case and without `application/`; "" is none at all. `must`
    are claims that tell an access token from others, with the values that they may have. Of `scopes`, `client` and
    `subject` the first claim that is there counts. `names_us`: it can be made to name <public_url>/mcp as the audience;
    otherwise `[access] audience` has to say what it names. `asked_as` is how a client asks for our scope there, in
    words that may hold {scope} and {resource}. `tokeninfo` is where opaque tokens are read, for a server that has no
    introspection; its tokens carry no scope of ours and are good for all of them.
    """

    types: frozenset[str] = frozenset({"at+jwt"})
    must: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    scopes: tuple[str, ...] = ("scope",)
    client: tuple[str, ...] = ("client_id",)
    subject: tuple[str, ...] = ("sub",)
    groups: str = "groups"
    names_us: bool = True
    asked_as: str = "{scope}"
    tokeninfo: str | None = None


PRESETS: Mapping[str, Preset] = {
    "rfc9068": Preset(),
    "keycloak": Preset(
        types=frozenset({"jwt", "at+jwt"}),
        must={"typ": ("Bearer",)},  # in the claims: an ID token says ID there, a refresh token Refresh
        client=("client_id", "azp"),
    ),
    "entra": Preset(
        types=frozenset({"jwt"}),
        must={"ver": ("2.0",)},
        scopes=("scp",),  # an ID token, and one that an app got for itself, have none
        client=("azp",),
        names_us=False,  # version 2.0 always names the application's id
        asked_as="{resource}/{scope}",
    ),
    "okta": Preset(
        types=frozenset({"", "jwt", "at+jwt", "okta-internal-at+jwt"}),
        scopes=("scp",),
        client=("cid",),
        subject=("uid",),  # `sub` is the user's name there, which may be given to somebody else one day
    ),
    "auth0": Preset(types=frozenset({"jwt", "at+jwt"}), client=("client_id", "azp")),
    "google": Preset(
        client=("azp", "aud"),
        names_us=False,  # its access tokens are for Google's own APIs; which app they were given to is all there is
        asked_as="openid",
        tokeninfo="https://oauth2.googleapis.com/tokeninfo",
    ),
}
"""By the name that `[access] preset` has."""

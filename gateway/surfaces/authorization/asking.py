"""What the page says about a request: who asks, where the answer goes, what it will be able to do, what to beware of.

A client chooses its own name, so the page leads with what it cannot choose: the host of its document, or the place that
the answer goes to. Pure. Above: authorize, and the page's template.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from gateway.authorization.redirect_uris import PlaceKind, place_of
from gateway.authorization.requests import AuthorizationRequest
from gateway.authorization_types import ClientSource
from gateway.surfaces.browser.own_scopes import own_scope_words


@dataclass(frozen=True, slots=True)
class Asking:
    """`document` is the host that describes the client, if one does. `place` is where the answer goes, and `kind` what
    sort of place that is. `is_known`: the operator has put it into the settings. `is_unproven`: any program on the
    person's device could say it was this one. `elsewhere`: the answer goes to another site than the document's."""

    name: str
    document: str | None
    kind: PlaceKind
    place: str
    permissions: tuple[str, ...]
    is_known: bool
    is_unproven: bool
    elsewhere: bool


def asking(request: AuthorizationRequest) -> Asking:
    client, place = request.client, place_of(request.addressee.redirect_uri)
    document = urlsplit(client.id).netloc if client.source is ClientSource.DOCUMENT else None
    return Asking(
        name=client.name or place.name,
        document=document,
        kind=place.kind,
        place=place.name,
        permissions=own_scope_words(request.scopes),
        is_known=client.source in (ClientSource.SETTINGS, ClientSource.OPERATOR),
        is_unproven=client.is_public and place.kind is not PlaceKind.SITE,
        elsewhere=document is not None and place.kind is PlaceKind.SITE and not _is_same_site(document, place.name),
    )


def form_targets(request: AuthorizationRequest) -> tuple[str, ...]:
    """Where the form may lead, as a Content-Security-Policy writes it: browsers hold every hop after it to that."""
    uri = request.addressee.redirect_uri
    if place_of(uri).kind is PlaceKind.APP:
        return (f"{uri.partition(':')[0]}:",)
    if uri.startswith("http://[::1]"):  # the policy's grammar knows no IPv6 addresses
        return ("http:",)
    return ("http://127.0.0.1:*", "http://localhost:*")


def _is_same_site(one: str, other: str) -> bool:
    return one == other or one.endswith(f".{other}") or other.endswith(f".{one}")

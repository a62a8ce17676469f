"""What a person is told when an account was disconnected: what is so here, what is so at the provider, what to do.

The page and the command line print the same words. Nothing is claimed that the provider did not confirm.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

from gateway.surfaces.browser.moments import moment
from gateway.types import Connection, CredentialKind


class Disconnected(Protocol):
    """`revoked_at_provider` is yes, retrying (until `retried_until`), shared, unsupported or no; `access_page` is where
    a person can end the access there by hand."""

    @property
    def connection(self) -> Connection: ...
    @property
    def revoked_at_provider(self) -> str: ...
    @property
    def access_page(self) -> str | None: ...
    @property
    def retried_until(self) -> datetime | None: ...


@dataclass(frozen=True, slots=True)
class Receipt:
    """`state`: the access at the provider has ended, is being ended, or is still there."""

    here: str
    there: str
    state: Literal["ended", "waiting", "open"]
    advice: str | None = None
    access_page: str | None = None


_HERE = "Has deleted its copy. No tool can use this account for you any more."

_TYPED_IN = {
    CredentialKind.API_KEY: Receipt(
        _HERE, "The key itself is still valid.", "open", "Delete it at {name} if you no longer need it."
    ),
    CredentialKind.BASIC: Receipt(
        _HERE, "The password itself is still valid.", "open", "Change it at {name} if somebody else may know it."
    ),
}
_TOLD = {
    "yes": Receipt(_HERE, "Has confirmed that it ended the access too.", "ended"),
    "retrying": Receipt(
        _HERE,
        "Has not confirmed yet that it ended the access. It is asked again until {until}.",
        "waiting",
        "You need not wait for that: you can remove the access at {name} yourself.",
    ),
    "shared": Receipt(
        _HERE,
        "Was not asked: another connection here uses the same access. It ends there with the last one.",
        "open",
        "To end it for all of them now, remove the access at {name} yourself.",
    ),
    "unsupported": Receipt(
        _HERE, "Offers no way to end the access from here.", "open", "Remove the access at {name} yourself to be sure."
    ),
    "no": Receipt(
        _HERE,
        "Could not be asked to end the access: the gateway's copy of it was damaged.",
        "open",
        "Remove the access at {name} yourself to be sure.",
    ),
}


def receipt_for(ended: Disconnected, provider_name: str) -> Receipt:
    """The receipt in words. What is not known to have ended is open."""
    told = _TYPED_IN.get(ended.connection.kind) or _TOLD.get(ended.revoked_at_provider, _TOLD["no"])
    until = moment(ended.retried_until) if ended.retried_until else "tomorrow"
    return Receipt(
        told.here,
        told.there.format(name=provider_name, until=until),
        told.state,
        told.advice.format(name=provider_name) if told.advice else None,
        ended.access_page if told.advice else None,
    )

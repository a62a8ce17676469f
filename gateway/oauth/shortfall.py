"""Why a connection does not do for a call, and whether asking the person can mend it.

    connected, and covers the need                  nothing is short
    none, or ended                                  asking helps
    lacks scopes that were never asked for          asking helps: once, for those beside the ones it has
    lacks scopes that were asked for already        asking does not help: the provider withheld them

The last is what keeps hosts from opening the same consent for ever: people untick boxes, plans lack features and
administrators forbid scopes, and none of that changes because a link is opened again. There the answer is an error that
names what is withheld. Asking again stays possible, as a deliberate act of the person, on the page of connections.

Above: broker. Not here: the link (`gateway.oauth.flows`).
"""

from __future__ import annotations

from dataclasses import dataclass

from gateway.providers.provider import Provider
from gateway.types import Connection, ConnectionStatus, CredentialKind, Requirement


@dataclass(frozen=True, slots=True)
class Shortfall:
    """`sentence` says what is short. `withheld` are the scopes that the provider has been asked for in vain."""

    sentence: str
    withheld: frozenset[str] = frozenset()


def shortfall(
    connection: Connection | None, requirement: Requirement, name: str, provider: Provider | None
) -> Shortfall | None:
    """What this connection lacks for the need; None if it does. `name` is the provider's, for people."""
    if connection is None:
        return Shortfall(f"No {name} account is connected yet.")
    if connection.status is not ConnectionStatus.ACTIVE:
        return Shortfall(connection.status_reason or f"The {name} connection has ended.")
    if requirement.kind is not CredentialKind.OAUTH2 or provider is None:
        return None
    missing = provider.scopes.missing(requirement.scopes, connection.scopes)
    if not missing:
        return None
    withheld = missing - provider.scopes.missing(missing, connection.requested)
    account = connection.account_label or "The connected account"
    if withheld:
        return Shortfall(
            f"{name} was asked for {_listed(withheld)} for {account}, and did not grant it. Asking again does not help "
            "unless something has changed: a box that was left unticked, the account's plan, or what an administrator "
            "of it allows.",
            withheld,
        )
    return Shortfall(f"The connected {name} account{_named(connection)} has not granted {_listed(missing)}.")


def _named(connection: Connection) -> str:
    return f" {connection.account_label}" if connection.account_label else ""


def _listed(scopes: frozenset[str]) -> str:
    return ", ".join(sorted(scopes))

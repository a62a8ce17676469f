"""What the connect page shows of a flow: who asks for what, what the person has to fill in, and how it ended.

Above: flows, which make it; the pages, which read it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from gateway.providers.provider import Provider, Variable
from gateway.types import Connection, CredentialKind, Flow, FlowStatus

OWN_WISH = "My connections"
"""What stands in the place of a client where the person began a flow themselves."""
_UNNAMED = {"openid", "profile", "email", "offline_access"}


@dataclass(frozen=True, slots=True)
class Field:
    """A part of the provider's addresses that only the person knows. `prompt` says what is expected."""

    name: str
    prompt: str
    value: str = ""


@dataclass(frozen=True, slots=True)
class FlowView:
    """`account` is the one that is wanted again, None where any will do; `connected` the one that was connected.

    `withheld` are scopes that were asked for and not granted: before, while the flow is pending; in it, once it ended.
    `app_user` is the id that the asking app has for the person, where it alone knows them; None for everybody else.
    """

    id: str
    provider: str
    provider_name: str
    kind: CredentialKind
    client: str
    tool: str | None
    scopes: list[str]
    status: FlowStatus
    failure: str | None
    expires_at: datetime
    return_url: str | None
    fields: list[Field]
    another: bool = False
    account: str | None = None
    connected: str | None = None
    withheld: tuple[str, ...] = ()
    app_user: str | None = None

    @property
    def is_own_wish(self) -> bool:
        """Whether the person began it on our page of connections. No host can: its flows are for a tool, and an app's
        are for its users."""
        own = self.account is not None or (self.client == OWN_WISH and self.app_user is None)
        return self.another or (self.tool is None and own)

    @property
    def is_mistaken(self) -> bool:
        """Whether another account was connected than the one that was wanted again."""
        return self.account is not None and self.connected is not None and self.account != self.connected


def view_of(  # noqa: PLR0917 - together they are the view
    flow: Flow,
    name: str,
    provider: Provider | None,
    asked: Mapping[str, Variable],
    wanted: Connection | None,
    connected: Connection | None,
) -> FlowView:
    """`wanted` is the connection that the flow is to renew, `connected` the one that it came to."""
    about = connected or wanted
    withheld: frozenset[str] = frozenset()
    if about is not None and provider is not None:
        withheld = worth_naming(provider.scopes.missing(flow.scopes & about.requested, about.scopes))
    return FlowView(
        id=flow.id,
        provider=flow.provider,
        provider_name=name,
        kind=flow.kind,
        client=flow.client,
        tool=flow.tool,
        scopes=sorted(flow.scopes),
        status=flow.status,
        failure=flow.failure,
        expires_at=flow.expires_at,
        return_url=flow.return_url,
        fields=[
            Field(key, each.prompt or key.replace("_", " "), flow.variables.get(key, each.default or ""))
            for key, each in asked.items()
        ],
        another=flow.another,
        account=_called(wanted),
        connected=_called(connected),
        withheld=tuple(sorted(withheld)),
        app_user=flow.principal.subject if flow.principal.app else None,
    )


def worth_naming(scopes: frozenset[str]) -> frozenset[str]:
    """Without those that many providers grant and do not name: what they are for shows by itself."""
    return scopes - _UNNAMED


def _called(connection: Connection | None) -> str | None:
    return connection.account_name if connection else None

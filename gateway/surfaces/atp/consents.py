"""An app has one of its users connect an account, and sees whether they did.

`begin` starts a Flow and answers with the link to our own page. `tokens` is what the app then polls: 404 until there is
a connection. It gets the raw tokens only with a permission of its own, off unless granted: an app that has them can do
whatever the person allowed, outside of the executor and its audit. Handing them out is itself on record,
before they leave.

Below: flows, and a `GrantReader` on the broker. Above: `app_routes`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

from starlette.requests import Request
from starlette.responses import Response

from gateway.audit import AuditLog
from gateway.key_types import Permission
from gateway.surfaces.atp import shapes
from gateway.surfaces.atp.app import App
from gateway.surfaces.atp.endpoint import json_answer
from gateway.surfaces.atp.requests import RefusalError, external_user_id, json_object, optional_text, user_in_path
from gateway.surfaces.atp.users import AppUsers
from gateway.toolkit.registry import Registry
from gateway.types import Connection, CredentialKind, Flow, Principal, Requirement, TokenSet


class FlowStarter(Protocol):
    """What of `gateway.oauth.flows.Flows` an app may use."""

    async def begin(
        self,
        principal: Principal,
        client: str,
        requirement: Requirement,
        tool: str | None,
        return_url: str | None = None,
    ) -> Flow: ...

    async def url(self, flow: Flow) -> str: ...


class GrantReader(Protocol):
    async def find_connection(self, principal: Principal, provider: str) -> Connection | None:
        """The person's usable connection there, its tokens unopened."""
        ...

    async def grant(self, principal: Principal, provider: str) -> tuple[Connection, TokenSet] | None:
        """The same with its tokens, refreshed where they were due. GatewayError when that could not be done."""
        ...


class Consents:
    """`provider_name` gives what people call a provider."""

    def __init__(
        self,
        *,
        users: AppUsers,
        flows: FlowStarter,
        grants: GrantReader,
        provider_name: Callable[[str], str],
        registry: Registry,
        audit: AuditLog,
    ) -> None:
        self._users = users
        self._flows = flows
        self._grants = grants
        self._provider_name = provider_name
        self._registry = registry
        self._audit = audit

    async def begin(self, app: App, request: Request) -> Response:
        """`POST oauth/confirmation/{platform_id}/`"""
        app.check(Permission.CONNECT)
        body = await json_object(request)
        principal = self._users.user(app, external_user_id(body.get("external_user_id")))
        requirement = self._requirement(_provider(request))
        wanted = optional_text(body, "developer_redirect_url")
        return_url = app.return_urls.find(wanted) if wanted else None
        flow = await self._flows.begin(principal, app.name, requirement, None, return_url)
        url, name = await self._flows.url(flow), self._provider_name(requirement.provider)
        answer = shapes.confirmation(app.name, flow, name, url)
        if wanted and return_url is None:
            answer["note"] = (
                "developer_redirect_url is not one of this app's return URLs, so the person ends on the gateway's own "
                f"page. {app.how_to_return()}"
            )
        return json_answer(answer)

    async def tokens(self, app: App, request: Request) -> Response:
        """`GET oauth/tokens/{platform_id}/{external_user_id}/`"""
        provider, user = _provider(request), user_in_path(request)
        principal = self._users.user(app, user)
        connection, tokens = await self._find(app, principal, provider)
        if connection is None:
            raise RefusalError(
                404,
                "not_connected",
                f"This person has not connected {provider}. Have them open the authorization_url of "
                "oauth/confirmation, and ask again.",
            )
        answer = shapes.connection(user, connection, tokens)
        if tokens is None:
            answer["note"] = (
                "Tool calls use this connection by themselves. The raw tokens stay in the gateway. "
                + app.how_to_allow(Permission.TOKENS)
            )
        else:
            fact = self._audit.event(
                principal,
                "tokens.handed_out",
                "done",
                client=app.name,
                provider=provider,
                account=connection.account_name,
                reference=connection.id,
            )
            await self._audit.put_on_record(replace(fact, scopes=connection.scopes))
        return json_answer(answer)

    async def _find(self, app: App, principal: Principal, provider: str) -> tuple[Connection | None, TokenSet | None]:
        if Permission.TOKENS in app.may:
            return await self._grants.grant(principal, provider) or (None, None)
        return await self._grants.find_connection(principal, provider), None

    def _requirement(self, provider: str) -> Requirement:
        """What the loaded tools need of a provider, together: one consent is to do for all of them."""
        needs = [t.requirement for t in self._registry.tools() if t.requirement and t.requirement.provider == provider]
        kinds = {need.kind for need in needs}
        kind = kinds.pop() if len(kinds) == 1 and kinds <= _TYPED_IN else CredentialKind.OAUTH2
        scopes = frozenset[str]().union(*(need.scopes for need in needs if need.kind is kind))
        return Requirement(provider, kind, scopes)


_TYPED_IN = {CredentialKind.API_KEY, CredentialKind.BASIC}


def _provider(request: Request) -> str:
    """Provider ids are lower case; people write HubSpot."""
    return str(request.path_params["platform_id"]).strip().lower()

"""Requests to an authorization server. The only module that imports Authlib.

Authlib builds requests here and keeps nothing: one client for one request, over the shared pool, without a token of
its own, so that it can neither refresh behind our back nor mix two people up. Our own hook sees each answer first and
reads it strictly (`gateway.oauth.token_answer`); Authlib is shown a plain one in its place.

Not here: when to refresh (`refresher`), who may (`broker`), what is stored (`grants`).
Source: RFC 6749, RFC 7636, RFC 7009, RFC 7662.
"""

from __future__ import annotations

import asyncio
import json
import logging
from base64 import b64encode
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl, quote

import httpx2
from authlib.integrations.httpx_client import AsyncOAuth2Client  # type: ignore[import-untyped]
from authlib.oauth2.auth import ClientAuth  # type: ignore[import-untyped]

from gateway.clock import Clock
from gateway.oauth.apps import ProviderApp
from gateway.oauth.http import TIMEOUT, ProviderTransport, json_object
from gateway.oauth.token_answer import ErrorKind, TokenAnswer, TokenEndpointError, read_answer, safe_detail
from gateway.secret import Secret
from gateway.types import TokenSet

log = logging.getLogger(__name__)


class OAuthClient:
    """Speaks to token, revocation and introspection endpoints. `timeout` is in seconds, for a whole request."""

    def __init__(self, transport: ProviderTransport, clock: Clock, timeout: float = TIMEOUT) -> None:
        self._transport = transport
        self._clock = clock
        self._timeout = timeout

    def authorization_url(
        self,
        app: ProviderApp,
        *,
        scopes: frozenset[str],
        state: Secret,
        verifier: Secret,
        nonce: str,
        redirect_uri: str,
    ) -> str:
        """Where the person's browser goes to consent. PKCE is S256, always, unless the provider cannot bear it."""
        provider = app.provider
        spelling = provider.scopes
        params: dict[str, str] = dict(provider.authorize_params)
        optional = app.optional_scopes - scopes
        if optional and spelling.optional_param:
            params[spelling.optional_param] = spelling.join(optional)
            optional = frozenset()
        if asked := spelling.join(scopes | optional):
            params[spelling.param] = asked
        if "openid" in scopes:
            params["nonce"] = nonce
        url, _ = AsyncOAuth2Client(
            app.client_id,
            redirect_uri=redirect_uri,
            transport=self._transport,
            code_challenge_method="S256" if provider.pkce else None,
        ).create_authorization_url(
            provider.authorization_url, state=state.reveal(), code_verifier=verifier.reveal(), **params
        )
        return str(url)

    async def exchange(self, app: ProviderApp, *, code: Secret, verifier: Secret, redirect_uri: str) -> TokenAnswer:
        """Redeem an authorization code. Raises TokenEndpointError."""
        provider = app.provider
        params = dict(provider.token_params)
        if provider.pkce:
            params["code_verifier"] = verifier.reveal()
        async with self._asking(app, code, verifier) as (client, answers):
            await client.fetch_token(
                provider.token_url,
                grant_type="authorization_code",
                code=code.reveal(),
                redirect_uri=redirect_uri,
                **params,
            )
        return answers[0]

    async def refresh(self, app: ProviderApp, tokens: TokenSet) -> TokenAnswer:
        """Renew an access token. `tokens` must hold a refresh token. Raises TokenEndpointError."""
        provider, refresh_token = app.provider, tokens.refresh_token
        if refresh_token is None:
            raise TokenEndpointError(ErrorKind.REFUSED, "no_refresh_token")
        params = dict(provider.refresh.params)
        if provider.refresh.send_scope and tokens.scopes:
            params["scope"] = provider.scopes.join(tokens.scopes)
        async with self._asking(app, refresh_token) as (client, answers):
            await client.refresh_token(
                provider.refresh.url or provider.token_url, refresh_token=refresh_token.reveal(), **params
            )
        return answers[0]

    async def revoke(self, app: ProviderApp, tokens: TokenSet) -> bool:
        """Ask the provider to end the grant; whether it did. RFC 7009: 200 also for a token it no longer knows."""
        revocation = app.provider.revocation
        if revocation is None:
            return False
        token = tokens.access_token if revocation.token == "access_token" else tokens.refresh_token  # noqa: S105 - a kind
        if token is None:
            token = tokens.access_token
        try:
            async with asyncio.timeout(self._timeout), self._client(app) as client:
                response = await client.revoke_token(
                    revocation.url,
                    token=token.reveal(),
                    token_type_hint="access_token" if token is tokens.access_token else "refresh_token",
                    auth=client.client_auth(revocation.auth or app.auth_method),
                )
        except (httpx2.HTTPError, TimeoutError) as error:
            log.warning("%s could not be asked to revoke a grant: %s", app.provider.name, type(error).__name__)
            return False
        if not response.is_success:
            log.warning("%s refused to revoke a grant: HTTP %d", app.provider.name, response.status_code)
        return bool(response.is_success)

    async def introspect(self, app: ProviderApp, token: Secret) -> Mapping[str, Any] | None:
        """What the provider says about a token (RFC 7662), or None where it says nothing useful."""
        introspection = app.provider.introspection
        if introspection is None:
            return None
        try:
            async with asyncio.timeout(self._timeout), self._client(app) as client:
                response = await client.introspect_token(
                    introspection.url,
                    token=token.reveal(),
                    token_type_hint="access_token",  # noqa: S106 - the kind, not a token
                    auth=client.client_auth(introspection.auth or app.auth_method),
                )
        except (httpx2.HTTPError, TimeoutError):
            return None
        found = json_object(response.content) if response.is_success else None
        return found if found and found.get("active") is not False else None

    def _client(self, app: ProviderApp) -> AsyncOAuth2Client:
        secret = app.client_secret.reveal() if app.client_secret else None
        client = AsyncOAuth2Client(
            app.client_id,
            secret,
            token_endpoint_auth_method=app.auth_method,
            transport=self._transport,
            timeout=self._timeout,
            follow_redirects=False,
            trust_env=False,
        )
        client.register_client_auth_method(("client_secret_basic", _basic))
        if app.provider.token_request_format == "json":  # noqa: S105 - a format, not a secret
            client.register_client_auth_method((app.auth_method, _as_json(app.auth_method)))
        return client

    @asynccontextmanager
    async def _asking(
        self, app: ProviderApp, *sent: Secret
    ) -> AsyncIterator[tuple[AsyncOAuth2Client, list[TokenAnswer]]]:
        """A client for one token request; its answer, read strictly, is put in the list."""
        answers: list[TokenAnswer] = []
        sent_at = self._clock.now()
        try:
            async with asyncio.timeout(self._timeout), self._client(app) as client:
                hook = _strict(app, sent_at, answers)
                client.register_compliance_hook("access_token_response", hook)
                client.register_compliance_hook("refresh_token_response", hook)
                yield client, answers
        except TokenEndpointError as error:
            detail = safe_detail(error.detail, app.client_secret, *sent)
            log.warning("%s gave no token: %s %s", app.provider.name, error, detail)
            error.detail = ""
            raise
        except (httpx2.HTTPError, TimeoutError) as error:
            log.warning("%s could not be reached: %s", app.provider.name, type(error).__name__)
            raise TokenEndpointError(ErrorKind.UNAVAILABLE, _transport_code(error)) from None


def _transport_code(error: Exception) -> str:
    return "timeout" if isinstance(error, TimeoutError | httpx2.TimeoutException) else "no_connection"


def _strict(
    app: ProviderApp, sent_at: datetime, answers: list[TokenAnswer]
) -> Callable[[httpx2.Response], httpx2.Response]:
    """The hook: Authlib takes any JSON object without `error` for a token, so it gets to see only what we made."""

    def read(response: httpx2.Response) -> httpx2.Response:
        answers.append(read_answer(app.provider, response.status_code, response.headers, response.content, sent_at))
        return httpx2.Response(200, json={"access_token": "-", "token_type": "Bearer"}, request=response.request)

    return read


Prepared = tuple[str, Any, Any]


def _basic(client: ClientAuth, method: str, uri: str, headers: Any, body: Any) -> Prepared:  # noqa: ARG001 - Authlib calls it
    """RFC 6749 section 2.3.1: id and secret are form-encoded before they are joined."""
    pair = f"{quote(client.client_id, safe='')}:{quote(client.client_secret or '', safe='')}"
    headers["Authorization"] = f"Basic {b64encode(pair.encode()).decode()}"
    return uri, headers, body


def _as_json(method_name: str) -> Callable[..., Prepared]:
    """Token requests as JSON: for providers that take no form."""
    inner = _basic if method_name == "client_secret_basic" else ClientAuth.DEFAULT_AUTH_METHODS[method_name]

    def prepare(client: ClientAuth, method: str, uri: str, headers: Any, body: Any) -> Prepared:
        uri, headers, body = inner(client, method, uri, headers, body)
        form = body.decode() if isinstance(body, bytes) else body
        headers["Content-Type"] = "application/json"
        return uri, headers, json.dumps(dict(parse_qsl(form)))

    return prepare

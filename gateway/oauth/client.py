"""Requests to an authorization server. The only module that imports Authlib.

Authlib builds requests here and keeps nothing: one client for one request, over the shared pool, without a token of
its own, so that it can neither refresh behind our back nor mix two people up. Our own hook sees each answer first and
reads it strictly (`gateway.oauth.token_answer`); Authlib is shown a plain one in its place.

Not here: when to refresh (`refresher`), who may (`broker`), what is stored (`grants`).
Source: RFC 6749, RFC 7636, RFC 7009, RFC 7662.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime
from typing import Any, cast
from urllib.parse import urlencode

import httpx2
from authlib.integrations.httpx_client import AsyncOAuth2Client  # type: ignore[import-untyped]

from gateway.clock import Clock
from gateway.oauth.apps import ProviderApp
from gateway.oauth.assertion import ServiceAccountKey, signed_assertion
from gateway.oauth.client_auth import Format, proof
from gateway.oauth.device_answer import DeviceAnswer, read_device_answer
from gateway.oauth.http import TIMEOUT, LastLook, ProviderTransport, at_path, json_object
from gateway.oauth.placeholders import filled, filled_url, known
from gateway.oauth.token_answer import (
    ErrorKind,
    RevocationAnswer,
    TokenAnswer,
    TokenEndpointError,
    read_answer,
    read_revocation_answer,
    safe_detail,
)
from gateway.oauth.token_life import moment
from gateway.providers.provider import ClientAuth, ClientCredentials, ServiceAccount, Swap
from gateway.secret import Secret
from gateway.types import TokenSet

log = logging.getLogger(__name__)

_HEADERS = {"Accept": "application/json"}
_OVER = {"access_denied", "expired_token"}
_NO_PROOF = httpx2.Auth()


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
        login_hint: str | None = None,
        choose_account: bool = False,
    ) -> str:
        """Where the person's browser goes to consent. PKCE is S256, always, unless the provider cannot bear it.

        `login_hint` names the account that is wanted again, `choose_account` lets the person pick another one: each as
        far as the provider has a parameter for it.
        """
        provider, hints = app.provider, app.provider.account_hints
        params = dict(provider.authorize_params)
        if choose_account:
            params |= hints.choose
        if login_hint and hints.login_hint:
            params[hints.login_hint] = login_hint.partition(" (")[0]  # without the workspace
        params |= _scope_params(app, scopes)
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
        return re.sub(r"([?&])client_id=", rf"\g<1>{provider.client_id_param}=", str(url), count=1)

    async def exchange(
        self,
        app: ProviderApp,
        *,
        code: Secret,
        verifier: Secret,
        redirect_uri: str,
        told: Mapping[str, str] | None = None,
    ) -> TokenAnswer:
        """Redeem an authorization code. Raises TokenEndpointError."""
        provider = app.provider
        params = {"grant_type": "authorization_code", "code": code.reveal(), "redirect_uri": redirect_uri}
        if provider.pkce:
            params["code_verifier"] = verifier.reveal()
        params |= filled(provider.token_params, told or {})
        answer = await self._token(app, provider.token_url, params, code, verifier)
        if provider.long_lived:
            answer = await self._swapped(app, provider.long_lived, answer)
        return await self._with_expiry(app, answer)

    async def refresh(
        self, app: ProviderApp, tokens: TokenSet, last_look: Callable[[], None] | None = None
    ) -> TokenAnswer:
        """Renew an access token. Raises TokenEndpointError, REFUSED where there is nothing to renew it with.

        A provider without refresh tokens swaps the access token itself, which must still live. `last_look` is called
        when the request is about to leave: what it raises stops it, and is raised here.
        """
        provider, refresh = app.provider, app.provider.refresh
        swaps = refresh.grant == "exchange"
        token = tokens.access_token if swaps else tokens.refresh_token
        if token is None or refresh.grant == "none":
            raise TokenEndpointError(ErrorKind.REFUSED, "no_refresh_token")
        params = {} if swaps else {"grant_type": "refresh_token"}
        params |= {refresh.token_param: token.reveal(), **known(refresh.params, _words(app, tokens))}
        if refresh.send_scope and tokens.scopes:
            params["scope"] = provider.scopes.join(tokens.scopes)
        answer = await self._token(
            app, refresh.url or provider.token_url, params, token, method=refresh.method, last_look=last_look
        )
        return await self._with_expiry(app, answer)

    async def client_credentials(self, app: ProviderApp, scopes: frozenset[str]) -> TokenAnswer:
        """Access in the name of our own registration (RFC 6749 section 4.4). Raises TokenEndpointError."""
        provider, about = app.provider, app.provider.client_credentials or ClientCredentials()
        params = {"grant_type": "client_credentials", **about.params}
        if scopes:
            params["scope"] = provider.scopes.join(scopes)
        return await self._token(app, about.url or provider.token_url, params)

    async def assertion(self, app: ProviderApp, scopes: frozenset[str], key: ServiceAccountKey) -> TokenAnswer:
        """Access in the name of a service account (RFC 7523). Raises TokenEndpointError; SettingsError for the key."""
        provider, about = app.provider, app.provider.service_account or ServiceAccount()
        signed = signed_assertion(provider, key, scopes, self._clock.now())
        params = {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": signed.reveal()}
        if scopes and not about.scopes_in_assertion:
            params["scope"] = provider.scopes.join(scopes)
        return await self._token(app, about.url or provider.token_url, params, signed, proves=False)

    async def device_authorization(self, app: ProviderApp, scopes: frozenset[str]) -> DeviceAnswer:
        """Two codes for a consent on another device (RFC 8628 section 3.1). Raises TokenEndpointError."""
        device = app.provider.device
        if device is None:
            raise TokenEndpointError(ErrorKind.MISCONFIGURED, "no_device_endpoint")
        fields = {app.provider.client_id_param: app.client_id, **device.params, **_scope_params(app, scopes)}
        sent_at = self._clock.now()
        async with self._watched(app), self._client(app) as client:
            response = await client.post(device.url, data=fields, headers=_HEADERS, auth=None)
            return read_device_answer(app.provider, response.status_code, response.headers, response.content, sent_at)

    async def device_token(self, app: ProviderApp, device_code: Secret) -> TokenAnswer:
        """Ask whether the person has consented on the other device (RFC 8628 section 3.4).

        Raises TokenEndpointError with code `authorization_pending` or `slow_down` (ask again), `access_denied` or
        `expired_token` (it is over), or any other.
        """
        params = {"grant_type": "urn:ietf:params:oauth:grant-type:device_code", "device_code": device_code.reveal()}
        params[app.provider.client_id_param] = app.client_id
        try:
            return await self._token(app, app.provider.token_url, params, device_code)
        except TokenEndpointError as error:
            if error.code in _OVER:
                error.kind = ErrorKind.REFUSED
            raise

    async def revoke(self, app: ProviderApp, tokens: TokenSet) -> RevocationAnswer:
        """Ask the provider to end the grant; whether it did. RFC 7009: 200 also for a token it no longer knows."""
        revocation = app.provider.revocation
        if revocation is None:
            return RevocationAnswer(ended=False)
        token = tokens.access_token if revocation.token == "access_token" else tokens.refresh_token  # noqa: S105 - a kind
        if token is None:
            token = tokens.access_token
        bearer = tokens.access_token if revocation.auth == "bearer" else None
        fields = filled(revocation.params, _words(app, tokens))
        if bearer is None:
            hint = "access_token" if token is tokens.access_token else "refresh_token"
            fields |= {revocation.token_param: token.reveal()}
            if revocation.token_param == "token" and revocation.format == "form":  # noqa: S105 - as RFC 7009 has it
                fields["token_type_hint"] = hint
        try:
            response = await self._ask(
                app, revocation.method, revocation.url, fields, tokens,
                auth=None if revocation.auth == "bearer" else revocation.auth or app.auth_method,
                written_as=revocation.format,
            )  # fmt: skip
        except (httpx2.HTTPError, httpx2.InvalidURL, TimeoutError) as error:
            log.warning("%s could not be asked to revoke a grant: %s", app.provider.name, type(error).__name__)
            return RevocationAnswer(ended=False)
        status = response.status_code
        answer = read_revocation_answer(app.provider, status, response.headers, response.content, self._clock.now())
        if not answer.ended:
            log.warning("%s refused to revoke a grant: HTTP %d", app.provider.name, status)
        return answer

    async def introspect(self, app: ProviderApp, tokens: TokenSet | TokenAnswer) -> Mapping[str, Any] | None:
        """What the provider says about an access token (RFC 7662), or None where it says nothing useful."""
        introspection = app.provider.introspection
        if introspection is None:
            return None
        fields = {introspection.token_param: tokens.access_token.reveal()}
        if introspection.method == "POST" and introspection.format == "form":
            fields["token_type_hint"] = "access_token"  # noqa: S105 - the kind, not a token
        try:
            response = await self._ask(
                app, introspection.method, introspection.url, fields, tokens,
                auth=introspection.auth or app.auth_method, written_as=introspection.format,
            )  # fmt: skip
        except (httpx2.HTTPError, httpx2.InvalidURL, TimeoutError):
            return None
        found = json_object(response.content) if response.is_success else None
        is_dead = found and introspection.active and at_path(found, introspection.active) is False
        return None if is_dead else found

    async def _swapped(self, app: ProviderApp, swap: Swap, answer: TokenAnswer) -> TokenAnswer:
        """The long-lived token for a short-lived one; what the second answer leaves out is the first one's."""
        params = {**swap.params, swap.token_param: answer.access_token.reveal()}
        longer = await self._token(app, swap.url, params, answer.access_token, method=swap.method)
        return replace(
            longer,
            refresh_token=longer.refresh_token or answer.refresh_token,
            scopes=longer.scopes or answer.scopes,
            extras={**answer.extras, **longer.extras},
            claims={**answer.claims, **longer.claims},
        )

    async def _with_expiry(self, app: ProviderApp, answer: TokenAnswer) -> TokenAnswer:
        """The answer with the end that only introspection knows.

        Not where the answer holds a new refresh token: until it is stored it exists nowhere else, and is not kept
        waiting. The default life does for those.
        """
        introspection = app.provider.introspection
        rotated = answer.refresh_token is not None and app.provider.refresh.rotates != "no"
        if introspection is None or not introspection.tells_expiry or rotated or answer.names_expiry:
            return answer
        found = await self.introspect(app, answer) or {}
        return answer.until(moment(found.get("exp")), self._clock.now())

    async def _ask(
        self,
        app: ProviderApp,
        method: str,
        url: str,
        fields: Mapping[str, str],
        tokens: TokenSet | TokenAnswer,
        *,
        auth: ClientAuth | None,
        written_as: Format,
    ) -> httpx2.Response:
        """One request about a token. `auth` None: the access token is the proof, as a bearer."""
        address = filled_url(url, _words(app, tokens))
        if address is None:
            raise httpx2.UnsupportedProtocol("a part of the address is not known for this grant")
        headers = dict(_HEADERS)
        async with asyncio.timeout(self._timeout), self._client(app) as client:
            if auth is None:
                headers["Authorization"] = f"Bearer {tokens.access_token.reveal()}"
                sent = {"json": dict(fields)} if written_as == "json" else {"data": dict(fields)}
                response = await client.request(method, address, headers=headers, auth=None, **(sent if fields else {}))
            else:
                client.register_client_auth_method((auth, proof(app, auth, written_as)))
                response = await client.request(
                    method, address, data=dict(fields), headers=headers, auth=client.client_auth(auth)
                )
        return cast("httpx2.Response", response)

    def _client(self, app: ProviderApp, last_look: Callable[[], None] | None = None) -> AsyncOAuth2Client:
        secret = app.client_secret.reveal() if app.client_secret else None
        client = AsyncOAuth2Client(
            app.client_id,
            secret,
            token_endpoint_auth_method=app.auth_method,
            transport=LastLook(self._transport, last_look) if last_look else self._transport,
            timeout=self._timeout,
            follow_redirects=False,
            trust_env=False,
        )
        way = proof(app, app.auth_method, app.provider.token_request_format)
        client.register_client_auth_method((app.auth_method, way))
        return client

    async def _token(
        self,
        app: ProviderApp,
        url: str,
        params: dict[str, str],
        *sent: Secret,
        method: str = "POST",
        proves: bool = True,
        last_look: Callable[[], None] | None = None,
    ) -> TokenAnswer:
        """One token request; its answer, read strictly. `sent` must not come back in a log."""
        answers: list[TokenAnswer] = []
        grant_type = params.pop("grant_type", "")
        code = params.pop("code", None)
        async with self._watched(app, *sent), self._client(app, last_look) as client:
            client.register_compliance_hook("access_token_response", _strict(app, self._clock.now(), answers))
            await client.fetch_token(
                url,
                method=method,
                headers=dict(_HEADERS),  # Authlib's own would name a charset, which the media type does not have
                body=urlencode(params),
                grant_type=grant_type,
                code=code,
                auth=None if proves else _NO_PROOF,
            )
        return answers[0]

    @asynccontextmanager
    async def _watched(self, app: ProviderApp, *sent: Secret) -> AsyncIterator[None]:
        """Bounds a request in time, and turns what can go wrong with it into a TokenEndpointError."""
        try:
            async with asyncio.timeout(self._timeout):
                yield
        except TokenEndpointError as error:
            detail = safe_detail(error.detail, app.client_secret, *sent)
            log.warning("%s gave no token: %s %s", app.provider.name, error, detail)
            error.detail = ""
            raise
        except (httpx2.HTTPError, TimeoutError) as error:
            log.warning("%s could not be reached: %s", app.provider.name, type(error).__name__)
            raise TokenEndpointError(ErrorKind.UNAVAILABLE, _transport_code(error)) from None


def _scope_params(app: ProviderApp, scopes: frozenset[str]) -> dict[str, str]:
    """The scopes as this provider wants them: in its parameter, optional ones apart where it has one for them."""
    spelling, optional = app.provider.scopes, app.optional_scopes - scopes
    params: dict[str, str] = {}
    if optional and spelling.optional_param:
        params[spelling.optional_param] = spelling.join(optional)
        optional = frozenset()
    if asked := spelling.join(scopes | optional):
        params[spelling.param] = asked
    return params


def _words(app: ProviderApp, tokens: TokenSet | TokenAnswer) -> dict[str, str]:
    """What `{names}` in addresses and constants may stand for."""
    return {**tokens.extras, "client_id": app.client_id}


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

"""The browser's leg of a consent: to the provider with a state, and back with a code that becomes a grant.

What protects it: the state is 256 random bits, used once, and stored only as a hash; PKCE binds the code to us; the
nonce binds the id_token to this consent; `iss` on the redirect is compared (RFC 9207); the verifier is sealed to its
flow. Not here: who presses, and in which browser (`gateway.oauth.flows`).

Below: client, identity, grants, vault, audit. Source: RFC 6749 section 4.1, RFC 7636, RFC 9207, RFC 9700.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass, replace

from gateway.audit import AuditLog
from gateway.clock import Clock
from gateway.errors import FlowError, GatewayError, ProviderMisconfiguredError, ProviderUnavailableError
from gateway.oauth.apps import ProviderApp
from gateway.oauth.client import OAuthClient
from gateway.oauth.facts import connected
from gateway.oauth.grant_life import of_new_grant
from gateway.oauth.grants import Grants
from gateway.oauth.identity import Account, Accounts
from gateway.oauth.redirect import check_signature, redirect_extras, redirect_scopes
from gateway.oauth.token_answer import ErrorKind, TokenAnswer, TokenEndpointError
from gateway.secret import Secret
from gateway.types import Connection, Flow
from gateway.vault.vault import Binding, Vault

DECLINED = {"access_denied", "user_denied", "user_cancelled_login", "user_cancelled_authorize"}
"""What providers call a no from the person."""

_LONGEST_CODE = 4096
_ERROR = re.compile(r"[A-Za-z0-9_.-]{1,64}")


@dataclass(frozen=True, slots=True)
class Departure:
    """What a flow needs to leave for the provider and be recognised when it comes back."""

    authorization_url: str
    state_hash: str
    sealed_verifier: bytes


def digest(value: str) -> str:
    """How states and browser tokens are stored: SHA-256, hex. They are random, so no salt is needed."""
    return hashlib.sha256(value.encode("utf-8", "surrogatepass")).hexdigest()


class Consent:
    """Sends a browser to the provider, and makes a Connection of what it comes back with."""

    def __init__(
        self, client: OAuthClient, accounts: Accounts, grants: Grants, *, vault: Vault, audit: AuditLog, clock: Clock
    ) -> None:
        self._clock = clock
        self._audit = audit
        self._client = client
        self._accounts = accounts
        self._grants = grants
        self._vault = vault

    async def depart(
        self, app: ProviderApp, flow: Flow, redirect_uri: str, wanted: Connection | None = None
    ) -> Departure:
        """Where to send the browser. `wanted` is the connection whose account is to consent again."""
        state, verifier = Secret(secrets.token_urlsafe(32)), Secret(secrets.token_urlsafe(48))
        url = self._client.authorization_url(
            app,
            scopes=flow.scopes,
            state=state,
            verifier=verifier,
            nonce=_nonce(verifier),
            redirect_uri=redirect_uri,
            login_hint=wanted.account_label if wanted else None,
            choose_account=flow.another,
        )
        sealed = await self._vault.seal(verifier.reveal().encode(), _binding(flow))
        return Departure(url, digest(state.reveal()), sealed)

    async def arrive(self, app: ProviderApp, flow: Flow, query: Mapping[str, str]) -> Connection:
        """Redeem the code. `query` has been found to carry no error and the right `iss`."""
        check_signature(app, query)
        code = query.get("code", "")
        if not code or len(code) > _LONGEST_CODE or flow.sealed_verifier is None or flow.redirect_uri is None:
            raise FlowError(f"{app.provider.name} sent no usable code. Start again from the link.")
        verifier = Secret((await self._vault.open(flow.sealed_verifier, _binding(flow))).decode())
        extras = redirect_extras(app.provider, query)
        told = {**extras, "state": query.get("state", "")}  # what some providers want back with the code
        try:
            answer = await self._client.exchange(
                app, code=Secret(code), verifier=verifier, redirect_uri=flow.redirect_uri, told=told
            )
        except TokenEndpointError as error:
            raise refusal(app, error) from None
        if answer.scopes is None:
            answer = replace(answer, scopes=redirect_scopes(app.provider, query))
        if "{redirect_uri}" in app.provider.refresh.params.values():
            extras["redirect_uri"] = flow.redirect_uri
        return await self.keep(app, flow, answer, _nonce(verifier), extras)

    async def keep(
        self,
        app: ProviderApp,
        flow: Flow,
        answer: TokenAnswer,
        nonce: str | None,
        known: Mapping[str, str] | None = None,
    ) -> Connection:
        """Make a Connection of a grant, and put it on record.

        `nonce` is what an id_token must hold, None where none was sent. `known` are extras from
        elsewhere, such as the redirect.
        """
        account = await self._accounts.identify(app, answer, nonce, {**app.variables, **(known or {})})
        answer = replace(answer, extras=account.extras)
        tokens = answer.tokens(app.provider, flow.scopes | app.optional_scopes)
        renewable = tokens.refresh_token is not None or app.provider.refresh.grant == "exchange"
        return await self._grants.put(
            flow.principal,
            flow.provider,
            flow.kind,
            await self._told_apart(flow, account),
            tokens,
            requested=flow.scopes,
            variables=flow.variables,
            life=of_new_grant(app, now=self._clock.now(), told=answer.grant_ends_at, renewable=renewable),
            fact=connected(self._audit, flow),
        )

    async def _told_apart(self, flow: Flow, account: Account) -> Account:
        """A provider that names no account cannot say whether it is the same one: then the person's wish decides.

        Added on purpose, it is another one; wanted again, it is the one that was wanted.
        """
        if account.id != Account().id:
            return account
        if flow.another:
            return replace(account, id=f"{account.id}-{secrets.token_hex(4)}")
        wanted = await self._grants.find(flow.principal, flow.reconnects) if flow.reconnects else None
        if wanted is not None and wanted.account_id.startswith(f"{account.id}-"):
            return replace(account, id=wanted.account_id)
        return account


def redirect_error(query: Mapping[str, str]) -> str | None:
    """The error a redirect carries, as a safe word, or None. An error that is not one is `unknown_error`."""
    if "error" not in query:
        return None
    return query["error"] if _ERROR.fullmatch(query["error"]) else "unknown_error"


def check_issuer(app: ProviderApp, query: Mapping[str, str]) -> None:
    """RFC 9207: the redirect must come from the very server that the code will be sent to. Raises FlowError."""
    issuer, named = app.provider.issuer, query.get("iss")
    if issuer is None or (named is None and not app.provider.iss_parameter):
        return
    pattern = re.escape(issuer).replace(re.escape("{tid}"), r"[0-9a-fA-F-]{36}")
    if named is None or not re.fullmatch(pattern, named):
        raise FlowError(
            f"The answer does not come from {app.provider.name}, so nothing was connected. Start again from the link."
        )


def refusal(app: ProviderApp, error: TokenEndpointError) -> GatewayError:
    """What a person is told whose consent the token endpoint did not take."""
    name = app.provider.name
    match error.kind:
        case ErrorKind.REFUSED:
            return FlowError(f"{name} no longer accepts this consent ({error.code}). Start again from the link.")
        case ErrorKind.MISCONFIGURED:
            return ProviderMisconfiguredError(
                f"{name} does not accept this gateway's own registration ({error.code}). The operator has to check "
                f"client_id, client_secret and the redirect address under [providers.{app.provider.id}]."
            )
        case ErrorKind.UNAVAILABLE:
            return ProviderUnavailableError(f"{name} gave no access just now ({error.code}). Start again in a moment.")


def _nonce(verifier: Secret) -> str:
    """Bound to the flow through its verifier, so that it need not be stored."""
    return urlsafe_b64encode(hashlib.sha256(b"nonce\0" + verifier.reveal().encode()).digest()).decode().rstrip("=")


def _binding(flow: Flow) -> Binding:
    return Binding("flows", flow.id, flow.principal, flow.provider, "verifier", 1)

"""From a person's yes to tokens, and to fresh ones; and the end of it.

A grant is all that comes of one yes. A code becomes a grant once; shown twice, it ends it. Whoever shows a code or
token has to be the client that it was given to.

A refresh token is exchanged for its successor, and that is the same for all that show it at the same time. What of one
that comes back afterwards? A client without a secret is a program on people's machines: it runs several times over from
one file, sleeps, loses answers. It gets the same successor again until that has been used, and for half a minute at
least; after that the token is a thief's, or was, and the grant ends. A client with a secret is one place that keeps its
tokens in order, and whoever comes with its secret and a spent token has stolen both: the grant ends at once. One that
proves itself by a key is treated as the first: its key does not travel, so nobody else comes in its name.

Below: access_tokens, refresh_chain, the store's rows, audit. Above: the surface.
Source: RFC 6749 sections 4.1.3, 4.4, 5 and 6, RFC 7009, RFC 7636, RFC 9700 section 4.14.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from base64 import urlsafe_b64encode
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from gateway.audit import AuditLog
from gateway.authorization.access_tokens import LIFE, AccessTokens
from gateway.authorization.digests import digest_of, new_secret
from gateway.authorization.parameters import Parameters
from gateway.authorization.people import PROGRAM
from gateway.authorization.refresh_chain import RefreshChain
from gateway.authorization.requests import OFFLINE, AuthorizationRequest, Offer
from gateway.authorization_types import KEY, AccessGrant, AuthorizationCode, RefreshToken, RegisteredClient
from gateway.clock import Clock
from gateway.errors import AuthorizationError
from gateway.secret import Secret
from gateway.store.grant_rows import GrantRows, Reused, Spent
from gateway.types import AuditEvent, Principal

CODE_LIFE = timedelta(seconds=60)
REFRESH_LIFE = timedelta(days=30)
GRANT_LIFE = timedelta(days=365)
ONE_TOKEN_LIFE = LIFE + timedelta(hours=1)
"""How long a grant lasts that gets no refresh token: what its one token began, such as a stream, may outlive that."""
GRACE = timedelta(seconds=30)
"""For clients without a secret."""
_REMEMBERED = timedelta(days=1)
_VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}")


@dataclass(frozen=True, slots=True)
class TokenAnswer:
    """What a client gets. `life` is the access token's."""

    access_token: Secret
    life: timedelta
    scopes: frozenset[str]
    refresh_token: Secret | None

    def told(self) -> dict[str, Any]:
        """As RFC 6749 section 5.1 writes it: the one place where the tokens leave."""
        told: dict[str, Any] = {
            "access_token": self.access_token.reveal(),
            "token_type": "Bearer",
            "expires_in": int(self.life.total_seconds()),
            "scope": " ".join(sorted(self.scopes)),
        }
        return told if self.refresh_token is None else told | {"refresh_token": self.refresh_token.reveal()}


class Grants:
    def __init__(
        self,
        rows: GrantRows,
        tokens: AccessTokens,
        chain: RefreshChain,
        *,
        offer: Offer,
        audit: AuditLog,
        clock: Clock,
    ) -> None:
        self._rows = rows
        self._tokens = tokens
        self._chain = chain
        self._offer = offer
        self._audit = audit
        self._clock = clock

    async def issue_code(
        self, request: AuthorizationRequest, principal: Principal, event: AuditEvent | None = None
    ) -> Secret:
        """A code for what the person has just allowed, which the event says."""
        code, addressee = new_secret(), request.addressee
        await self._rows.put_code(
            AuthorizationCode(
                id=digest_of(code.reveal()),
                principal=principal,
                client_id=request.client.id,
                client_name=request.client.name or request.client.id,
                redirect_uri=addressee.redirect_uri,
                redirect_uri_sent=addressee.redirect_uri_sent,
                challenge=request.challenge,
                resource=request.resource,
                scopes=request.scopes,
                groups=principal.groups,
                refreshable="refresh_token" in request.client.grant_types or OFFLINE in request.scopes,
                by_key=request.client.auth_method == KEY,
                expires_at=self._clock.now() + CODE_LIFE,
            ),
            event,
        )
        return code

    async def exchange_code(self, client: RegisteredClient, parameters: Parameters) -> TokenAnswer:
        """Tokens for a code. AuthorizationError."""
        now = self._clock.now()
        code = await self._rows.find_code(digest_of(parameters.get("code", "")))
        if code is None or code.client_id != client.id:
            raise _invalid_grant("The code is not one of this client's.")
        _check_key(code.by_key, client)
        if code.used_at is None and now >= code.expires_at:
            raise _invalid_grant("The code has expired.")
        self._offer.audience(parameters.get("resource"))
        if parameters.get("redirect_uri") != code.redirect_uri and (
            code.redirect_uri_sent or "redirect_uri" in parameters
        ):
            raise _invalid_grant("redirect_uri is not the one that the code was sent to.")
        if not _is_answer(parameters.get("code_verifier", ""), code.challenge):
            raise _invalid_grant("code_verifier does not fit the challenge.")
        grant = replace(_grant(code, now), by_key=client.auth_method == KEY)
        first = self._chain.first() if code.refreshable else None
        row = _refresh_row(digest_of(first.reveal()), grant, now) if first else None
        event, reused = self._event("grant.issued", grant), self._reused(grant)
        if spent := await self._rows.redeem(code, grant, row, event=event, reused=reused):
            raise self._spent(spent, "The code has been used before.")
        return TokenAnswer(await self._tokens.make(grant, grant.scopes), LIFE, grant.scopes, first)

    async def refresh(self, client: RegisteredClient, parameters: Parameters) -> TokenAnswer:
        """Fresh tokens for a refresh token. AuthorizationError."""
        now, text = self._clock.now(), parameters.get("refresh_token", "")
        token = await self._rows.find_refresh(digest_of(text))
        grant = await self._rows.find(token.grant_id) if token else None
        if token is None or grant is None or grant.client_id != client.id:
            raise _invalid_grant("The refresh token is not one of this client's.")
        _check_key(grant.by_key, client)
        if not grant.is_live(now) or now >= token.expires_at:
            raise _invalid_grant("The refresh token has expired or was revoked. Ask the person again.")
        if await self._tokens.person_of(grant) is None:
            raise _invalid_grant("The person may not come in any more.")
        self._offer.audience(parameters.get("resource"))
        scopes = self._offer.granted(parameters.get("scope"), grant.scopes)
        successors = {digest_of(each.reveal()): each for each in self._chain.successors(text)}
        grace = GRACE if client.secret_digest is None else None
        event, reused = self._event("grant.refreshed", grant), self._reused(grant)
        successor = _refresh_row(next(iter(successors)), grant, now)
        found = await self._rows.rotate(token, successor, grace, event=event, reused=reused)
        if isinstance(found, Spent) or found not in successors:
            spent = found if isinstance(found, Spent) else Spent.GONE
            raise self._spent(spent, "The refresh token was used before.")
        return TokenAnswer(await self._tokens.make(grant, scopes), LIFE, scopes, successors[found])

    async def issue_to_client(self, client: RegisteredClient, parameters: Parameters) -> TokenAnswer:
        """A token for a client in its own name. AuthorizationError."""
        if "client_credentials" not in client.grant_types or client.is_public:
            raise AuthorizationError("unauthorized_client", "This client gets no tokens in its own name.")
        resource = self._offer.audience(parameters.get("resource"))
        scopes = self._offer.granted(parameters.get("scope")) - {OFFLINE}
        now, itself = self._clock.now(), Principal(self._offer.issuer, f"{PROGRAM}{client.id}")
        until = now + ONE_TOKEN_LIFE
        grant = AccessGrant(
            secrets.token_hex(16), itself, client.id, client.name, resource, scopes, frozenset(), now, now, until
        )
        await self._rows.insert(grant, self._event("grant.issued", grant))
        return TokenAnswer(await self._tokens.make(grant, scopes), LIFE, scopes, None)

    async def revoke_token(self, client: RegisteredClient, text: str) -> None:
        """End the grant that a token is of. One that is unknown is no error (RFC 7009); another client's is."""
        token = await self._rows.find_refresh(digest_of(text))
        claims = None if token else await self._tokens.claims(text)
        grant_id = token.grant_id if token else claims["grant_id"] if claims else None
        grant = await self._rows.find(grant_id) if grant_id else None
        if grant is None:
            return
        if grant.client_id != client.id:
            raise AuthorizationError("unauthorized_client", "The token is another client's.")
        _check_key(grant.by_key, client)
        await self._rows.revoke(grant.id, self._clock.now(), self._event("grant.revoked", grant, "by the client"))
        self._tokens.forget()

    async def is_live(self, grant_id: str) -> bool:
        """Whether the grant still stands."""
        grant = await self._rows.find(grant_id)
        return grant is not None and grant.is_live(self._clock.now())

    async def list_live(self, principal: Principal) -> list[AccessGrant]:
        """Which programs may act for the person, the newest first."""
        return await self._rows.list_live(principal, self._clock.now())

    async def end(self, grant_id: str, principal: Principal) -> bool:
        """End one of the person's grants, and ask again next time. False if it is none of theirs, or has ended."""
        grant = await self._rows.find(grant_id)
        if grant is None or not grant.principal.same_person(principal):
            return False
        event = self._event("grant.revoked", grant, "by the person")
        ended = await self._rows.end(grant, self._clock.now(), event)
        self._tokens.forget()
        return ended

    async def prune(self) -> int:
        """Delete what expired a while ago; how much that was."""
        return await self._rows.prune(self._clock.now() - _REMEMBERED)

    def _spent(self, spent: Spent, sentence: str) -> AuthorizationError:
        if spent is Spent.REUSED:
            self._tokens.forget()
        return _invalid_grant(sentence)

    def _event(self, action: str, grant: AccessGrant, outcome: str = "done") -> AuditEvent:
        return self._audit.event(grant.principal, action, outcome, client=grant.client_name, reference=grant.id)

    def _reused(self, grant: AccessGrant) -> Reused:
        """What says that the grant of this person and client ended, whichever one it turns out to be."""
        return lambda grant_id: replace(self._event("grant.reused", grant, "revoked"), reference=grant_id)


def _grant(code: AuthorizationCode, now: datetime) -> AccessGrant:
    return AccessGrant(
        id=secrets.token_hex(16),
        principal=code.principal,
        client_id=code.client_id,
        client_name=code.client_name,
        resource=code.resource,
        scopes=code.scopes,
        groups=code.groups,
        created_at=now,
        used_at=now,
        expires_at=now + (GRANT_LIFE if code.refreshable else ONE_TOKEN_LIFE),
    )


def _check_key(by_key: bool, client: RegisteredClient) -> None:
    if by_key and client.auth_method != KEY:
        raise AuthorizationError(
            "invalid_client", "This client proves itself by its key: send a client_assertion.", 401
        )


def _refresh_row(digest: str, grant: AccessGrant, now: datetime) -> RefreshToken:
    return RefreshToken(digest, grant.id, now, min(now + REFRESH_LIFE, grant.expires_at))


def _is_answer(verifier: str, challenge: str) -> bool:
    """Whether this is what the challenge was made of (RFC 7636 section 4.6)."""
    made = urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
    return _VERIFIER.fullmatch(verifier) is not None and hmac.compare_digest(made, challenge)


def _invalid_grant(sentence: str) -> AuthorizationError:
    return AuthorizationError("invalid_grant", sentence)

"""From a token's claims to an Access: whom it acts for, at whose request, for what, until when. Or why not.

The claims have been authenticated before: by the issuer's signature, or because the issuer itself told them. The
audience is always looked at, and compared to the letter. What is missing is refused: a token that does not say for whom
it is, or what it is for, was not made for this.

Pure. Below: presets. Above: signed_tokens, introspected_tokens.
Source: RFC 9068 section 4, RFC 7662 section 2.2, RFC 8725 sections 3.9 and 3.11.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from gateway.access.authenticator import Refused
from gateway.access.presets import Preset
from gateway.access.scopes import EVERY
from gateway.types import Access, AccessKind, Principal

LEEWAY = timedelta(seconds=30)
"""How far the issuer's clock may be ahead of ours. If it is behind, its tokens merely end a little early."""

_ID_TOKENS_OWN = ("nonce", "at_hash", "c_hash", "s_hash")
_LONGEST = 255
_MOST_GROUPS = 1_000
_END_OF_TIME = 253_402_300_799  # seconds; the year 9999


class _WrongError(Exception):
    """What is wrong with the claims, in a sentence."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What tokens have to say. `audiences`: at least one of these is named; never empty."""

    issuer: str
    audiences: frozenset[str]
    preset: Preset
    groups_claim: str | None = None
    tenant_claim: str | None = None

    def access(self, claims: Mapping[str, Any], now: datetime) -> Access | Refused:
        """What these claims let one do at `now`."""
        try:
            return self._access(claims, now)
        except _WrongError as error:
            return Refused.invalid(str(error))

    def _access(self, claims: Mapping[str, Any], now: datetime) -> Access:
        preset = self.preset
        if claims.get("iss") != self.issuer:
            raise _WrongError("The token is from another issuer than the one that this gateway believes.")
        self._check_sort(claims)
        named = claims.get("aud")
        if not self.audiences & set(_texts(named)):
            raise _WrongError("The token was issued for another audience, not for this gateway.")
        person = Principal(
            self.issuer,
            _text(claims, preset.subject, "whom it acts for"),
            _text(claims, (self.tenant_claim,), "of which tenant that is") if self.tenant_claim else "default",
            frozenset(_texts(claims.get(self.groups_claim or preset.groups))[:_MOST_GROUPS]),
        )
        return Access(
            person,
            client=_text(claims, preset.client, "which client it was given to"),
            scopes=EVERY if preset.tokeninfo else self._scopes(claims),
            kind=AccessKind.TOKEN,
            expires_at=_end(claims, now),
        )

    def _check_sort(self, claims: Mapping[str, Any]) -> None:
        """That it is an access token, and nothing else that the issuer hands out."""
        other = any(claims.get(name) not in values for name, values in self.preset.must.items())
        if other or any(name in claims for name in _ID_TOKENS_OWN):
            raise _WrongError("This is no access token. Send the access_token of the token response, not another one.")

    def _scopes(self, claims: Mapping[str, Any]) -> frozenset[str]:
        for name in self.preset.scopes:
            match claims.get(name):
                case str(words):
                    return frozenset(words.split())
                case list(words):
                    return frozenset(word for word in words if isinstance(word, str))
        raise _WrongError("The token does not say what it may be used for: it has no scope.")


def _end(claims: Mapping[str, Any], now: datetime) -> datetime:
    end, start = _time(claims, "exp"), _time(claims, "nbf")
    if end is None:
        raise _WrongError("The token does not say until when it is good.")
    if now >= end:
        raise _WrongError("The token has ended. Get a new one.")
    if start is not None and now < start - LEEWAY:
        raise _WrongError(
            "The token is not good yet. If it is fresh, a clock is wrong: this gateway's, or its issuer's."
        )
    return end


def _time(claims: Mapping[str, Any], name: str) -> datetime | None:
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, str) and value.isdecimal() and len(value) < 16:  # so Google writes them
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _END_OF_TIME:
        raise _WrongError(f"The token's {name} is no time.")
    return datetime.fromtimestamp(value, UTC)


def _text(claims: Mapping[str, Any], names: tuple[str, ...], what: str) -> str:
    value = next((claims[name] for name in names if name in claims), None)
    if not isinstance(value, str) or not 0 < len(value) <= _LONGEST or not value.isprintable():
        raise _WrongError(f"The token does not say {what}: {' or '.join(names)} is missing, or no plain text.")
    return value


def _texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []

"""A token endpoint's answer: read strictly, or classified.

Providers answer in many ways, and some of them are wrong: errors with status 200, errors without `error`, lives of
"3600", 0 or 1e30, HTML from a proxy. Every answer ends here as a TokenAnswer or as a TokenEndpointError of one of
three kinds, because they call for three different things: a new consent, the operator, or patience.

Pure: no I/O. Below: `gateway.providers`. Above: client.
Source: RFC 6749 sections 5.1 and 5.2, and the vendors' pages named in the catalogue.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import Any

from gateway.oauth.http import at_path, json_object
from gateway.oauth.token_life import assumed_expiry, bounded, grant_end, named_expiry
from gateway.providers.provider import Provider, TokenResponse
from gateway.redaction import Redactor
from gateway.secret import Secret
from gateway.types import TokenSet

LONGEST_WAIT = timedelta(minutes=15)

_TOKEN = re.compile(r"[\x21-\x7e]{1,16384}")
_CODE = re.compile(r"[A-Za-z0-9_.:-]{1,64}")

_REFUSED = {
    "invalid_grant",
    "bad_refresh_token",
    "bad_verification_code",
    "invalid_refresh_token",
    "token_expired",
    "token_revoked",
}
_DEAD = {"invalid_token", "invalid_auth", "account_inactive", "expired_access_token"}
"""What a revocation endpoint calls a token that is no more."""
_MISCONFIGURED = {
    "access_denied",
    "incorrect_client_credentials",
    "invalid_client",
    "invalid_client_id",
    "invalid_request",
    "invalid_scope",
    "invalid_target",
    "redirect_uri_mismatch",
    "unauthorized_client",
    "unsupported_grant_type",
}


class ErrorKind(StrEnum):
    REFUSED = "refused"  # the grant is gone: the person has to connect again
    MISCONFIGURED = "misconfigured"  # our registration is wrong: the operator has to act
    UNAVAILABLE = "unavailable"  # everything else: keep the tokens and try later


class TokenEndpointError(Exception):
    """The provider did not give a token. `code` is safe to show; `detail` is the provider's text, for the log."""

    def __init__(
        self, kind: ErrorKind, code: str, *, status: int | None = None, retry_after: timedelta | None = None
    ) -> None:
        super().__init__(f"{kind.value}: {code}" + (f" (HTTP {status})" if status else ""))
        self.kind = kind
        self.code = code
        self.status = status
        self.retry_after = retry_after
        self.detail = ""


@dataclass(frozen=True, slots=True)
class TokenAnswer:
    """What a provider granted. `scopes` is None where it named none, which means those that were asked for."""

    access_token: Secret
    refresh_token: Secret | None
    id_token: Secret | None
    expires_at: datetime | None
    scopes: frozenset[str] | None
    extras: Mapping[str, str]
    claims: Mapping[str, str]
    """The parts of the answer that name the account, where the provider's identity comes from the answer."""
    names_expiry: bool = True
    """Whether `expires_at` stood in the answer; otherwise it is what is assumed of this provider."""
    grant_ends_at: datetime | None = None
    """When the grant itself ends, whatever we do, where the answer says so."""

    def until(self, ends: datetime | None, now: datetime) -> TokenAnswer:
        """The same answer with an end that was learned elsewhere."""
        return replace(self, expires_at=bounded(ends, now), names_expiry=True) if ends else self

    def tokens(self, provider: Provider, asked: frozenset[str], former: TokenSet | None = None) -> TokenSet:
        """The TokenSet to keep. What a refresh answer leaves out is carried over from the former one."""
        granted = asked if self.scopes is None else self.scopes | (asked & set(provider.scopes.unlisted))
        return TokenSet(
            access_token=self.access_token,
            refresh_token=self.refresh_token or (former.refresh_token if former else None),
            expires_at=self.expires_at,
            scopes=granted,
            extras={**(former.extras if former else {}), **self.extras},
        )


def read_answer(
    provider: Provider, status: int, headers: Mapping[str, str], body: bytes, sent_at: datetime
) -> TokenAnswer:
    """Read one answer. `sent_at` is when the request left: lives are counted from there, by our own clock."""
    found = json_object(body)
    if error := answer_error(provider, status, headers, found, sent_at):
        raise error
    shape = provider.token_response
    answer = _rooted(shape, found or {})
    access_token = token_at(answer, shape.access_token)
    if access_token is None:
        raise TokenEndpointError(ErrorKind.UNAVAILABLE, "no_access_token", status=status)
    token_type = at_path(answer, shape.token_type)
    if token_type is not None and str(token_type).lower() not in shape.token_types:
        raise TokenEndpointError(ErrorKind.MISCONFIGURED, "unsupported_token_type", status=status)
    expires_at = named_expiry(provider, answer, access_token, sent_at)
    return TokenAnswer(
        access_token=access_token,
        refresh_token=token_at(answer, shape.refresh_token),
        id_token=token_at(answer, shape.id_token),
        expires_at=expires_at or assumed_expiry(provider, sent_at),
        scopes=granted_scopes(at_path(answer, shape.scope), shape.scope_separator or provider.scopes.separator),
        extras=matching(provider.extras, found or {}),
        claims=_claims(provider, found or {}),
        names_expiry=expires_at is not None,
        grant_ends_at=grant_end(provider, answer, sent_at),
    )


def _rooted(shape: TokenResponse, answer: Mapping[str, Any]) -> Mapping[str, Any]:
    """The part of the answer that is about the token: the object at `root` if it has one, else all of it."""
    inner = at_path(answer, shape.root) if shape.root else None
    return inner if isinstance(inner, Mapping) and at_path(inner, shape.access_token) is not None else answer


def answer_error(
    provider: Provider, status: int, headers: Mapping[str, str], found: dict[str, Any] | None, now: datetime
) -> TokenEndpointError | None:
    """The error that an answer of a token or device endpoint is, or None. `found` is its JSON object, if it is one."""
    answer = found or {}
    succeeded = found is not None and 200 <= status < 300
    code = _named_error(provider, answer) or (None if succeeded and _holds_code(provider, answer) else _status(answer))
    if succeeded and code is None:
        return None
    wait = _retry_after(headers.get("retry-after"), now)
    error = TokenEndpointError(_kind(provider, status, code), code or f"http_{status}", status=status, retry_after=wait)
    description = answer.get("error_description") or answer.get("message")
    error.detail = description if isinstance(description, str) else ""
    return error


def _kind(provider: Provider, status: int, code: str | None) -> ErrorKind:
    if _is_outage(status):
        return ErrorKind.UNAVAILABLE
    if code in _REFUSED or code in provider.refused:
        return ErrorKind.REFUSED
    return ErrorKind.MISCONFIGURED if code in _MISCONFIGURED else ErrorKind.UNAVAILABLE


def _is_outage(status: int) -> bool:
    return status >= 500 or status in {408, 425, 429}


def _named_error(provider: Provider, answer: Mapping[str, Any]) -> str | None:
    """The error's name in any of the shapes that are about: `error` as text, as an object, as a flag; or none."""
    error, ok = answer.get("error"), provider.token_response.ok
    if isinstance(error, Mapping):
        error = error.get("code") or error.get("type") or error.get("status") or "unexpected"
    elif error is None or error is True or error is False:
        failed = error is True or answer.get("ok") is False or (ok and at_path(answer, ok) is False)
        error = (_status(answer) or "unexpected") if failed else None
    return None if error is None else _word(error)


def _status(answer: Mapping[str, Any]) -> str | None:
    """What HubSpot's gateway has in an `error`'s place. A token answer may hold a `status` of another meaning."""
    found = answer.get("errorType") or answer.get("status")
    return _word(found) if found else None


def _holds_code(provider: Provider, answer: Mapping[str, Any]) -> bool:
    shape = provider.token_response
    return "device_code" in answer or at_path(_rooted(shape, answer), shape.access_token) is not None


def _word(code: Any) -> str:
    return str(code) if _CODE.fullmatch(str(code)) else "unexpected"


def _retry_after(value: str | None, now: datetime) -> timedelta | None:
    """RFC 9110 section 10.2.3: seconds or a date. At most a quarter of an hour is believed."""
    if not value:
        return None
    try:
        wait = _until(value, now)
    except (ValueError, TypeError, OverflowError):
        return None
    return min(max(wait, timedelta(0)), LONGEST_WAIT)


def _until(value: str, now: datetime) -> timedelta:
    if re.fullmatch(r"\d{1,12}(\.\d+)?", value, re.ASCII):
        return timedelta(seconds=float(value))
    date = parsedate_to_datetime(value)
    return (date if date.tzinfo else date.replace(tzinfo=UTC)) - now


def token_at(answer: Mapping[str, Any], path: str) -> Secret | None:
    """A token, None where there is none. What cannot travel in a header is an error, and not a token."""
    value = at_path(answer, path)
    if value is None or value == "":
        return None
    if not isinstance(value, str) or not _TOKEN.fullmatch(value):
        raise TokenEndpointError(ErrorKind.UNAVAILABLE, "malformed_token")
    return Secret(value)


def granted_scopes(value: Any, separator: str) -> frozenset[str] | None:
    """Scopes from text or from an array. None where there are none, which means: as they were asked for."""
    if isinstance(value, str):
        return frozenset(value.replace(separator, " ").split()) or None
    if isinstance(value, list):
        return frozenset(scope for scope in value if isinstance(scope, str) and scope) or None
    return None


def matching(patterns: Mapping[str, str], found: Mapping[str, Any]) -> dict[str, str]:
    """The fields that calls need, each under the last word of its path.

    One that does not match its pattern is left out: a call could send a token there.
    """
    values = {path: text_of(at_path(found, path)) for path in patterns}
    return {
        path.rpartition(".")[2]: value
        for path, value in values.items()
        if value and re.fullmatch(patterns[path], value)
    }


@dataclass(frozen=True, slots=True)
class RevocationAnswer:
    """Whether the grant is no more: ended now, or found ended. `retry_after` is how long to leave the provider alone,
    where it said so."""

    ended: bool
    retry_after: timedelta | None = None


def read_revocation_answer(
    provider: Provider, status: int, headers: Mapping[str, str], body: bytes, now: datetime
) -> RevocationAnswer:
    """RFC 7009 section 2.2 has 200 for both. Others answer an unknown token with an error, also with status 200."""
    code = _named_error(provider, json_object(body) or {})
    if code is None:
        ended = 200 <= status < 300
    else:
        ended = not _is_outage(status) and (code in _REFUSED or code in _DEAD or code in provider.refused)
    return RevocationAnswer(ended, None if ended else _retry_after(headers.get("retry-after"), now))


def _claims(provider: Provider, answer: Mapping[str, Any]) -> dict[str, str]:
    identity = provider.identity
    if identity is None or identity.source != "token":
        return {}
    paths = (*identity.account_id, *identity.label, *identity.workspace)
    found = {path: text_of(at_path(answer, path)) for path in paths}
    return {path: value for path, value in found.items() if value}


def text_of(value: Any) -> str | None:
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else None


def safe_detail(text: str, *secrets: Secret | None) -> str:
    """A provider's own words, fit for a log: without what we sent, on one line, at most 300 characters."""
    clean = Redactor([secret.reveal() for secret in secrets if secret], shapes=True).redact(text)
    return "".join(c if c.isprintable() else " " for c in clean)[:300]

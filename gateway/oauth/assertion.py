"""A service account's key, and the signed assertion that its access is asked for with.

The key is what Google's console hands out as a JSON file; other vendors' keys are given in the same form. Nobody else
ever sees it: what leaves is an assertion that lives for ten minutes.

Above: client. Below: joserfc. Source: RFC 7523 section 3,
https://developers.google.com/identity/protocols/oauth2/service-account#authorizingrequests
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey

from gateway.errors import SettingsError
from gateway.providers.provider import Provider
from gateway.secret import Secret

_LIFE = timedelta(minutes=10)
_HINT = "Give the JSON file that the provider's console handed out, with client_email and private_key."


@dataclass(frozen=True, slots=True)
class ServiceAccountKey:
    """`issuer` is the account's own name (Google: its e-mail address), `subject` whom it acts for, itself if None."""

    issuer: str
    private_key: Secret
    key_id: str | None = None
    subject: str | None = None


def read_key_file(text: Secret, subject: str | None = None) -> ServiceAccountKey:
    """A key from the JSON that Google's console hands out. Raises SettingsError, which never holds any of it."""
    try:
        found: Any = json.loads(text.reveal())
    except ValueError:
        raise SettingsError(f"The service account's key is not JSON. {_HINT}") from None
    name = found.get("client_email") if isinstance(found, dict) else None
    private_key = found.get("private_key") if isinstance(found, dict) else None
    if not isinstance(name, str) or not isinstance(private_key, str):
        raise SettingsError(f"The service account's key is not complete. {_HINT}")
    key_id = found.get("private_key_id")
    key = ServiceAccountKey(name, Secret(private_key), key_id if isinstance(key_id, str) else None, subject)
    _signing_key(key)
    return key


def signed_assertion(provider: Provider, key: ServiceAccountKey, scopes: Collection[str], now: datetime) -> Secret:
    """The assertion (a JWT) for one request. Raises SettingsError where the key cannot sign."""
    about = provider.service_account
    audience = (about and (about.audience or about.url)) or provider.token_url
    claims: dict[str, Any] = {
        "iss": key.issuer,
        "sub": key.subject or key.issuer,
        "aud": audience,
        "iat": int(now.timestamp()),
        "exp": int((now + _LIFE).timestamp()),
        "jti": secrets.token_urlsafe(16),
    }
    if about and about.scopes_in_assertion and scopes:
        claims["scope"] = provider.scopes.join(scopes)
    signing_key = _signing_key(key)
    header = {"alg": "ES256" if isinstance(signing_key, ECKey) else "RS256", "typ": "JWT"}
    if key.key_id:
        header["kid"] = key.key_id
    return Secret(jwt.encode(header, claims, signing_key))


def _signing_key(key: ServiceAccountKey) -> RSAKey | ECKey:
    for kind in (RSAKey, ECKey):
        try:
            imported = kind.import_key(key.private_key.reveal())
        except (JoseError, ValueError, TypeError):
            continue
        if imported.is_private:
            return imported
    raise SettingsError(f"The service account's private_key cannot be read. {_HINT}")

"""What a person types into our page: an API key, a user name and password, a part of the provider's addresses.

Read strictly and explained kindly: a FieldError names the field and says what is expected, and nothing of what was
typed is repeated in it. Above: flows.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

from gateway.errors import FieldError
from gateway.oauth.identity import Account
from gateway.providers.provider import Variable
from gateway.secret import Secret
from gateway.types import CredentialKind, TokenSet

_API_KEY = re.compile(r"[\x21-\x7e]{1,16384}")
_LONGEST_NAME = 256
_LONGEST_PASSWORD = 4096
_HOST_PART = re.compile(r"[A-Za-z0-9.-]{1,253}")


def read_typed(kind: CredentialKind, secret: Secret, username: str | None) -> tuple[Account, TokenSet]:
    """An API key, or a user name with its password, as a grant. FieldError: `api_key`, `username`, `password`."""
    if kind is CredentialKind.BASIC:
        return _basic(username or "", secret)
    key = Secret(secret.reveal().strip())
    if not _API_KEY.fullmatch(key.reveal()):
        raise FieldError(
            "api_key", "That is not an API key: it is empty, too long, or has a space in it. Copy it again."
        )
    return Account("default"), TokenSet(key)


def read_variables(
    asked: Mapping[str, Variable], given: Mapping[str, str], allowed_hosts: Collection[str] = ()
) -> dict[str, str]:
    """The values of all that is asked for, held against their patterns. FieldError: the variable's name.

    `allowed_hosts` are the operator's own, which a self-hosted product may be at.
    """
    return {
        name: _variable(name, about, given.get(name, "").strip() or about.default or "", allowed_hosts)
        for name, about in asked.items()
    }


def _variable(name: str, about: Variable, value: str, allowed_hosts: Collection[str]) -> str:
    expected = about.prompt.rstrip(".") or name.replace("_", " ")
    if not value:
        raise FieldError(name, f"Fill this in first. Expected: {expected}.")
    if about.self_hosted and value in allowed_hosts:
        return value
    if not _HOST_PART.fullmatch(value) or not re.fullmatch(about.pattern, value):
        raise FieldError(name, f"That does not look right. Expected: {expected}.")
    return value


def _basic(username: str, password: Secret) -> tuple[Account, TokenSet]:
    """RFC 7617: joined by a colon, which the name itself cannot hold."""
    name = username.strip()
    if not name or len(name) > _LONGEST_NAME or ":" in name or not name.isprintable():
        raise FieldError("username", "That is not a user name: it is empty, too long, or has a colon in it.")
    if not password.reveal() or len(password.reveal()) > _LONGEST_PASSWORD or not password.reveal().isprintable():
        raise FieldError("password", "That is not a password: it is empty, too long, or has a line break in it.")
    pair = Secret(f"{name}:{password.reveal()}")
    return Account(f"user:{name}", name), TokenSet(pair, extras={"username": name, "password": password.reveal()})

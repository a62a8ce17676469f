"""The rules that a tool's declaration keeps, whoever declares it: a function in this process, or a toolkit from afar.

Each gives the value as we keep it, or raises a RegistrationError that says how to mend it. In all the spellings that
published toolkits use. Above: `declaration`, and the toolkits from afar. Source: AgentToolProtocol 0.2.5
`register_tool`; MCP 2026-07-28, Tools.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping
from typing import Any

from gateway.errors import RegistrationError
from gateway.toolkit.tool import RESERVED_ARGUMENTS
from gateway.types import CredentialKind, Requirement

log = logging.getLogger(__name__)

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,128}")
_LONG_NAME = 64  # what several model APIs allow
_KINDS = {
    "oauth2": CredentialKind.OAUTH2,
    "oauth": CredentialKind.OAUTH2,
    "apikey": CredentialKind.API_KEY,
    "key": CredentialKind.API_KEY,
    "basic": CredentialKind.BASIC,
    "basicauth": CredentialKind.BASIC,
    "clientcredentials": CredentialKind.CLIENT_CREDENTIALS,
    "serviceaccount": CredentialKind.SERVICE_ACCOUNT,
}

_SPELLED = ("OAuth2", "apiKey", "basic", "client_credentials", "service_account")


def checked_name(name: Any) -> str:
    """What a host calls the tool."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        better = re.sub(r"[^A-Za-z0-9_.-]+", "_", str(name)).strip("_")[:_LONG_NAME]
        raise RegistrationError(
            "a tool's name is 1 to 128 letters, digits, `_`, `-` or `.`. Register it as "
            f'function_name="{better or "my_tool"}".'
        )
    if len(name) > _LONG_NAME:
        log.warning("The tool name %s has %d characters; some hosts allow %d.", name, len(name), _LONG_NAME)
    return name


def checked_description(description: Any) -> str:
    """A text for the model."""
    if not isinstance(description, str):
        raise RegistrationError('description is a text for the model to read, such as description="Finds contacts.".')
    return description


def checked_timeout(timeout: Any) -> float:
    """Seconds."""
    if isinstance(timeout, bool) or not isinstance(timeout, int | float) or not 0 < timeout < float("inf"):
        raise RegistrationError("timeout is a number of seconds above 0, such as timeout=30.")
    return float(timeout)


def checked_names(names: Any, called: str) -> list[str]:
    """The names of parameters, of which the author calls the list `called`."""
    listed = _list(names)
    if listed is None or not all(isinstance(name, str) and name for name in listed):
        raise RegistrationError(f'{called} is a list of parameter names, such as {called}=["name", "domain"].')
    if reserved := RESERVED_ARGUMENTS.intersection(listed):
        raise RegistrationError(
            f"{called} names {', '.join(sorted(reserved))}, which no caller may supply: the gateway does. "
            "Take it out of the list; the function gets it all the same, as auth_token."
        )
    return listed


def checked_requirement(auth_provider: Any, auth_type: Any, auth_with: Any, scopes: Any) -> Requirement | None:
    """What the tool needs to sign in with, None if nothing."""
    provider, spelled = _word(auth_provider, "auth_provider"), _word(auth_type, "auth_type")
    scopes = scopes.split() if isinstance(scopes, str) else _list(scopes)
    if not provider:
        if spelled or scopes:
            raise RegistrationError(
                f"{'auth_type' if spelled else 'scopes'} says what to sign in with, but not where: add auth_provider, "
                'such as auth_provider="hubspot".'
            )
        return None
    if not spelled:
        spelled = "api_key" if auth_with == "api_key" else "oauth2"
    kind = _KINDS.get(re.sub(r"[^a-z0-9]", "", spelled.lower()))
    if kind is None:
        raise RegistrationError(f'auth_type="{spelled}" is not known. Write one of {", ".join(_SPELLED)}.')
    if scopes is None or not all(isinstance(scope, str) and scope for scope in scopes):
        raise RegistrationError('scopes is a list of names, such as scopes=["crm.objects.contacts.read"].')
    return Requirement(provider.lower(), kind, frozenset(scopes))


def _word(value: Any, called: str) -> str:
    if value is not None and not isinstance(value, str):
        raise RegistrationError(f'{called} is a name in quotes, such as {called}="…".')
    word = (value or "").strip()
    return "" if word.lower() in ("none", "null") else word


def _list(values: Any) -> list[Any] | None:
    """The values of a list, a tuple, a set; None of a text, a table, or what is no list at all."""
    return list(values) if isinstance(values, Iterable) and not isinstance(values, str | Mapping) else None

"""From what an author says about a function to a Tool, or a RegistrationError that says how to mend it.

Takes everything the ATP SDK's `register_tool` takes, in all the spellings that published toolkits use, and what new
authors may add. Nothing is run and no source is read here: only the signature, the hints and the docstring.

Above: `gateway.toolkit.client`. Sources: AgentToolProtocol 0.2.5 `register_tool`; MCP 2026-07-28, Tools.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from gateway.errors import RegistrationError
from gateway.toolkit.check import argument_check, result_check
from gateway.toolkit.docstring import Docstring, read_docstring
from gateway.toolkit.function import FunctionRun
from gateway.toolkit.place import innermost, place_of
from gateway.toolkit.pool import Pool
from gateway.toolkit.schema import Shape, as_sent, derive, derive_named
from gateway.toolkit.schema_rules import object_schema
from gateway.toolkit.signature import Injection, Signature, read_signature
from gateway.toolkit.tool import RESERVED_ARGUMENTS, Annotations, Tool, accept
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


@dataclass(frozen=True, slots=True)
class Declaration:
    """What the author said. Everything may be left out: the function then says it."""

    function_name: str | None = None
    params: Iterable[str] | None = None
    required_params: Iterable[str] | None = None
    description: str | None = None
    auth_provider: str | None = None
    auth_type: str | None = None
    auth_with: str | None = None
    scopes: Iterable[str] | str = ()
    annotations: Annotations | None = None
    input_schema: Mapping[str, Any] | None = None
    output_schema: Mapping[str, Any] | None = None
    timeout: float = 60.0


def declare(declaration: Declaration, function: Callable[..., Any], toolkit: str, pool: Pool) -> Tool:
    """The Tool that `function` is. RegistrationError names the tool and says what is wrong with it."""
    name = declaration.function_name or str(getattr(function, "__name__", ""))
    try:
        return _tool(declaration, function, _checked_name(name), toolkit, pool)
    except RegistrationError as error:
        raise RegistrationError(f"tool {name or '(without a name)'}: {error}") from None


def _tool(declaration: Declaration, function: Callable[..., Any], name: str, toolkit: str, pool: Pool) -> Tool:
    signature = read_signature(function)
    docs = read_docstring(innermost(function).__doc__)
    shape = _shape(declaration, signature, docs, name)
    requirement = _requirement(declaration)
    _check_credential(signature, requirement)
    timeout = _checked_timeout(declaration.timeout)
    output = None if declaration.output_schema is None else object_schema(declaration.output_schema, "output_schema")
    input_schema = object_schema(shape.schema, "input_schema")
    return Tool(
        name=name,
        toolkit=toolkit,
        description=docs.description if declaration.description is None else _text(declaration.description),
        input_schema=input_schema,
        run=FunctionRun(function, signature, shape.convert, pool=pool, toolkit=toolkit, timeout=timeout),
        check=argument_check(input_schema),
        requirement=requirement,
        output_schema=output,
        annotations=declaration.annotations or Annotations(),
        timeout=timeout,
        check_result=accept if output is None else result_check(output),
        origin=place_of(function),
    )


def _checked_name(name: str) -> str:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        better = re.sub(r"[^A-Za-z0-9_.-]+", "_", str(name)).strip("_")[:_LONG_NAME]
        raise RegistrationError(
            "a tool's name is 1 to 128 letters, digits, `_`, `-` or `.`. Register it as "
            f'function_name="{better or "my_tool"}".'
        )
    if len(name) > _LONG_NAME:
        log.warning("The tool name %s has %d characters; some hosts allow %d.", name, len(name), _LONG_NAME)
    return name


def _text(description: str) -> str:
    if not isinstance(description, str):
        raise RegistrationError('description is a text for the model to read, such as description="Finds contacts.".')
    return description


def _checked_timeout(timeout: float) -> float:
    if isinstance(timeout, bool) or not isinstance(timeout, int | float) or not 0 < timeout < float("inf"):
        raise RegistrationError("timeout is a number of seconds above 0, such as timeout=30.")
    return float(timeout)


def _shape(declaration: Declaration, signature: Signature, docs: Docstring, name: str) -> Shape:
    if declaration.input_schema is not None:
        return _verbatim(object_schema(declaration.input_schema, "input_schema"), signature)
    if declaration.params is None and declaration.required_params is None:
        return derive(signature, docs.parameters)
    params = list(signature.parameters) if declaration.params is None else _names(declaration.params, "params")
    required = _names(declaration.required_params or (), "required_params")
    if not signature.takes_more:
        for unknown in dict.fromkeys(each for each in (*params, *required) if each not in signature.parameters):
            log.warning("Tool %s lists %r in params, which its function does not take; it is left out.", name, unknown)
        params = [each for each in params if each in signature.parameters]
        required = [each for each in required if each in signature.parameters]
    return derive_named(signature, params, required, docs.parameters)


def _names(names: Iterable[str], called: str) -> list[str]:
    listed = None if isinstance(names, str) else list(names)
    if listed is None or not all(isinstance(name, str) and name for name in listed):
        raise RegistrationError(f'{called} is a list of parameter names, such as {called}=["name", "domain"].')
    if reserved := RESERVED_ARGUMENTS.intersection(listed):
        raise RegistrationError(
            f"{called} names {', '.join(sorted(reserved))}, which no caller may supply: the gateway does. "
            "Take it out of the list; the function gets it all the same, as auth_token."
        )
    return listed


def _verbatim(schema: dict[str, Any], signature: Signature) -> Shape:
    """The author's own schema, held against what the function takes."""
    properties = schema.get("properties")
    properties = properties if isinstance(properties, dict) else {}
    for name in properties:
        if name in RESERVED_ARGUMENTS or name in signature.injected:
            raise RegistrationError(
                f"input_schema names {name}, which the gateway supplies. Take it out of the schema."
            )
        if not signature.takes_more and name not in signature.parameters:
            raise RegistrationError(f"input_schema names {name}, which the function does not take. Add the parameter.")
    needed = [name for name, own in signature.parameters.items() if own.required]
    if missing := [name for name in needed if name not in properties]:
        raise RegistrationError(f"the function needs {', '.join(missing)}, which input_schema does not name. Add it.")
    return Shape(schema, as_sent)


def _requirement(declaration: Declaration) -> Requirement | None:
    provider, spelled = _word(declaration.auth_provider, "auth_provider"), _word(declaration.auth_type, "auth_type")
    scopes = declaration.scopes.split() if isinstance(declaration.scopes, str) else list(declaration.scopes)
    if not provider:
        if spelled or scopes:
            raise RegistrationError(
                f"{'auth_type' if spelled else 'scopes'} says what to sign in with, but not where: add auth_provider, "
                'such as auth_provider="hubspot".'
            )
        return None
    if not spelled:
        spelled = "api_key" if declaration.auth_with == "api_key" else "oauth2"
    kind = _KINDS.get(re.sub(r"[^a-z0-9]", "", spelled.lower()))
    if kind is None:
        raise RegistrationError(f'auth_type="{spelled}" is not known. Write one of {", ".join(_SPELLED)}.')
    if not all(isinstance(scope, str) and scope for scope in scopes):
        raise RegistrationError('scopes is a list of names, such as scopes=["crm.objects.contacts.read"].')
    return Requirement(provider.lower(), kind, frozenset(scopes))


def _word(value: str | None, called: str) -> str:
    if value is not None and not isinstance(value, str):
        raise RegistrationError(f'{called} is a name in quotes, such as {called}="…".')
    word = (value or "").strip()
    return "" if word.lower() in ("none", "null") else word


def _check_credential(signature: Signature, requirement: Requirement | None) -> None:
    needs = [name for name in signature.must_inject if signature.injected[name] is Injection.CREDENTIAL]
    if needs and requirement is None:
        raise RegistrationError(
            f"its parameter {needs[0]} wants a Credential, but the tool does not say of which provider: add "
            'auth_provider="…", or give the parameter a default.'
        )

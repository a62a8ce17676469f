"""From what an author says about a function to a Tool, or a RegistrationError that says how to mend it.

Takes everything the ATP SDK's `register_tool` takes, in all the spellings that published toolkits use, and what new
authors may add. Nothing is run and no source is read here: only the signature, the hints and the docstring.

Above: `gateway.toolkit.client`. Sources: AgentToolProtocol 0.2.5 `register_tool`; MCP 2026-07-28, Tools.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from gateway.errors import RegistrationError
from gateway.toolkit.check import argument_check, result_check
from gateway.toolkit.declaration_rules import (
    checked_description,
    checked_name,
    checked_names,
    checked_requirement,
    checked_timeout,
)
from gateway.toolkit.docstring import Docstring, read_docstring
from gateway.toolkit.function import FunctionRun
from gateway.toolkit.place import innermost, place_of
from gateway.toolkit.pool import Pool
from gateway.toolkit.schema import Shape, as_sent, derive, derive_named
from gateway.toolkit.schema_rules import object_schema
from gateway.toolkit.signature import Injection, Signature, read_signature
from gateway.toolkit.tool import RESERVED_ARGUMENTS, Annotations, Tool, accept
from gateway.types import Requirement

log = logging.getLogger(__name__)


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
        return _tool(declaration, function, checked_name(name), toolkit, pool)
    except RegistrationError as error:
        raise RegistrationError(f"tool {name or '(without a name)'}: {error}") from None


def _tool(declaration: Declaration, function: Callable[..., Any], name: str, toolkit: str, pool: Pool) -> Tool:
    signature = read_signature(function)
    docs = read_docstring(innermost(function).__doc__)
    shape = _shape(declaration, signature, docs, name)
    requirement = checked_requirement(
        declaration.auth_provider, declaration.auth_type, declaration.auth_with, declaration.scopes
    )
    _check_credential(signature, requirement)
    timeout = checked_timeout(declaration.timeout)
    output = None if declaration.output_schema is None else object_schema(declaration.output_schema, "output_schema")
    input_schema = object_schema(shape.schema, "input_schema")
    return Tool(
        name=name,
        toolkit=toolkit,
        description=_description(declaration, docs),
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


def _description(declaration: Declaration, docs: Docstring) -> str:
    return docs.description if declaration.description is None else checked_description(declaration.description)


def _shape(declaration: Declaration, signature: Signature, docs: Docstring, name: str) -> Shape:
    if declaration.input_schema is not None:
        return _verbatim(object_schema(declaration.input_schema, "input_schema"), signature)
    if declaration.params is None and declaration.required_params is None:
        return derive(signature, docs.parameters)
    params = list(signature.parameters) if declaration.params is None else checked_names(declaration.params, "params")
    required = checked_names(declaration.required_params or (), "required_params")
    if not signature.takes_more:
        for unknown in dict.fromkeys(each for each in (*params, *required) if each not in signature.parameters):
            log.warning("Tool %s lists %r in params, which its function does not take; it is left out.", name, unknown)
        params = [each for each in params if each in signature.parameters]
        required = [each for each in required if each in signature.parameters]
    return derive_named(signature, params, required, docs.parameters)


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


def _check_credential(signature: Signature, requirement: Requirement | None) -> None:
    needs = [name for name in signature.must_inject if signature.injected[name] is Injection.CREDENTIAL]
    if needs and requirement is None:
        raise RegistrationError(
            f"its parameter {needs[0]} wants a Credential, but the tool does not say of which provider: add "
            'auth_provider="…", or give the parameter a default.'
        )

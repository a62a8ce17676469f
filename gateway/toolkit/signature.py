"""What a function takes: the parameters its callers fill in, and those that only the gateway does.

The gateway fills in `auth_token`, and whatever is annotated `Credential` or `Context`; none of them is ever shown to a
caller or taken from one. Annotations may be strings, optional, or `Annotated`.

Above: `gateway.toolkit.schema` (what callers see) and `gateway.toolkit.function` (the call itself).
"""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from gateway.errors import RegistrationError
from gateway.toolkit.context import Context
from gateway.toolkit.place import innermost
from gateway.toolkit.tool import RESERVED_ARGUMENTS
from gateway.types import Credential

AUTH_TOKEN = "auth_token"  # noqa: S105 - a name
ABSENT: Any = inspect.Parameter.empty
"""Stands for a hint or a default that is not there."""


class Injection(Enum):
    """What the gateway puts into a parameter."""

    TOKEN = "the token"  # noqa: S105 - a name
    CREDENTIAL = "the credential"
    CONTEXT = "the context"


@dataclass(frozen=True, slots=True)
class Unresolved:
    """A hint written as text whose names do not exist when the program runs."""

    text: str


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter that callers fill in. `hint` and `default` are ABSENT where the author wrote none."""

    name: str
    hint: Any = ABSENT
    default: Any = ABSENT
    required: bool = False


@dataclass(frozen=True, slots=True)
class Signature:
    """`takes_more` is whether there is a `**kwargs`; `injected` maps a parameter's name to what it is given.

    `must_inject` are those of them that have no default.
    """

    parameters: Mapping[str, Parameter]
    injected: Mapping[str, Injection]
    must_inject: frozenset[str]
    takes_more: bool


def read_signature(function: Callable[..., Any]) -> Signature:
    """RegistrationError where arguments by name could not reach the function."""
    try:
        declared = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        raise RegistrationError("it has no signature that Python can read. Wrap it in a `def`.") from None
    inner = innermost(function)
    names = {"Context": Context, "Credential": Credential, **getattr(inner, "__globals__", {})}
    parameters: dict[str, Parameter] = {}
    injected: dict[str, Injection] = {}
    must_inject: set[str] = set()
    for found in declared:
        if found.kind in (found.VAR_POSITIONAL, found.VAR_KEYWORD):
            continue
        hint = _hint(found.annotation, names)
        if injection := _injection(found.name, hint):
            injected[found.name] = injection
            if found.default is ABSENT:
                must_inject.add(found.name)
        else:
            parameters[found.name] = Parameter(found.name, hint, found.default, required=found.default is ABSENT)
        _refuse_unreachable(found, inner)
    takes_more = any(found.kind is found.VAR_KEYWORD for found in declared)
    return Signature(parameters, injected, frozenset(must_inject), takes_more)


def _hint(annotation: Any, names: dict[str, Any]) -> Any:
    """What an annotation means, by itself: another one's missing import does not matter to it."""
    if annotation is ABSENT:
        return ABSENT
    holder = types.SimpleNamespace(__annotations__={"it": annotation})
    try:
        return typing.get_type_hints(holder, names, include_extras=True)["it"]
    except (NameError, AttributeError, TypeError, SyntaxError):
        return Unresolved(str(annotation))


def _injection(name: str, hint: Any) -> Injection | None:
    if name == AUTH_TOKEN:
        return Injection.TOKEN
    if _mentions(hint, Credential):
        return Injection.CREDENTIAL
    return Injection.CONTEXT if _mentions(hint, Context) else None


def _mentions(hint: Any, kind: type) -> bool:
    """Whether a hint is `kind`, itself or optionally or annotated with something."""
    if typing.get_origin(hint) in (typing.Annotated, typing.Union, types.UnionType):
        return any(_mentions(inner, kind) for inner in typing.get_args(hint))
    return hint is kind


def _refuse_unreachable(found: inspect.Parameter, inner: Callable[..., Any]) -> None:
    if found.name in RESERVED_ARGUMENTS - {AUTH_TOKEN}:
        raise RegistrationError(
            f"it declares a parameter named {found.name}, which callers could then fill in. Declare {AUTH_TOKEN} "
            "instead: the gateway puts the access token or API key there."
        )
    if found.kind is found.POSITIONAL_ONLY:
        raise RegistrationError(
            f"its parameter {found.name} is positional-only. Remove the `/`: arguments come by name."
        )
    owner = getattr(inner, "__qualname__", "").rpartition(".")[0]
    if found.name in ("self", "cls") and owner and not owner.endswith("<locals>"):
        raise RegistrationError(
            "it is a method without its object. Register the bound method: client.tool(thing.method)."
        )

"""What a toolkit from afar says of one of its tools: read from the wire, kept as JSON, compared with what it was.

The rules are those for a function `def f(**kwargs)` in this process: the same names, reserved arguments, spellings and
schemas. The published SDK sends the names of parameters; a client of ours may send what it knows beyond that.

Two definitions that differ in `timeout` alone say the same thing. Pure. Above: `pinning`, `remote_tools`.
Source: AgentToolProtocol 0.2.5, `register_tool`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from gateway.errors import RegistrationError
from gateway.toolkit.check import argument_check, result_check
from gateway.toolkit.declaration_rules import (
    checked_description,
    checked_names,
    checked_requirement,
    checked_timeout,
)
from gateway.toolkit.schema import names_schema
from gateway.toolkit.schema_rules import object_schema
from gateway.toolkit.tool import RESERVED_ARGUMENTS, Annotations
from gateway.types import CredentialKind, Requirement

USUAL_TIMEOUT = 60.0
LONGEST_TIMEOUT = 3600.0  # seconds


@dataclass(frozen=True, slots=True)
class Definition:
    """What hosts are shown of a tool, and what it needs. `timeout` is in seconds."""

    description: str
    input_schema: Mapping[str, Any]
    output_schema: Mapping[str, Any] | None = None
    annotations: Annotations = field(default_factory=Annotations)
    requirement: Requirement | None = None
    timeout: float = USUAL_TIMEOUT

    @classmethod
    def of_metadata(cls, metadata: Mapping[str, Any]) -> Definition:
        """From `register_tool`'s metadata. RegistrationError says what is wrong with it."""
        input_schema = object_schema(_input_schema(metadata), "input_schema")
        argument_check(input_schema)
        output = metadata.get("output_schema")
        output_schema = None if output is None else object_schema(_table(output, "output_schema"), "output_schema")
        if output_schema is not None:
            result_check(output_schema)
        timeout = metadata.get("timeout")
        return cls(
            description=checked_description(metadata.get("description") or ""),
            input_schema=input_schema,
            output_schema=output_schema,
            annotations=_annotations(metadata.get("annotations")),
            requirement=checked_requirement(
                metadata.get("auth_provider"),
                metadata.get("auth_type"),
                metadata.get("auth_with"),
                metadata.get("scopes") or (),
            ),
            timeout=USUAL_TIMEOUT if timeout is None else min(checked_timeout(timeout), LONGEST_TIMEOUT),
        )

    @classmethod
    def of_json(cls, text: str) -> Definition:
        """Back from `to_json`."""
        kept = json.loads(text)
        need = kept["requirement"]
        return cls(
            kept["description"],
            kept["input_schema"],
            kept["output_schema"],
            Annotations(**kept["annotations"]),
            need and Requirement(need["provider"], CredentialKind(need["kind"]), frozenset(need["scopes"])),
            kept["timeout"],
        )

    def to_json(self) -> str:
        """Equal definitions are equal text."""
        return json.dumps(self._plain(), sort_keys=True, separators=(",", ":"))

    def changes_from(self, former: Definition) -> list[str]:
        """In what it says something else, in words."""
        own, other = self._plain(), former._plain()
        words = [name.replace("_", " ") for name in _COMPARED if own[name] != other[name]]
        return words + _changed_need(own["requirement"] or {}, other["requirement"] or {})

    def can_stand_in_for(self, new: Definition) -> bool:
        """Whether calls by this definition still make sense for a function that is declared as `new`.

        They do where the function takes, returns and signs in with the same, though with other words and scopes. A
        token of one provider never goes to a function that expects another's.
        """
        return (
            self.input_schema == new.input_schema
            and self.output_schema == new.output_schema
            and _where(self.requirement) == _where(new.requirement)
        )

    def _plain(self) -> dict[str, Any]:
        need = self.requirement
        return {
            "description": self.description,
            "input_schema": self.input_schema,
            "output_schema": self.output_schema,
            "annotations": asdict(self.annotations),
            "requirement": need and {"provider": need.provider, "kind": str(need.kind), "scopes": sorted(need.scopes)},
            "timeout": self.timeout,
        }


_COMPARED = ("description", "input_schema", "output_schema", "annotations")


def _changed_need(own: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    named = {"provider": "provider", "kind": "kind of credential", "scopes": "scopes"}
    return [words for name, words in named.items() if own.get(name) != other.get(name)]


def _where(requirement: Requirement | None) -> tuple[str, CredentialKind] | None:
    return None if requirement is None else (requirement.provider, requirement.kind)


def _input_schema(metadata: Mapping[str, Any]) -> Mapping[str, Any]:
    own = metadata.get("input_schema")
    if own is not None:
        schema = _table(own, "input_schema")
        properties = schema.get("properties")
        if reserved := RESERVED_ARGUMENTS & (properties.keys() if isinstance(properties, dict) else set()):
            raise RegistrationError(
                f"input_schema names {', '.join(sorted(reserved))}, which the gateway supplies. Take it out."
            )
        return schema
    params, required = metadata.get("params"), metadata.get("required_params")
    if params is None and required is None:
        return {"type": "object", "additionalProperties": True}
    required = checked_names(required or (), "required_params")
    names = dict.fromkeys([*checked_names(params or (), "params"), *required])
    return names_schema(names, [name for name in names if name in set(required)])


def _annotations(given: Any) -> Annotations:
    hints = {} if given is None else _table(given, "annotations")
    title = hints.get("title")
    if title is not None and not isinstance(title, str):
        raise RegistrationError('the title among the annotations is a text, such as "title": "Find contacts".')
    flags = {name: hints.get(name) for name in ("read_only", "destructive", "idempotent", "open_world")}
    for name, value in flags.items():
        if value is not None and not isinstance(value, bool):
            raise RegistrationError(f"{name} among the annotations is true or false.")
    return Annotations(title=title, **flags)


def _table(value: Any, called: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise RegistrationError(f"{called} is a JSON object.")
    return value

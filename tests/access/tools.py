"""Tools to be decided about: a name, a toolkit, and what they say of themselves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.toolkit.context import Context
from gateway.toolkit.tool import Annotations, Tool
from gateway.types import Credential, Principal

ISSUER = "https://login.example"


def person(subject: str = "ada", *groups: str, issuer: str = ISSUER, tenant: str = "default") -> Principal:
    return Principal(issuer, subject, tenant, frozenset(groups))


def tool(name: str, toolkit: str = "crm", *, tenant: str | None = None, **says: bool | None) -> Tool:
    return Tool(
        name=name,
        toolkit=toolkit,
        description=name,
        input_schema={"type": "object"},
        run=_done,
        check=lambda _: None,
        annotations=Annotations(**says),  # type: ignore[arg-type]
        tenant=tenant,
    )


async def _done(arguments: Mapping[str, Any], credential: Credential | None, context: Context) -> str:
    return "done"

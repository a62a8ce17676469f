"""What a worker is sent when one of its toolkit's tools is called. Above: `waiting_calls`, `workers`."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway.types import Credential


def new_request_id() -> str:
    """128 random bits, hex: whoever has not been sent a request cannot answer it."""
    return secrets.token_hex(16)


@dataclass(frozen=True, slots=True)
class ToolRequest:
    """What a worker is sent. Answers are matched by `id`."""

    tool: str
    arguments: Mapping[str, Any] = field(repr=False)
    credential: Credential | None = None
    id: str = field(default_factory=new_request_id)

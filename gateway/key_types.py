"""The vocabulary of API keys: what programs show to be let in.

Plain, immutable values, as `gateway.types`. A key itself is nowhere here. Above: the store's rows, `gateway.access`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class KeyKind(StrEnum):
    """What an API key is for. One that is for something else opens nothing."""

    TOOLKIT = "toolkit"
    APP = "app"
    ADMIN = "admin"
    PERSON = "person"


class Permission(StrEnum):
    """What an app may be granted: to call tools, to have its users connect accounts, to read their raw tokens."""

    CALL = "call"
    CONNECT = "connect"
    TOKENS = "tokens"


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key that a program shows to be let in: a toolkit's worker, an app, an administrator's or a person's script.

    The key itself is shown once and kept nowhere; `prefix` is its beginning, to recognise it by. `name` is a toolkit's
    id, or what people call the app. Several keys of one kind, tenant and name may live at once: that is how one is
    exchanged for another. `last_used_at` is right to a minute or so.

    A toolkit: `providers` are those whose tokens its workers may receive. An app: `may` are its Permissions, `toolkits`
    those that it sees, None for all, and `return_urls` where it may have its users sent after a consent, to the letter.
    A person's: whoever shows it acts as `subject` of `issuer`, with these `groups`.
    """

    id: str
    kind: KeyKind
    name: str
    tenant: str
    prefix: str
    created_at: datetime
    last_used_at: datetime | None = field(default=None, compare=False)
    revoked_at: datetime | None = None
    providers: frozenset[str] = frozenset()
    may: frozenset[str] = frozenset()
    toolkits: frozenset[str] | None = None
    return_urls: tuple[str, ...] = ()
    subject: str | None = None
    issuer: str | None = None
    groups: frozenset[str] = frozenset()

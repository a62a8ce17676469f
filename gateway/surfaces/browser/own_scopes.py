"""The gateway's own scopes in words: what a program may do that a person lets in.

Pure. Above: the page that asks, and the page of programs.
"""

from __future__ import annotations

from collections.abc import Iterable

_WORDS = {
    "tools": "See the tools that you may use here, and call them with the accounts that you connect",
    "tools:destructive": "Call tools that change or delete things for good, too",
    "offline_access": "Go on while you are away, until its access is ended",
}
_ORDER = list(_WORDS)


def own_scope_words(scopes: Iterable[str]) -> tuple[str, ...]:
    """What these scopes allow, a sentence each; one that has no words, by its name."""
    ordered = sorted(scopes, key=lambda scope: (_ORDER.index(scope) if scope in _WORDS else len(_ORDER), scope))
    return tuple(_WORDS.get(scope, scope) for scope in ordered)

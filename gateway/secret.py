"""A value that may be used but never shown.

`Secret` wraps text that must not reach a log, an error, a page or a tool's result. It has no readable form:
printing, formatting, pickling, copying and JSON encoding give a constant or fail. `reveal()` is the only way out,
so a search for it finds every use. Each Secret is also known to the redactor (`gateway.redaction`) for as long as
it lives, which then blots out its value wherever it turns up.

Below: nothing. Above: everything that touches a token, a key or a client secret.
"""

from __future__ import annotations

import hmac
import weakref
from typing import NoReturn, final

_live: weakref.WeakSet[Secret] = weakref.WeakSet()


@final
class Secret:
    """Sensitive text. Compare with `==` (constant time); read with `reveal()`."""

    __slots__ = ("__weakref__", "_value")

    def __init__(self, value: str) -> None:
        if not isinstance(value, str):
            raise TypeError(f"a Secret holds text, not {type(value).__name__}")
        self._value = value
        _live.add(self)

    def reveal(self) -> str:
        """The text itself. Keep it in as few places, for as short a time, as possible."""
        return self._value

    def __bool__(self) -> bool:
        return bool(self._value)

    def __repr__(self) -> str:
        return "Secret(…)"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return repr(self)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(_bytes(self._value), _bytes(other._value))

    def __hash__(self) -> int:
        # By identity, though equality is by value: the redactor's set must hold each of two equal Secrets.
        return object.__hash__(self)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret cannot be pickled or copied")

    def __iter__(self) -> NoReturn:
        raise TypeError("a Secret cannot be iterated over")


def _bytes(value: str) -> bytes:
    return value.encode("utf-8", "surrogatepass")


def live_secrets() -> list[Secret]:
    """All Secrets alive now. For the redactor."""
    return list(_live)

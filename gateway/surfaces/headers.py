"""One request's headers: cleaned for everybody downstream, decoded only where somebody asks.

A tool call passes here with a dozen headers of which the edge needs four, so none is decoded beforehand. Above: the
edge, and the authenticators, to which this is a plain mapping.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeVar, overload

from starlette.types import Scope

T = TypeVar("T")


class Headers(Mapping[str, str]):
    """By lower-case name; the values of a repeated header are joined (RFC 9110 section 5.3)."""

    __slots__ = ("_raw",)

    def __init__(self, raw: dict[bytes, bytes]) -> None:
        self._raw = raw

    @classmethod
    def of(cls, scope: Scope) -> Headers:
        """Read the request's headers, and strip the optional white space around their values in the scope itself.

        Servers must do so (RFC 9112 section 5.1); uvicorn with httptools does not.
        """
        pairs = scope["headers"] = [(name, value.strip(b" \t")) for name, value in scope["headers"]]
        raw = dict(pairs)
        if len(raw) != len(pairs):
            for name in raw:
                joint = b"; " if name == b"cookie" else b", "
                raw[name] = joint.join(value for each, value in pairs if each == name)
        return cls(raw)

    def __getitem__(self, name: str) -> str:
        return self._raw[name.encode("latin-1")].decode("latin-1")

    def __iter__(self) -> Iterator[str]:
        return (name.decode("latin-1") for name in self._raw)

    def __len__(self) -> int:
        return len(self._raw)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.encode("latin-1") in self._raw

    @overload
    def get(self, name: str, /) -> str | None: ...
    @overload
    def get(self, name: str, default: str, /) -> str: ...
    @overload
    def get(self, name: str, default: T, /) -> str | T: ...
    def get(self, name: str, default: Any = None, /) -> Any:
        # Mapping's own, like its `in`, goes through an exception for each header that is not there.
        value = self._raw.get(name.encode("latin-1"))
        return default if value is None else value.decode("latin-1")

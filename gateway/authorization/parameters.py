"""The parameters of a request, read as OAuth wants it: each once, and an empty one is none.

Pure. Above: requests, client_proof, grants. Source: RFC 6749 sections 3.1 and 3.2, RFC 8707 section 2.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from urllib.parse import parse_qsl

from gateway.errors import AuthorizationError

MOST = 64
LONGEST = 8192  # characters of one value


class Parameters(Mapping[str, str]):
    """By name. `repeated` are the names that stood more than once, which are in nothing else here."""

    def __init__(self, encoded: str) -> None:
        """AuthorizationError where this is no list of parameters at all."""
        try:
            pairs = parse_qsl(encoded, keep_blank_values=True, max_num_fields=MOST, errors="strict")
        except ValueError:  # too many of them, or no UTF-8
            raise AuthorizationError("invalid_request", "The request's parameters cannot be read.") from None
        counts = Counter(name for name, _ in pairs)
        self.repeated = frozenset(name for name, count in counts.items() if count > 1)
        self._values = {name: value for name, value in pairs if value and name not in self.repeated}
        self.longest = max((len(value) for _, value in pairs), default=0)

    def __getitem__(self, name: str) -> str:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def require_each_once(self) -> None:
        """AuthorizationError where one stands twice, or is longer than any honest one."""
        if self.repeated:
            raise AuthorizationError("invalid_request", f"The parameter {min(self.repeated)[:60]!r} stands twice.")
        if self.longest > LONGEST:
            raise AuthorizationError("invalid_request", "One of the parameters is too long.")

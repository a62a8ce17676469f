"""Where a client's tools go. The loader says so for the file it is loading; otherwise a client keeps them itself.

A context variable carries it: a toolkit's code is the same whether it is being loaded, run as a script, or imported by
a test. Below: the registry. Above: `gateway.toolkit.client`, which asks; `gateway.toolkit.loader`, which answers.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol

from gateway.toolkit.pool import Pool
from gateway.toolkit.tool import Tool


class Sink(Protocol):
    """`toolkit` is the name for a client that has none; `pool` is where the tools' threads come from.

    `is_loading` is true until the toolkit's file has been read to its end.
    """

    @property
    def toolkit(self) -> str: ...

    @property
    def pool(self) -> Pool: ...

    @property
    def is_loading(self) -> bool: ...

    def add(self, tool: Tool) -> None:
        """RegistrationError when another tool has the name."""
        ...

    def drop(self, name: str) -> bool: ...


_loading: ContextVar[Sink | None] = ContextVar("loading", default=None)


def find_sink() -> Sink | None:
    """The sink of the file that is being loaded right now, here; None outside of any loading."""
    return _loading.get()


@contextmanager
def loading_into(sink: Sink) -> Iterator[None]:
    """Have every tool that is registered meanwhile, in this context, go to `sink`."""
    token = _loading.set(sink)
    try:
        yield
    finally:
        _loading.reset(token)

"""Where in an author's files something stands, as a person would write it: `crm.py:12`."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any


def place(path: str | Path, line: int | None = None) -> str:
    """A file, and a line in it: from the working folder where it is inside that, else with its whole path."""
    path = Path(path)
    if path.is_relative_to(here := Path.cwd()):
        path = path.relative_to(here)
    return f"{path}:{line}" if line else str(path)


def place_of(function: Callable[..., Any]) -> str:
    """Where a function is declared; empty for one that is not written in Python."""
    code = getattr(innermost(function), "__code__", None)
    return place(code.co_filename, code.co_firstlineno) if code else ""


def innermost(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function inside decorators, `functools.partial` and callable objects."""
    while isinstance(function, functools.partial):
        function = function.func
    if not inspect.isroutine(function) and not isinstance(function, type):
        function = type(function).__call__
    inner: Callable[..., Any] = inspect.unwrap(function)
    return inner

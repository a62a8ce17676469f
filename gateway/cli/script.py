"""Runs a Python file as `python FILE` does: it is `__main__`, its folder is searched first, `sys.argv` is its own.

For files that are the program, not toolkits to import. Whoever calls this stays in charge afterwards: what the script
left behind, its functions above all, lives until the `with` block ends. Above: `gateway.cli.run`.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import gateway
from gateway.redaction import Redactor

_OURS = str(Path(gateway.__file__).parent)


@contextmanager
def as_main(script: Path, arguments: Sequence[str]) -> Iterator[ModuleType]:
    """Set the process up for the script; `execute` then runs it."""
    module = ModuleType("__main__")
    module.__file__ = str(script.absolute())
    before = sys.modules["__main__"], sys.argv[:], sys.path[:]
    sys.modules["__main__"] = module
    sys.argv[:] = [str(script), *arguments]
    sys.path[0] = str(script.absolute().parent)
    try:
        yield module
    finally:
        sys.modules["__main__"], sys.argv[:], sys.path[:] = before


def execute(module: ModuleType) -> int:
    """Run the module's file to its end. The exit code: the script's own, or 1 after an error, shown on stderr."""
    path = Path(str(module.__file__))
    try:
        exec(compile(path.read_bytes(), str(path), "exec", dont_inherit=True), vars(module))  # noqa: S102 - its purpose
    except SystemExit as ending:
        return _exit_code(ending.code)
    except Exception as error:  # noqa: BLE001 - whatever a script raises is shown to its author, as Python would
        sys.stderr.write(shown(error))
        return 1
    return 0


def shown(error: BaseException) -> str:
    """The traceback as the script's author knows it: without the gateway's frames, and without secrets."""
    told = traceback.TracebackException.from_exception(error)
    _trim(told)
    return Redactor.of_live_secrets().redact("".join(told.format()))


def _trim(told: traceback.TracebackException) -> None:
    told.stack[:] = [frame for frame in told.stack if not frame.filename.startswith(_OURS)]
    for other in (told.__cause__, told.__context__, *(getattr(told, "exceptions", None) or ())):
        if other is not None:
            _trim(other)


def _exit_code(code: object) -> int:
    """What `sys.exit(code)` means to a shell."""
    if code is None or isinstance(code, int):
        return int(code or 0)
    sys.stderr.write(f"{code}\n")
    return 1

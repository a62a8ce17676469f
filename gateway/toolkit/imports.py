"""Runs a toolkit's module once, apart from everybody else's: private name, own siblings, quiet, nothing to read.

Process-wide by nature (`sys.modules`, `sys.path`); one loader at a time uses it. Above: `gateway.toolkit.loader`.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.machinery
import importlib.util
import io
import itertools
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, ModuleType

from gateway.toolkit.sources import Source

_numbers = itertools.count(1)


class Imports:
    """Remembers what it imported, so that a file can be imported anew and two folders' siblings stay apart."""

    def __init__(self) -> None:
        self._names: dict[Source, str] = {}
        self._siblings: set[str] = set()
        self._folder: Path | None = None

    def run(self, source: Source) -> None:
        """Import one toolkit, anew if need be. Raises what the toolkit raises; a `sys.exit(0)` in it is its end."""
        self.forget(source)
        importlib.invalidate_caches()
        if source.folder != self._folder:
            self._forget_siblings(source.folder)
        self._folder = source.folder
        before = set(sys.modules)
        with _on_path(source.folder, first=not source.is_package), _quiet():
            try:
                if source.file is None:
                    self._import_installed(source)
                else:
                    self._import_file(source, source.file)
            except SystemExit as end:
                if end.code not in (None, 0):
                    raise
            finally:
                new = sys.modules.keys() - before
                self._siblings |= {name for name in new if _is_sibling(name, source.folder)}

    def forget(self, source: Source) -> None:
        """Take a toolkit's module, and what is inside it, out of `sys.modules`."""
        if name := self._names.pop(source, None):
            for loaded in [each for each in sys.modules if each == name or each.startswith(f"{name}.")]:
                del sys.modules[loaded]

    def renew(self) -> None:
        """Have the next toolkit import its siblings anew too, as they may have changed."""
        self._folder = None

    def _forget_siblings(self, folder: Path) -> None:
        """Let go of modules that earlier toolkits imported from beside them, where `folder` has one of that name.

        They stay in use where they are referred to; only the next import finds the file of its own folder.
        """
        for name in sorted(self._siblings):
            top = name.partition(".")[0]
            if (folder / f"{top}.py").exists() or (folder / top).is_dir():
                sys.modules.pop(name, None)
                self._siblings.discard(name)

    def _import_file(self, source: Source, file: Path) -> None:
        name = f"atp_toolkit_{next(_numbers)}_{re.sub(r'[^0-9A-Za-z_]', '_', source.name)}"
        self._names[source] = name
        inside = [str(file.parent)] if source.is_package else None
        loader = _SourceLoader(name, str(file))
        spec = importlib.util.spec_from_file_location(name, file, loader=loader, submodule_search_locations=inside)
        if spec is None:
            raise ImportError(f"{file} cannot be imported")
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        loader.exec_module(module)
        entry = file.parent / "toolkit.py"
        if source.is_package and entry.is_file():
            importlib.import_module(f"{name}.toolkit")

    def _import_installed(self, source: Source) -> None:
        name = source.module or ""
        self._names[source] = name
        sys.modules.pop(name, None)  # imported by somebody else before: its tools went elsewhere then
        importlib.import_module(name)


class _SourceLoader(importlib.machinery.SourceFileLoader):
    """Reads the file as it is now: a cached compilation of it is only as exact as a second and its size."""

    def get_code(self, fullname: str) -> CodeType:
        return self.source_to_code(self.get_data(self.path), self.path)


@contextlib.contextmanager
def _on_path(folder: Path, *, first: bool) -> Iterator[None]:
    """First on `sys.path` meanwhile, as for a script; last from then on, for imports inside functions.

    Not first for a package: one called `google` would hide the library of that name from itself.
    """
    entry = str(folder)
    if entry not in sys.path:
        sys.path.append(entry)
    if first:
        sys.path.insert(0, entry)
    try:
        yield
    finally:
        if first:
            with contextlib.suppress(ValueError):  # the toolkit tidied up after itself
                sys.path.remove(entry)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """What is printed goes to stderr, and there is nothing to read: both may belong to a protocol."""
    stdin = sys.stdin
    sys.stdin = io.StringIO()
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        sys.stdin = stdin


def _is_sibling(name: str, folder: Path) -> bool:
    """Whether a module's topmost package lies directly in `folder`."""
    module: ModuleType | None = sys.modules.get(name.partition(".")[0])
    file = getattr(module, "__file__", None)
    if not file or name.partition(".")[0] == __name__.partition(".")[0]:
        return False
    path = Path(file)
    home = path.parent.parent if path.name == "__init__.py" else path.parent
    return home == folder

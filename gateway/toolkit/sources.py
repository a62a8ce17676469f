"""Which files a name on the command line means: the toolkits to import, in a fixed order. Nothing is imported here."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from gateway.errors import LoadError
from gateway.toolkit.place import place

_DOTTED = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")
_PACKAGE = "__init__.py"
_ENTRY = "toolkit.py"


@dataclass(frozen=True, slots=True)
class Source:
    """One thing to import: `file`, or the installed `module`. `folder` is where its siblings are."""

    file: Path | None
    module: str | None = None

    @property
    def folder(self) -> Path:
        if self.file is None:
            return Path.cwd()
        return self.file.parent.parent if self.is_package else self.file.parent

    @property
    def is_package(self) -> bool:
        return self.file is not None and self.file.name == _PACKAGE

    @property
    def name(self) -> str:
        """The toolkit's name where its client has none: the file's, or that of the folder whose entry the file is."""
        if self.file is None:
            return (self.module or "").rpartition(".")[2]
        return self.file.parent.name if self.file.name in (_PACKAGE, _ENTRY) else self.file.stem

    @property
    def place(self) -> str:
        return place(self.file) if self.file else self.module or ""


def sources(target: str) -> list[Source]:
    """The toolkits that `target` names. LoadError when it names none.

    A folder is a package where it has an `__init__.py`, else its `toolkit.py`, else every `*.py` in it that does not
    begin with `_` and every folder in it that has a `toolkit.py`.
    """
    path = Path(target).expanduser()
    if path.is_dir():
        return _in_folder(path.resolve())
    if path.is_file():
        if path.suffix != ".py":
            raise LoadError(
                f"{target}: a toolkit is a .py file, a folder or a dotted module, and this is none of them."
            )
        return [Source(path.resolve())]
    if path.suffix != ".py" and _DOTTED.fullmatch(target):
        return [Source(None, target)]
    raise LoadError(f"{target}: there is no such file or folder. Check the path; it is read from {Path.cwd()}.")


def _in_folder(folder: Path) -> list[Source]:
    for entry in (_PACKAGE, _ENTRY):
        if (folder / entry).is_file():
            return [Source(folder / entry)]
    files = [path for path in sorted(folder.glob("*.py")) if not path.name.startswith("_") and path.is_file()]
    files += sorted(folder.glob(f"*/{_ENTRY}"))
    if not files:
        raise LoadError(f"{place(folder)}: there is no toolkit in this folder. Put a .py file into it.")
    return [Source(file) for file in files]

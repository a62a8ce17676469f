"""Sealed values in a folder, a file each: for what must be kept while the database takes nothing.

A file is there whole or not at all, also after a power cut, and in its owner's hands alone: 0600, in a folder of mode
0700. Several processes may share the folder. What is read is a file of this folder and no link to elsewhere.

It knows nothing of what is in the files, and blocks: for a thread. Above: `gateway.oauth.unstored`.
"""

from __future__ import annotations

import os
import stat
import tempfile
import time
from contextlib import suppress
from errno import EFBIG, EINVAL
from pathlib import Path

LARGEST = 1 << 20
"""Bytes of a file that is read: a hundred times what a provider's tokens take."""
_LEFT_BEHIND = 3600.0  # seconds after which a file that was never finished has no writer any more
_PRIVATE = 0o700
# Not everywhere: Windows has no such files.
_NO_LINK = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
_BYTES = getattr(os, "O_BINARY", 0)


class PendingFiles:
    """The files of one folder, which is made with the first of them. OSError where the file system refuses."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def list_names(self) -> list[str]:
        """The names of the finished files, in order. What a killed writer left unfinished is cleared away."""
        names = []
        try:
            entries = list(os.scandir(self.folder))
        except (FileNotFoundError, NotADirectoryError):
            return []
        for entry in entries:
            if entry.name.startswith("."):
                self._clear(entry)
            else:
                names.append(entry.name)
        return sorted(names)

    def read(self, name: str) -> bytes | None:
        """What is in the file. None: it is gone."""
        try:
            handle = os.open(self.folder / name, os.O_RDONLY | _NO_LINK | _BYTES)
        except FileNotFoundError:
            return None
        try:
            about = os.fstat(handle)
            if not stat.S_ISREG(about.st_mode):
                raise OSError(EINVAL, "It is no file")
            if about.st_size > LARGEST:
                raise OSError(EFBIG, os.strerror(EFBIG))
            return os.read(handle, about.st_size)
        finally:
            os.close(handle)

    def put(self, name: str, content: bytes) -> None:
        """Keep this under the name, in the place of what was there. When this returns, it outlasts a power cut."""
        self._make_folder()
        handle, unfinished = tempfile.mkstemp(dir=self.folder, prefix=f".{name}.")  # mode 0600
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(handle)
            Path(unfinished).replace(self.folder / name)
        except BaseException:
            Path(unfinished).unlink(missing_ok=True)
            raise
        _sync(self.folder)

    def shred(self, name: str) -> None:
        """Overwrite the file, as far as a disk does what it is told, and drop it. Nothing, if it is gone."""
        path = self.folder / name
        with suppress(OSError):  # the name goes all the same
            handle = os.open(path, os.O_WRONLY | _NO_LINK | _BYTES)
            with os.fdopen(handle, "wb") as file:
                file.write(bytes(os.fstat(handle).st_size))
                file.flush()
                os.fsync(handle)
        path.unlink(missing_ok=True)

    def _make_folder(self) -> None:
        if not self.folder.is_dir():
            self.folder.mkdir(_PRIVATE, parents=True, exist_ok=True)
            _sync(self.folder.parent)
        if os.name == "posix" and stat.S_IMODE(self.folder.stat().st_mode) != _PRIVATE:
            self.folder.chmod(_PRIVATE)

    def _clear(self, entry: os.DirEntry[str]) -> None:
        with suppress(OSError):
            if time.time() - entry.stat(follow_symlinks=False).st_mtime > _LEFT_BEHIND:
                self.shred(entry.name)


def _sync(folder: Path) -> None:
    """Have the disk remember the folder's names too."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

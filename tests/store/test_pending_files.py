"""Files that are whole or not there, in their owner's hands, and no links to elsewhere."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from gateway.store.pending_files import LARGEST, PendingFiles


@pytest.fixture
def files(tmp_path: Path) -> PendingFiles:
    return PendingFiles(tmp_path / "data" / "pending")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_what_is_put_is_read_and_is_nobodys_but_the_owners(files: PendingFiles) -> None:
    before = os.umask(0)
    try:
        files.put("one", b"first")
        files.put("one", b"second")
    finally:
        os.umask(before)

    assert files.list_names() == ["one"]
    assert files.read("one") == b"second"
    assert (mode(files.folder), mode(files.folder / "one")) == (0o700, 0o600)
    assert [path.name for path in files.folder.iterdir()] == ["one"]


def test_a_folder_that_others_could_read_is_closed_to_them(files: PendingFiles) -> None:
    files.folder.mkdir(parents=True)
    files.folder.chmod(0o755)
    files.put("one", b"text")

    assert mode(files.folder) == 0o700


def test_without_a_folder_there_is_nothing(files: PendingFiles, tmp_path: Path) -> None:
    assert files.list_names() == []
    assert files.read("one") is None
    files.shred("one")
    (tmp_path / "data").write_text("no folder")
    assert files.list_names() == []


def test_what_is_shredded_is_overwritten_where_it_lay(files: PendingFiles) -> None:
    files.put("one", b"secret")
    with (files.folder / "one").open("rb") as still_open:
        files.shred("one")
        assert still_open.read() == bytes(6)
    assert files.list_names() == []
    files.shred("one")


def test_a_link_is_not_followed_neither_to_read_nor_to_overwrite(files: PendingFiles, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_bytes(b"somebody else's")
    files.put("one", b"text")
    (files.folder / "link").symlink_to(elsewhere)

    with pytest.raises(OSError, match="symbolic links"):
        files.read("link")
    files.shred("link")

    assert files.list_names() == ["one"]
    assert elsewhere.read_bytes() == b"somebody else's"


def test_what_is_no_file_or_too_large_is_refused_and_keeps_nobody_waiting(files: PendingFiles) -> None:
    files.put("large", bytes(LARGEST + 1))
    os.mkfifo(files.folder / "pipe")
    (files.folder / "folder").mkdir()

    for name in ("large", "pipe", "folder"):
        with pytest.raises(OSError, match=r"File too large|no file"):
            files.read(name)
    files.shred("pipe")
    assert files.list_names() == ["folder", "large"]


def test_where_it_cannot_be_written_nothing_is_left_behind(files: PendingFiles) -> None:
    files.put("there", b"text")
    (files.folder / "taken").mkdir()

    with pytest.raises(IsADirectoryError):
        files.put("taken", b"text")

    assert sorted(path.name for path in files.folder.iterdir()) == ["taken", "there"]


def test_what_a_killed_writer_left_is_cleared_away_once_nobody_can_be_writing_it(files: PendingFiles) -> None:
    files.put("there", b"text")
    old, new = files.folder / ".one.abc", files.folder / ".two.abc"
    old.write_bytes(b"half")
    new.write_bytes(b"half")
    os.utime(old, (0, 0))

    assert files.list_names() == ["there"]
    assert not old.exists()
    assert new.exists()

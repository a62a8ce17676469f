"""Where keys are kept: private files, and the operating system's keyring."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import keyring
import keyring.backend
import keyring.backends.fail
import keyring.backends.null
import keyring.errors
import pytest

from gateway.errors import VaultError
from gateway.vault.key_sources import file_key, new_key, os_keyring_key
from gateway.vault.keyring import Keyring


class FakeKeyring(keyring.backend.KeyringBackend):
    """A keyring in memory."""

    priority = 1  # type: ignore[assignment]

    def __init__(self) -> None:
        super().__init__()
        self.kept: dict[tuple[str, str], str] = {}

    def get_password(self, service: str, username: str) -> str | None:
        return self.kept.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.kept[service, username] = password


class LockedKeyring(FakeKeyring):
    """One whose owner dismissed the prompt."""

    def get_password(self, service: str, username: str) -> str | None:
        raise keyring.errors.KeyringLocked


class BrokenKeyring(FakeKeyring):
    """One whose daemon is gone: backends raise whatever their transport raises."""

    def set_password(self, service: str, username: str, password: str) -> None:
        raise OSError("no bus")


class ForgetfulKeyring(FakeKeyring):
    """One that takes a password and keeps nothing."""

    def set_password(self, service: str, username: str, password: str) -> None:
        pass


@pytest.fixture
def restore_keyring() -> Iterator[None]:
    former = keyring.get_keyring()
    yield
    keyring.set_keyring(former)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_key_file_is_made_on_first_use_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "vault.key"
    umask = os.umask(0)
    try:
        key = file_key(path)
    finally:
        os.umask(umask)

    assert (mode(path), mode(path.parent)) == (0o600, 0o700)
    assert Keyring([key])
    assert file_key(path) == key
    assert list(path.parent.iterdir()) == [path]


def test_processes_that_start_at_once_get_the_same_key(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "vault.key"
    script = (
        "import sys; from pathlib import Path; from gateway.vault.key_sources import file_key\n"
        "print('ready', flush=True); sys.stdin.readline(); print(file_key(Path(sys.argv[1])).reveal())"
    )
    started = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        )
        for _ in range(4)
    ]
    for process in started:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"

    keys = {process.communicate("go\n", timeout=30)[0].strip() for process in started}

    assert keys == {file_key(path).reveal()}


def test_of_many_who_make_the_file_at_once_all_get_the_same_key(tmp_path: Path) -> None:
    together = threading.Barrier(8, timeout=5)

    def take(path: Path) -> str:
        together.wait()
        return file_key(path).reveal()

    with ThreadPoolExecutor(8) as pool:
        for number in range(50):
            assert len(set(pool.map(take, [tmp_path / f"{number}.key"] * 8))) == 1


@pytest.mark.parametrize("open_to", [0o640, 0o604, 0o620, 0o602, 0o777])
def test_a_key_file_that_others_can_use_is_refused(tmp_path: Path, open_to: int) -> None:
    path = tmp_path / "vault.key"
    key = file_key(path)
    path.chmod(open_to)

    with pytest.raises(VaultError, match=f"mode {open_to:04o}.*chmod 600") as raised:
        file_key(path)

    assert key.reveal() not in str(raised.value)


@pytest.mark.parametrize("content", ["", "canary", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", "\udcff"])
def test_a_file_without_a_usable_key_is_named_and_not_overwritten(tmp_path: Path, content: str) -> None:
    path = tmp_path / "vault.key"
    path.write_text(content, errors="surrogateescape")
    path.chmod(0o600)

    with pytest.raises(VaultError, match=r"vault\.key: A vault key is .*restore that one") as raised:
        file_key(path)

    assert "canary" not in str(raised.value)
    assert path.read_text(errors="surrogateescape") == content


def test_a_key_file_that_cannot_be_read_or_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path, tmp_path / "file" / "vault.key"):
        with pytest.raises(VaultError, match=f"key file {path} cannot be used"):
            file_key(path)


def test_the_keyrings_key_is_made_on_first_use(restore_keyring: None) -> None:
    fake = FakeKeyring()
    keyring.set_keyring(fake)

    key = os_keyring_key("atp-gateway", "vault")

    assert key is not None
    assert Keyring([key])
    assert fake.kept == {("atp-gateway", "vault"): key.reveal()}
    assert os_keyring_key("atp-gateway", "vault") == key


@pytest.mark.parametrize(
    "backend",
    [
        keyring.backends.fail.Keyring,
        keyring.backends.null.Keyring,
        LockedKeyring,
        BrokenKeyring,
        ForgetfulKeyring,
    ],
)
def test_no_keyring_to_be_had_gives_no_key(
    restore_keyring: None, backend: type[keyring.backend.KeyringBackend]
) -> None:
    keyring.set_keyring(backend())

    assert os_keyring_key("atp-gateway", "vault") is None


def test_finding_keys_does_not_load_the_keyring_package() -> None:
    code = "import sys, gateway.vault.vault, gateway.vault.key_sources; print('keyring' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )

    assert done.stdout == "False\n"


def test_a_new_key_is_a_secret() -> None:
    key = new_key()

    assert key.reveal() not in f"{key!r} {key}"

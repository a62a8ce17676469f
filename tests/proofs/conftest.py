"""A world for each proof: a provider in this process, on a real port."""

from __future__ import annotations

import resource
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.proofs.world import World, world_in

FILES = 8192


@pytest.fixture
def database_url(request: pytest.FixtureRequest) -> str:
    """Of a database with nothing in its tables, of the kinds that `pytest_generate_tests` chooses."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.fixture
async def world(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    """Strict by default: every refresh rotates, and a token that was replaced ends the grant when it comes back."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home"))
    async with world_in(tmp_path, database_url) as made:
        yield made


@pytest.fixture
async def sqlite_world(sqlite_url: str, tmp_path: Path) -> AsyncIterator[World]:
    """The same, for what is not about the database."""
    async with world_in(tmp_path, sqlite_url) as made:
        yield made


@pytest.fixture
def many_files() -> Iterator[None]:
    """This process, and those that it starts, may have thousands of files open, as far as the machine allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = FILES if hard == resource.RLIM_INFINITY else min(FILES, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, most), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Both databases at full size; else the one that costs less."""
    for name in {"database_url", "old_url"} & set(metafunc.fixturenames):
        databases = ["sqlite", "postgres"] if metafunc.config.getoption("--full") else ["sqlite"]
        metafunc.parametrize(name, databases, indirect=True)

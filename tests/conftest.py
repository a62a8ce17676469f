"""What every test shares."""

from __future__ import annotations

import gc
import os
from collections.abc import Generator
from functools import cache
from pathlib import Path
from typing import Any

import httpcore2
import pytest
from hypothesis import HealthCheck, settings

# How long an example takes says more of the machine's other work than of ours.
settings.register_profile("tests", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tests")

# A client reads the system's 150 authorities when it is made, in 25 ms, and the tests make thousands.
httpcore2.default_ssl_context = cache(httpcore2.default_ssl_context)

pytest_plugins = ["databases", "canary", "tests.warm"]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--full", action="store_true", help="run the proofs at their full size, as `make proofs` does")


MEMORY = Path("/dev/shm")
ROOM = 1 << 30  # bytes: what the folders of all tests take at once, many times over


def pytest_configure() -> None:
    """Temporary folders go into memory where Linux has that, unless it is said where: there a commit, of which the
    tests make a hundred thousand, does not wait for the disk."""
    if MEMORY.is_dir() and os.access(MEMORY, os.W_OK):
        found = os.statvfs(MEMORY)
        if found.f_bavail * found.f_frsize >= ROOM and not found.f_flag & os.ST_NOEXEC:
            os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes longest begins, so that no worker is left alone with it at the end. `--durations=0` says what does."""
    here = Path(__file__).parent
    slowest = [here / line for line in (here / "slowest.txt").read_text().split()]
    items.sort(key=lambda item: slowest.index(item.path) if item.path in slowest else len(slowest))


def pytest_collection_finish() -> None:
    """The million objects of 8,100 tests stay to the end: the collector is not to go through them again and again."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_report_to_serializable() -> Generator[None, Any, Any]:
    """Half a surrogate pair in what a test logged or printed has no UTF-8, and hangs the run that has to pass it on."""
    return _sendable((yield))


def _sendable(part: Any) -> Any:
    if isinstance(part, str):
        return part.encode("utf-8", "backslashreplace").decode()
    if isinstance(part, dict):
        return {_sendable(name): _sendable(value) for name, value in part.items()}
    if isinstance(part, list | tuple):
        return type(part)(_sendable(each) for each in part)
    return part


@pytest.fixture(scope="session")
def full(request: pytest.FixtureRequest) -> bool:
    """Whether a proof is to be run at its full size: all points, examples and callers, and its times asserted."""
    return bool(request.config.getoption("--full"))


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"

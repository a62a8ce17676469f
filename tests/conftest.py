"""What every test shares."""

from __future__ import annotations

import pytest

pytest_plugins = ["databases", "canary"]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--full", action="store_true", help="run the proofs at their full size, as `make proofs` does")


@pytest.fixture(scope="session")
def full(request: pytest.FixtureRequest) -> bool:
    """Whether a proof is to be run at its full size: all points, examples and callers, and its times asserted."""
    return bool(request.config.getoption("--full"))


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"

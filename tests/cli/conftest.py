"""Commands that run in the tests' own process leave its log as it was: levels that others need, and the canary."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from gateway.cli import logs


@pytest.fixture(autouse=True)
def log() -> Iterator[None]:
    names = ("gateway", "toolkit", *logs._CHATTY, *logs._TOO_CHATTY)
    levels = {logger: logger.level for logger in (logging.root, *map(logging.getLogger, names))}
    handlers = logging.root.handlers[:]
    yield
    logging.root.handlers[:] = handlers
    for logger, level in levels.items():
        logger.setLevel(level)
    logging.captureWarnings(capture=False)

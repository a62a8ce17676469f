"""Logging for the commands: one handler on stderr, one formatter, which redacts."""

from __future__ import annotations

import logging
import sys

from gateway.redaction import RedactingFormatter

_CHATTY = (
    "httpx2",
    "httpcore2",
    "urllib3",
    "websockets",
    "mcp",
    "sse_starlette",
    "uvicorn.error",
    "alembic",
    "asyncio",
)
"""Libraries that print requests, headers or bodies below WARNING."""

_TOO_CHATTY = ("mcp.server.sse",)
"""What prints a message that it cannot read, whoever sent it, with a stack: the sender is told, and nobody else."""


def log_to_stderr(level: str = "INFO") -> None:
    """Send everything that is logged to stderr, redacted. Libraries speak from WARNING on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(RedactingFormatter("%(asctime)s %(levelname)-7s %(name)s  %(message)s", "%H:%M:%S"))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("gateway").setLevel(level.upper())
    logging.getLogger("toolkit").setLevel(level.upper())
    for name in _CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)
    for name in _TOO_CHATTY:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    logging.captureWarnings(capture=True)

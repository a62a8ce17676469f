"""`atp-gateway`, in a hurry: what a proof at its full size waits for. `python hurried.py '{"drain": 1}' serve …`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from gateway.cli import main
from gateway.surfaces import server
from gateway.surfaces.mcp.limits import Limits
from gateway.surfaces.mcp.surface import McpSurface
from tests.interop.programs import ATP_GATEWAY
from tests.warm import python


def serving(full: bool, **seconds: float) -> list[str]:
    """The command; with these seconds in place of the program's own, unless the proof has its full size."""
    return [str(ATP_GATEWAY), "serve"] if full else python(Path(__file__), json.dumps(seconds), "serve")


def hurry(seconds: dict[str, Any]) -> None:
    server.DRAIN_SECONDS = seconds.get("drain", server.DRAIN_SECONDS)
    server.PatientProtocol.header_seconds = seconds.get("header", server.HEADER_SECONDS)
    server.PatientProtocol.body_seconds = seconds.get("body", server.BODY_SECONDS)
    if pause := seconds.get("pause"):
        McpSurface.__init__.__kwdefaults__["limits"] = Limits(pause_seconds=pause)


if __name__ == "__main__":
    hurry(json.loads(sys.argv[1]))
    main(sys.argv[2:])

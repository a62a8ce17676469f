"""A worker process begins here: `python __main__.py NAME DESCRIPTOR PATHS`.

NAME is for whoever looks at a list of processes. DESCRIPTOR is our end of the socket to the gateway; PATHS is its
`sys.path`, in JSON. The first message says the rest. The file is run by its path, so that nothing has to be found on
`sys.path` before that is set. Above: `gateway.isolation`, which starts this.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from typing import Any


def main(descriptor: str, paths: str) -> None:
    """Live as a worker until the gateway has gone."""
    sys.path[:] = json.loads(paths)
    from gateway.worker.confinement import confine
    from gateway.worker.line import receive_now

    end = socket.socket(fileno=int(descriptor))
    start = receive_now(end)
    if start is None:
        return
    confine(start["memory"], start["gateway"], end)
    _prepare_to_speak()
    _serve(end, start)


def _prepare_to_speak() -> None:
    """stdout and stderr are one pipe, which the gateway reads by the line. A crash in C code is told there."""
    import faulthandler
    import logging

    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True, errors="backslashreplace")  # type: ignore[union-attr]
    faulthandler.enable(all_threads=False)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s  %(message)s")
    logging.getLogger("toolkit").setLevel(logging.INFO)


def _serve(end: socket.socket, start: dict[str, Any]) -> None:
    import asyncio

    from gateway.worker.child import Child
    from gateway.worker.line import Line, send_now

    child = Child()
    send_now(end, child.load(start["file"], start["module"]))
    os.chdir(start["folder"])

    async def work() -> None:
        await child.work(await Line.over(end))

    asyncio.run(work())


if __name__ == "__main__":
    main(*sys.argv[2:])
    sys.stdout.flush()
    os._exit(0)  # whatever the toolkit has left running ends here

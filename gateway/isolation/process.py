"""One worker process, as the gateway holds it: started, heard until it has loaded its toolkit, and ended.

It is started, not forked: threads and locks of the gateway's have no copies there. It gets a session and a process
group of its own, an environment made of what it is given, an empty folder, and no descriptor but its end of the socket
and the pipe that it prints to. What it then takes from the machine stands in `gateway.worker.confinement`.

All processes are started from one thread that lasts as long as the gateway, because the kernel ends a worker with the
thread that started it. Nothing is left behind: a process and its folder go when the gateway drops it or exits.

Below: `output`, worker. Above: `crew`.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import weakref
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import gateway.worker
from gateway.errors import LoadError, RegistrationError
from gateway.isolation.output import Output
from gateway.toolkit.sources import Source
from gateway.worker.line import Message, receive_now, send_now
from gateway.worker.wire import Definition, definition_from_wire

LOAD_SECONDS = 60.0
_MAIN = Path(gateway.worker.__file__).with_name("__main__.py")
_starter = ThreadPoolExecutor(1, "atp-gateway-workers")


@dataclass(frozen=True, slots=True)
class Terms:
    """What a worker process is given: its environment variables, and `memory` bytes of address space."""

    environment: Mapping[str, str]
    memory: int


class WorkerProcess:
    """A running process. `end` is our end of the socket; `output` what it prints."""

    def __init__(self, source: Source, process: subprocess.Popen[bytes], end: socket.socket, folder: str) -> None:
        assert process.stdout is not None
        self.source = source
        self.end = end
        self.output = Output(source.name, process.stdout)
        self._process = process
        self._clean_up = weakref.finalize(self, _clean_up, process, end, folder)

    def loaded(self) -> Message:
        """Wait, and block, until the process has said how the loading went. LoadError when it says nothing."""
        try:
            message = receive_now(self.end, LOAD_SECONDS)
        except TimeoutError:
            raise self.too_slow() from None
        if message is None:
            self.stop_now()
            raise self.gone()
        return message

    def too_slow(self) -> LoadError:
        return LoadError(f"{self.source.place}: it was not loaded within {LOAD_SECONDS:g} s.")

    def gone(self) -> LoadError:
        return LoadError(
            f"{self.source.place}: its worker process ended while it was loaded ({self.ending}). The log has what it "
            "printed."
        )

    @property
    def ending(self) -> str:
        """How a process that has been stopped had ended before that, in a word or two."""
        code = self._process.returncode
        if code is not None and code < 0:
            with suppress(ValueError):
                return signal.Signals(-code).name
        return f"exit code {code}"

    def kill(self) -> None:
        """End it and everything that it has started, now."""
        _kill(self._process)

    def stop_now(self) -> None:
        """The same, and wait until it is gone; its folder goes too. Blocks, for milliseconds as a rule."""
        self._clean_up()
        self.output.end(1)

    async def stop(self) -> None:
        self.kill()
        await asyncio.to_thread(self.stop_now)


def start(source: Source, terms: Terms) -> Future[WorkerProcess]:
    """Start a process that loads `source`. LoadError when the system starts no more."""
    return _starter.submit(_start, source, terms)


def definitions(message: Message) -> tuple[Definition, ...]:
    """The tools in what a process said of its loading. LoadError or RegistrationError where it broke."""
    if message["kind"] == "broken":
        first = message["errors"][0]
        raise (RegistrationError if first["registration"] else LoadError)(first["text"])
    return tuple(map(definition_from_wire, message["tools"]))


def _start(source: Source, terms: Terms) -> WorkerProcess:
    ours, theirs = socket.socketpair()
    folder = tempfile.mkdtemp(prefix="atp-gateway-worker-")
    with theirs:
        try:
            process = subprocess.Popen(  # noqa: S603 - this Python, and a file of ours
                [sys.executable, "-P", _MAIN, source.name, str(theirs.fileno()), json.dumps(_paths())],
                env={**terms.environment, "TMPDIR": folder},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
                umask=0o077,
            )
        except OSError as error:
            ours.close()
            shutil.rmtree(folder, ignore_errors=True)
            raise LoadError(f"{source.place}: no process can be started for it: {error.strerror}.") from None
    send_now(
        ours,
        {
            "file": str(source.file) if source.file else None,
            "module": source.module,
            "folder": folder,
            "memory": terms.memory,
            "gateway": os.getpid(),
        },
    )
    return WorkerProcess(source, process, ours, folder)


def _paths() -> Sequence[str]:
    """Where the gateway finds modules, the worker does."""
    return [str(Path(entry).absolute()) for entry in sys.path]


def _kill(process: subprocess.Popen[bytes]) -> None:
    """The whole group. Until the process has been waited for, nobody else can have its number."""
    if process.returncode is None:
        with suppress(ProcessLookupError, PermissionError):  # PermissionError: macOS, of a group that is gone
            os.killpg(process.pid, signal.SIGKILL)


def _clean_up(process: subprocess.Popen[bytes], end: socket.socket, folder: str) -> None:
    _kill(process)
    end.close()
    process.wait()
    shutil.rmtree(folder, ignore_errors=True)

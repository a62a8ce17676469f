"""Has imported what `atp-gateway` needs, and forks for each command: `python source.py SOCKET`.

A copy leaves `serve` and runs the program to the end of this file, so it ends as any Python does. One thread, no event
loop and no random numbers before the fork: nothing that two processes must not share. Ends with its stdin.
"""

from __future__ import annotations

import gc
import json
import os
import pkgutil
import random
import runpy
import select
import signal
import socket
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import gateway
from gateway.cli import main

OURS = "atp-gateway"


@dataclass
class Order:
    """What a stand-in asks for. `streams` are its stdin, stdout and stderr."""

    program: str
    arguments: list[str]
    environ: dict[str, str]
    folder: str
    streams: list[int]


def import_all() -> None:
    """Every module of ours, and with them what they stand on; not what is a program of its own."""
    for module in pkgutil.walk_packages(gateway.__path__, "gateway."):
        if not module.name.endswith(("__main__", "migrations.env", "pytest_plugin")):
            __import__(module.name)


class Source:
    """Listens at `path` for stand-ins. `lines` lead to those whose commands run, by their process."""

    def __init__(self, path: str) -> None:
        self.lines: dict[int, socket.socket] = {}
        self.door = socket.socket(socket.AF_UNIX)
        self.door.bind(path)
        self.door.listen()
        self.woken, self.wakes = socket.socketpair()
        self.wakes.setblocking(False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self.wakes.fileno())

    def serve(self) -> Order | None:
        """Fork for whoever asks. Gives the order in the copy; None when this process is to end."""
        while True:
            pids = {line: pid for pid, line in self.lines.items()}
            ready, _, _ = select.select([sys.stdin, self.woken, self.door, *pids], [], [])
            if sys.stdin in ready:
                for pid in self.lines:
                    os.kill(pid, signal.SIGKILL)
                return None
            for line in pids.keys() & ready:  # its stand-in was killed
                os.kill(pids[line], signal.SIGKILL)
                self.lines.pop(pids[line]).close()
            if self.woken in ready:
                self.woken.recv(4096)
                self.tell_ends()
            if self.door in ready and (order := self.let_in()):
                return order

    def let_in(self) -> Order | None:
        """Take an order, and fork for it: the order in the copy, else None."""
        line, _ = self.door.accept()
        length, streams, _, _ = socket.recv_fds(line, 4, 3)
        with line.makefile("rb") as file:
            text = file.read(int.from_bytes(length, "big"))
        if not text:  # killed over it
            line.close()
        elif pid := os.fork():
            self.lines[pid] = line
            tell(line, pid)
        else:
            self.leave(line)
            return Order(**json.loads(text), streams=streams)
        for stream in streams:
            os.close(stream)
        return None

    def leave(self, line: socket.socket) -> None:
        """In a copy: let go of everything here."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a run in the background ignores it
        for end in (line, self.door, self.woken, self.wakes, *self.lines.values()):
            end.close()

    def tell_ends(self) -> None:
        """Tell the stand-ins of those that have ended how they did."""
        with suppress(ChildProcessError):  # there is none left
            while (ended := os.waitpid(-1, os.WNOHANG)) != (0, 0):
                pid, status = ended
                if line := self.lines.pop(pid, None):
                    tell(line, os.waitstatus_to_exitcode(status))
                    line.close()


def tell(line: socket.socket, number: int) -> None:
    with suppress(OSError):  # it was killed
        line.sendall(f"{number}\n".encode())


def become(order: Order) -> None:
    """Be the process that was asked for."""
    for descriptor, stream in enumerate(order.streams):
        os.dup2(stream, descriptor)
        os.close(stream)
    os.environ.clear()
    os.environ.update(order.environ)
    os.chdir(order.folder)
    time.tzset()
    random.seed()
    sys.path[0] = "" if order.program == OURS else str(Path(order.program).parent)
    sys.argv = [order.program, *order.arguments]


if __name__ == "__main__":
    import_all()
    gc.freeze()
    source = Source(sys.argv[1])
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    order = source.serve()
    if order is None:
        os._exit(0)
    become(order)
    program = order.program
    del source, order
    if program == OURS:
        main()
    runpy.run_path(program, run_name="__main__")

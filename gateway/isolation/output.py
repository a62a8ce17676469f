"""What a worker prints goes to the log: by the line, redacted, and only so much of it.

A thread reads the pipe, from the process's first moment to its last, so that a worker never waits for its own words to
be read. Above: `process`.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from typing import IO

from gateway.redaction import Redactor

_LONGEST_LINE = 2_000  # characters that are shown of it
_BUFFER = 64 * 1024
_MOST = 64 * 1024  # bytes that are shown in each window
_WINDOW = 10.0  # seconds


class Output:
    """The output of the worker of `toolkit`. `redactor` knows the token of the call that runs in it."""

    def __init__(self, toolkit: str, pipe: IO[bytes]) -> None:
        self.redactor = Redactor([])
        self._log = logging.getLogger(f"toolkit.{toolkit}")
        self._pipe = pipe
        self._until = 0.0
        self._shown = 0
        self._left_out = 0
        self._thread = threading.Thread(target=self._copy, name=f"atp-gateway-output-{toolkit}", daemon=True)
        self._thread.start()

    def end(self, seconds: float) -> None:
        """Wait until everything has been read; what a process that got away still prints is not waited for."""
        self._thread.join(seconds)

    def _copy(self) -> None:
        with self._pipe as pipe:
            rest = b""
            while chunk := os.read(pipe.fileno(), _BUFFER):
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    self._say(line)
                if len(rest) > _BUFFER:
                    self._say(rest)
                    rest = b""
            self._say(rest)
            self._tell_left_out()

    def _say(self, line: bytes) -> None:
        if (now := time.monotonic()) >= self._until:
            self._tell_left_out()
            self._until, self._shown = now + _WINDOW, 0
        if self._shown >= _MOST:
            self._left_out += len(line) + 1
            return
        self._shown += min(len(line), _LONGEST_LINE) + 1
        text = self.redactor.redact(line.decode("utf-8", "replace").rstrip())
        if text:
            self._log.info("%s", text if len(text) <= _LONGEST_LINE else f"{text[:_LONGEST_LINE]}…")

    def _tell_left_out(self) -> None:
        if self._left_out:
            self._log.warning("… and %d bytes more, which are left out of this log", self._left_out)
            self._left_out = 0

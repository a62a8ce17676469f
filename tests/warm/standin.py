"""Stands in for one command: `python -IS standin.py SOURCE PROGRAM ARGUMENTS`. Imports next to nothing."""

import json
import os
import signal
import socket
import sys

PASSED_ON = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)


def main(path: str, program: str, *arguments: str) -> None:
    """Have the command run, and end as it does: with its exit code, or of its signal."""
    line = socket.socket(socket.AF_UNIX)
    line.connect(path)
    folder = os.getcwd()  # noqa: PTH109 - pathlib takes as long to import as all else here
    order = {"program": program, "arguments": arguments, "environ": dict(os.environ), "folder": folder}
    text = json.dumps(order).encode()
    socket.send_fds(line, [len(text).to_bytes(4, "big")], [0, 1, 2])
    line.sendall(text)
    answers = line.makefile("r")
    pid = int(answers.readline())
    for number in PASSED_ON:
        signal.signal(number, lambda number, _: os.kill(pid, number))
    code = int(answers.readline())
    if code < 0:
        if -code in PASSED_ON:
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code)


main(*sys.argv[1:])

"""Stands in for one command: `python -IS standin.py SOURCE ARGUMENTS`. Imports next to nothing: that is the point."""

import json
import os
import signal
import socket
import sys

PASSED_ON = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)


def main(path: str, *arguments: str) -> None:
    """Have the command run, and end as it does: with its exit code, or of its signal."""
    line = socket.socket(socket.AF_UNIX)
    line.connect(path)
    order = json.dumps({"arguments": arguments, "environ": dict(os.environ), "folder": os.getcwd()}).encode()  # noqa: PTH109 - pathlib takes as long to import as all else here
    socket.send_fds(line, [len(order).to_bytes(4, "big")], [0, 1, 2])
    line.sendall(order)
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

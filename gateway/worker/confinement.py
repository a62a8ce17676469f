"""What a worker process may take from the machine, and that it never outlives the gateway.

Limits: no core file; so much address space, so many open files, so large a file. On Linux its privileges can no longer
grow (prctl(2), PR_SET_NO_NEW_PRIVS), and the kernel kills it when the gateway dies (PR_SET_PDEATHSIG), even while C
code holds the interpreter lock. Everywhere a thread waits for the gateway's end of the socket to close, and then ends
the whole process group: what the tools have started ends with it.

Not a sandbox: it reads every file that the gateway's user may read. The number of processes is not limited, because
that limit counts all of the user's. What an operating system does not offer is left out. Below: nothing.
"""

from __future__ import annotations

import ctypes
import os
import resource
import select
import signal
import socket
import sys
import threading
from contextlib import suppress
from pathlib import Path

_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS = 1, 38
_FILES = 256
_LARGEST_FILE = 64 << 20


def confine(memory: int, gateway: int, end: socket.socket) -> None:
    """Bind this process. `memory` is its address space in bytes, `gateway` the process that started it, `end` our end
    of the socket between the two."""
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_AS, memory)
    _limit(resource.RLIMIT_NOFILE, _FILES)
    _limit(resource.RLIMIT_FSIZE, _LARGEST_FILE)
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):  # a C library without prctl
            prctl = ctypes.CDLL(None).prctl
            prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
            prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    _keep(end)
    if os.getppid() != gateway:  # it died before we asked to be told
        os._exit(1)
    threading.Thread(target=_end_with, args=[end.fileno()], name="atp-gateway-watch", daemon=True).start()


def memory_in_use() -> int:
    """Bytes of memory that this process occupies; where the system does not say, the most that it ever did."""
    with suppress(OSError, ValueError), Path("/proc/self/statm").open(encoding="ascii") as sizes:
        return int(sizes.read().split()[1]) * resource.getpagesize()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _limit(which: int, value: int) -> None:
    """Lower a limit for good. One that is lower already, or cannot be set here, stays."""
    _, most = resource.getrlimit(which)
    value = value if most == resource.RLIM_INFINITY else min(value, most)
    with suppress(OSError, ValueError):
        resource.setrlimit(which, (value, value))


def _keep(end: socket.socket) -> None:
    """Have no process that a tool starts or forks hold the socket: the gateway would not see this one die."""
    end.set_inheritable(False)
    os.register_at_fork(after_in_child=end.close)


def _end_with(end: int) -> None:
    """Wait for a hang-up, and for nothing else: what arrives is the loop's to read."""
    hang_up = select.poll()
    hang_up.register(end, 0)
    hang_up.poll()
    os.killpg(0, signal.SIGKILL)

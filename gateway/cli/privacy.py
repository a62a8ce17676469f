"""What a process that holds people's tokens does not let others see of it: its memory, and the secrets it was given.

`serve` and `stdio` call `keep_memory_private` first. A crash then leaves no core file, and on Linux another process of
the same user, root apart, can neither attach to this one nor read its memory (prctl(2), PR_SET_DUMPABLE). Programs that
tools start are not affected: both end with exec, but for the limit on core files, which they inherit.

Not a promise: Python cannot wipe memory, and who is root, or was here first, sees everything.
Below: nothing. Above: the commands.
"""

from __future__ import annotations

import ctypes
import sys
from contextlib import suppress

_PR_SET_DUMPABLE = 4


def keep_memory_private() -> None:
    """No core files, no debugger. What the operating system does not offer is left out."""
    if sys.platform == "win32":
        return
    import resource

    with suppress(OSError, ValueError):  # a limit that may not be lowered is one already
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):  # a C library without prctl
            ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)

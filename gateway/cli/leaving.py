"""The end of a process whose toolkits' threads do not end.

Python waits for threads when it ends: those that a tool has work in, the event loop's and a library's own, and for one
that hangs it waits for ever. What serves has put everything on record and closed its database by then: so they have a
moment, and the log says where each of them is. Above: `serve`, and the program's end.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import traceback

log = logging.getLogger(__name__)

SECONDS = 2.0


def leave_soon() -> threading.Timer:
    """End the process, as one that has done its work, when it has not ended by itself in two seconds."""
    timer = threading.Timer(SECONDS, _leave)
    timer.daemon = True
    timer.start()
    return timer


def _leave() -> None:
    frames = sys._current_frames()  # noqa: SLF001 - documented, and the only way to another thread's stack
    for thread in threading.enumerate():
        if thread.ident in frames and not thread.daemon and thread is not threading.main_thread():
            stack = "".join(traceback.format_stack(frames[thread.ident]))
            log.warning("the process ends without its thread %s, which is here:\n%s", thread.name, stack)
    sys.stderr.flush()
    os._exit(0)

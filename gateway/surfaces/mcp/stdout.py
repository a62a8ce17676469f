"""Keeps stdout for the protocol.

A toolkit that prints, a child process or a C library that writes to descriptor 1 would end the host's connection.
`claim_stdout` moves the real stdout to a descriptor that nobody else knows, and points descriptor 1 at stderr. It has
to run before any toolkit is imported, so this module imports nothing that is not already there.
"""

from __future__ import annotations

import os
from functools import cache

_STANDARD = 3  # descriptors below are stdin, stdout, stderr


@cache
def claim_stdout() -> int:
    """The descriptor that leads to the host. The first call claims it, further ones find it again."""
    wire = _above_standard(1)
    try:
        os.dup2(2, 1)
    except OSError:  # no stderr: a service without a terminal
        _point_at_null(1, os.O_WRONLY)
    return wire


@cache
def claim_stdin() -> int:
    """The descriptor on which the host's messages arrive. A tool that reads stdin then reads the end of a file."""
    wire = _above_standard(0)
    _point_at_null(0, os.O_RDONLY)
    return wire


def _above_standard(descriptor: int) -> int:
    """A copy that children do not inherit. Where a standard descriptor is closed, a plain copy might take its place."""
    copy = os.dup(descriptor)
    if copy >= _STANDARD:
        return copy
    try:
        return _above_standard(descriptor)
    finally:
        os.close(copy)


def _point_at_null(descriptor: int, mode: int) -> None:
    null = os.open(os.devnull, mode)
    os.dup2(null, descriptor)
    if null != descriptor:
        os.close(null)

"""A listening TCP socket, made the way that every listener of ours needs it. Below: nothing."""

from __future__ import annotations

import socket
import sys


def listening_socket(host: str, port: int) -> socket.socket:
    """Bound and listening; port 0 is any free one. OSError when the address cannot be had.

    Listens at once, because two sockets can be bound to one port as long as neither listens.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        if sys.platform == "win32":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        else:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # past a former listener's TIME_WAIT
        listener.bind((host, port))
        listener.listen()
    except OSError:
        listener.close()
        raise
    return listener

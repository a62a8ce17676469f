"""One line of JSON for each request: method, route, status, milliseconds, caller. Never a query string, key or flow.

The route is the path as it is listed among the doors (`/connect/*`), not as it was asked for; a path that is not
listed is not repeated at all. Off unless asked for. Above: the edge.
"""

from __future__ import annotations

import json
import logging

log = logging.getLogger(__name__)


def note(method: str, route: str | None, status: int, milliseconds: float, caller: str) -> None:
    """Write the line, at INFO. `status` 0 is a request that ended without an answer."""
    if log.isEnabledFor(logging.INFO):
        line = {"method": method, "route": route, "status": status, "ms": round(milliseconds, 2), "from": caller}
        log.info("%s", json.dumps(line))

"""Times in a row until which something is to wait: a lease, a back-off.

They are compared with a clock that may be set back, by an hour when somebody puts a wrong one right. What was noted
before then would keep a connection waiting for as long as that. So a time that is further off than any lease or
back-off reaches is one of those, and is over.

Above: lease_rows, due_rows, and those in oauth who read the rows.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import Column, ColumnElement, or_

FURTHEST = timedelta(minutes=16)
"""A back-off lasts a quarter of an hour at most, a lease half a minute."""


def is_ahead(moment: datetime, now: datetime) -> bool:
    """Whether it is still to come."""
    return now < moment <= now + FURTHEST


def is_over(column: Column[datetime | None], now: datetime) -> ColumnElement[bool]:
    """The opposite, in a query. Also where there is none."""
    return or_(column.is_(None), column <= now, column > now + FURTHEST)

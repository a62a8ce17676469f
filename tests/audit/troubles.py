"""What can ail the audit's tables, and others, for a while."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager

import psycopg

from tests.store.test_schema import execute


@contextmanager
def unwritable(url: str, table: str = "audit") -> Iterator[None]:
    """Nothing can be put into the table."""
    if url.startswith("sqlite"):
        execute(url, f"CREATE TRIGGER no BEFORE INSERT ON {table} BEGIN SELECT RAISE(ABORT, 'no'); END")
        yield
        execute(url, "DROP TRIGGER no")
        return
    execute(url, "CREATE FUNCTION no() RETURNS trigger AS $$ BEGIN RAISE EXCEPTION 'no'; END $$ LANGUAGE plpgsql")
    execute(url, f"CREATE TRIGGER no BEFORE INSERT ON {table} EXECUTE FUNCTION no()")
    yield
    execute(url, f"DROP TRIGGER no ON {table}")


@contextmanager
def held_by_another(url: str) -> Iterator[None]:
    """Another process holds what the audit needs, and does not let go."""
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            yield
            other.execute("ROLLBACK")
        return
    with psycopg.connect(url) as other:
        other.execute("LOCK TABLE audit_heads IN ACCESS EXCLUSIVE MODE")
        yield
        other.rollback()

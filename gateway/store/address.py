"""What a database's URL leads to: its engines, looked at or brought up to date before anybody uses them.

Whatever is wrong with the URL, the driver, the server or the schema is a SettingsError in a sentence, without the
password. Below: `gateway.store.engine`, `gateway.store.postgres`. Above: `gateway.store.store`, `atp-gateway db`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from gateway.errors import SettingsError, StoreUnavailableError
from gateway.store.engine import Engines, said_by, sqlite_engines

Answer = TypeVar("Answer")

_FORMS = "Write sqlite:////absolute/path.db or postgresql://user@host/name."
_SECRETS = ("password", "sslpassword")


async def reached(url: str, first: Callable[[Engines], Awaitable[Answer]]) -> tuple[Engines, Answer]:
    """The database, open, and what came of `first`, which is done before anything else. SettingsError."""
    engines = _engines(url)
    try:
        return engines, await first(engines)
    except (SQLAlchemyError, OSError, StoreUnavailableError) as error:
        await engines.dispose()
        raise SettingsError(f"The database cannot be opened: {_cause(error.__cause__ or error, url)}") from None
    except BaseException:
        await engines.dispose()
        raise


def shown(url: str) -> str:
    """The URL as it may be shown: without a password."""
    return make_url(url).difference_update_query(_SECRETS).render_as_string(hide_password=True)


def _engines(text: str) -> Engines:
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise SettingsError(f"The database URL cannot be read. {_FORMS}") from None
    match url.get_backend_name():
        case "sqlite" if url.database and url.database != ":memory:" and not url.query:
            try:
                return sqlite_engines(Path(url.database).absolute())
            except OSError as error:
                raise SettingsError(f"The database {url.database} cannot be opened: {error.strerror}.") from None
        case "sqlite":
            raise SettingsError(f"The SQLite database must be a file, and the URL without options. {_FORMS}")
        case "postgresql" | "postgres":
            try:
                from gateway.store.postgres import postgres_engines  # 20 ms that a laptop's start does without
            except ModuleNotFoundError:
                raise SettingsError("PostgreSQL needs one more package: pip install 'atp-gateway[postgres]'") from None
            try:
                return postgres_engines(url)
            except ValueError:
                raise SettingsError("The database URL's connect_timeout must be a number of seconds.") from None
        case other:
            raise SettingsError(f"A {other} database is not supported. {_FORMS}")


def _cause(error: BaseException, text: str) -> str:
    """What the driver says, in one line and without the password."""
    url, said = make_url(text), said_by(error)
    for secret in (url.password, *(url.query.get(name) for name in _SECRETS)):
        said = said.replace(str(secret), "…") if secret else said
    return said

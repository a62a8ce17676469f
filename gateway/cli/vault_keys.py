"""`atp-gateway keys rotate` and `verify`: the keys that seal what is stored. Above: `gateway.cli.keys`."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import click

from gateway.cli import options
from gateway.cli.logs import log_to_stderr

if TYPE_CHECKING:
    from gateway.settings import Settings
    from gateway.types import DataKey
    from gateway.vault.rotation import Broken, Progress, Rotated, Rotation, Verified


@click.command("rotate", short_help="Seal every value anew, with fresh data keys.")
@options.config
@options.as_json
def rotate(config: Path | None, as_json: bool) -> None:
    """Wrap all data keys by the ring's first key, and seal every value anew with fresh data keys.

    Calls go on meanwhile. It may be stopped at any point: run again, it goes on where it was. To turn the ring's own
    key, put the new one in front and the former one in [vault] previous_keys, and restart the gateways first.
    """
    import anyio

    done = anyio.run(_rotate, options.settings_for(config))
    if as_json:
        click.echo(json.dumps(asdict(done), indent=2, ensure_ascii=False))
    else:
        begun = "Finished the rotation that was begun" if done.resumed else "Rotated"
        click.secho(
            f"✓ {begun}: {done.sealed} values sealed anew, {done.made} data keys made, {done.rewrapped} wrapped anew, "
            f"{done.retired} retired, {done.destroyed} destroyed.",
            fg="green",
            err=True,
        )
    raise click.exceptions.Exit(_report(done.broken))


@click.command("verify", short_help="Open every value.")
@options.config
@options.as_json
def verify(config: Path | None, as_json: bool) -> None:
    """Unwrap every data key and open every value. Exit code 1 if one does not open."""
    import anyio

    found = anyio.run(_verify, options.settings_for(config))
    if as_json:
        opened = [{"format": by.format, "key": by.key_id, "values": values} for by, values in found.opened.items()]
        click.echo(json.dumps({"opened": opened, "broken": [asdict(value) for value in found.broken]}, indent=2))
    else:
        options.table(
            ("KEY", "FORMAT", "VALUES THAT OPEN"),
            [(by.key_id, str(by.format), str(values)) for by, values in sorted(found.opened.items())],
        )
    if not found.broken:
        click.secho(f"✓ All {sum(found.opened.values())} values open.", fg="green", err=True)
    raise click.exceptions.Exit(_report(found.broken))


@asynccontextmanager
async def _opened(settings: Settings) -> AsyncIterator[Rotation]:
    """The database and the vault alone: no gateway, and nothing of it that works in the background."""
    from gateway.at_rest import open_vault
    from gateway.clock import SystemClock
    from gateway.vault.rotation import Rotation

    log_to_stderr("WARNING")
    clock = SystemClock()
    store, vault = await open_vault(settings, clock)
    try:
        yield Rotation(store.sealed, store.data_keys, vault, clock)
    finally:
        await store.close()


async def data_keys(settings: Settings) -> dict[str, Any]:
    """The data keys as JSON, and how many values the ring's keys have sealed themselves. WrongVaultKeyError."""
    async with _opened(settings) as rotation:
        keys, counts = await rotation.list_keys(), await rotation.count()
    newest = {key.tenant: key.id for key in keys}
    by_data_key = {by.key_id: values for by, values in counts.items() if by.format == 2}
    return {
        "data_keys": [_described(key, newest[key.tenant] == key.id, by_data_key.get(key.id, 0)) for key in keys],
        "sealed_by_ring_keys": [{"id": by.key_id, "values": values} for by, values in counts.items() if by.format == 1],
    }


async def _rotate(settings: Settings) -> Rotated:
    await _store_what_waits(settings)
    async with _opened(settings) as rotation:
        with _ProgressLine() as line:
            return await rotation.run(line.show)


async def _store_what_waits(settings: Settings) -> None:
    """Renewed tokens in files, which no rotation sees: a gateway stores them when it opens its rooms."""
    from gateway.at_rest import pending_folder
    from gateway.store.pending_files import PendingFiles

    if PendingFiles(pending_folder(settings)).list_names():
        from gateway import app

        async with app.listening(app.build(settings)) as gateway:
            await gateway.accounts.open()


async def _verify(settings: Settings) -> Verified:
    async with _opened(settings) as rotation:
        return await rotation.verify()


class _ProgressLine:
    """Progress on stderr: one line that changes, and nothing where nobody watches."""

    def __init__(self) -> None:
        self._watched = sys.stderr.isatty()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._watched:
            click.echo("\r\x1b[K", nl=False, err=True)

    def show(self, progress: Progress) -> None:
        match progress.step:
            case "wrapping":
                text = "Wrapping data keys …"
            case "waiting":
                text = f"{progress.sealed} values sealed anew; letting other gateways notice …"
            case "sealing":
                text = (
                    f"Pass {progress.passes}: {progress.seen} of {progress.total} values, {progress.sealed} sealed anew"
                )
        if self._watched:
            click.echo(f"\r\x1b[K{text}", nl=False, err=True)


def _report(broken: Sequence[Broken]) -> int:
    """Name on stderr what does not open; the exit code."""
    for value in broken:
        click.secho(f"✗ {value.table} {value.id}: {value.reason}", fg="red", err=True)
    return 1 if broken else 0


def _described(key: DataKey, seals: bool, values: int) -> dict[str, Any]:
    return {
        "id": key.id,
        "tenant": key.tenant,
        "generation": key.generation,
        "state": "retired" if key.retired_at else "seals" if seals else "opens",
        "values": values,
        "wrapped_by": key.wrapped_by,
        "created_at": key.created_at.isoformat(),
        "retired_at": key.retired_at.isoformat() if key.retired_at else None,
    }

"""`atp-gateway people`: invite somebody, see who signs in, and let somebody in no more (`offboard` is its own file).

An invitation's link goes to stdout, alone, so that a script can mail it; what there is to say about it goes to stderr.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from gateway.access.authenticator import local_principal
from gateway.cli import offboard, options
from gateway.cli.logs import log_to_stderr
from gateway.errors import AccountError, SettingsError
from gateway.people_types import LocalAccount, Person

if TYPE_CHECKING:
    from gateway.access.local_accounts import Invited, LocalAccounts
    from gateway.access.people import People
    from gateway.settings import Settings

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Directory:
    people: People
    accounts: LocalAccounts
    base_url: str


@click.group("people")
def command() -> None:
    """The people who sign in at the browser: invite them, list them, let them in no more."""


@command.command("invite", short_help="Invite somebody to an account of this gateway, or to recover theirs.")
@click.argument("email")
@click.option("--name", help="What pages call them.")
@click.option("--group", "groups", multiple=True, metavar="NAME", help="They are in this group. May be repeated.")
@options.config
@options.as_json
def invite(email: str, name: str | None, groups: tuple[str, ...], config: Path | None, as_json: bool) -> None:
    """Print a link, once, with which EMAIL sets a password: it works once, and for seven days.

    Somebody who has an account recovers it like that: a new password, and no second factor until they add one again.
    """
    settings = options.settings_for(config)
    if not settings.access.local_accounts:
        raise SettingsError(
            "Nobody can sign in with an account of this gateway. First set [access] local_accounts = true."
        )

    async def make(directory: Directory) -> tuple[Invited, str]:
        invited = await directory.accounts.invite(email, name, groups, by=local_principal())
        return invited, f"{directory.base_url}/invitation/{invited.code.reveal()}"

    invited, link = _with_directory(settings, make)
    account = invited.account
    if as_json:
        found = {"id": account.id, "email": account.email, "link": link, "expires_at": invited.expires_at.isoformat()}
        click.echo(json.dumps(found, indent=2, ensure_ascii=False))
        return
    what = "An invitation" if invited.is_new else "A new invitation: it lets them set a new password"
    click.secho(f"✓ {what} for {account.email}. It is shown this once, and works once.\n", fg="green", err=True)
    click.secho(link, bold=True)
    click.echo(
        f"\n    Send it to them, and to nobody else. It ends on {invited.expires_at:%Y-%m-%d %H:%M} UTC.", err=True
    )
    if not invited.is_new and (name or groups):
        click.secho("! The account was there already: its name and groups stay what they were.", fg="yellow", err=True)


@command.command("list", short_help="Who signs in here.")
@options.config
@options.as_json
def list_people(config: Path | None, as_json: bool) -> None:
    """List everybody who has signed in or was invited: who vouches for them, their groups, when they were last seen."""

    async def both(directory: Directory) -> tuple[list[Person], list[LocalAccount]]:
        return await directory.people.list_all(), await directory.accounts.list_all()

    people, accounts = _with_directory(options.settings_for(config), both)
    entries = [_entry(person) for person in people]
    entries += [_invited(account) for account in accounts if account.id not in {p.principal.subject for p in people}]
    if as_json:
        click.echo(json.dumps(entries, indent=2, ensure_ascii=False))
    elif not entries:
        click.echo("Nobody has signed in yet. Invite somebody: atp-gateway people invite EMAIL", err=True)
    else:
        head = ("ID", "NAME", "E-MAIL", "BY", "GROUPS", "STATE", "LAST SEEN")
        options.table(head, [_cells(entry) for entry in entries])


@command.command("disable", short_help="Let somebody in no more.")
@click.argument("person", metavar="EMAIL_OR_ID")
@options.config
def disable(person: str, config: Path | None) -> None:
    """Let somebody in no more: sessions and programs of theirs end within seconds, and their keys open nothing."""

    async def end(directory: Directory) -> str:
        return await set_disabled(directory, person, disabled=True)

    called = _with_directory(options.settings_for(config), end)
    click.secho(f"✓ {called} cannot sign in any more, and is signed out everywhere.", fg="green", err=True)


@command.command("enable", short_help="Let somebody in again.")
@click.argument("person", metavar="EMAIL_OR_ID")
@options.config
def enable(person: str, config: Path | None) -> None:
    """Let somebody in again who was disabled. Their keys work again; programs ask them anew."""

    async def begin(directory: Directory) -> str:
        return await set_disabled(directory, person, disabled=False)

    called = _with_directory(options.settings_for(config), begin)
    click.secho(f"✓ {called} can sign in again.", fg="green", err=True)


command.add_command(offboard.command)


async def set_disabled(directory: Directory, called: str, *, disabled: bool) -> str:
    """The person of that name, and the account kept here that they may not have signed in with yet; what they are
    called. AccountError."""
    accounts, person = await directory.accounts.list_all(), None
    try:
        person = await directory.people.called(called)
        theirs = [account for account in accounts if account.id == person.principal.subject]
    except AccountError:
        theirs = [account for account in accounts if called.lower() in (account.id, account.email)]
        if not theirs:
            raise
    for account in theirs:
        await directory.accounts.set_disabled(account, disabled=disabled, by=local_principal())
    if person is not None:
        change = directory.people.disable if disabled else directory.people.enable
        await change(person, by=local_principal())
        return person.called
    return theirs[0].email


def _entry(person: Person) -> dict[str, Any]:
    return {
        "id": person.id,
        "name": person.name,
        "email": person.email,
        "issuer": person.principal.issuer,
        "subject": person.principal.subject,
        "tenant": person.principal.tenant,
        "groups": sorted(person.groups),
        "state": "disabled" if person.disabled_at else "active",
        "last_seen_at": _iso(person.last_seen_at),
    }


def _invited(account: LocalAccount) -> dict[str, Any]:
    """Somebody who has not signed in yet."""
    return {
        "id": account.id,
        "name": account.name,
        "email": account.email,
        "issuer": None,
        "subject": account.id,
        "tenant": "default",
        "groups": sorted(account.groups),
        "state": "disabled" if account.disabled_at else "invited",
        "last_seen_at": None,
    }


def _cells(entry: dict[str, Any]) -> tuple[str, ...]:
    seen = (entry["last_seen_at"] or "never")[:16].replace("T", " ")
    names = entry["id"], entry["name"] or "", entry["email"] or "", entry["issuer"] or ""
    return (*names, ", ".join(entry["groups"]), entry["state"], seen)


def _iso(at: datetime | None) -> str | None:
    return at.isoformat() if at else None


@asynccontextmanager
async def _opened(settings: Settings) -> AsyncIterator[Directory]:
    """The people in the database."""
    from gateway.access.people import People
    from gateway.at_rest import open_vault
    from gateway.audit import AuditLog
    from gateway.clock import SystemClock
    from gateway.people_entry import base_url_of, local_accounts

    log_to_stderr("WARNING")
    clock, base_url = SystemClock(), base_url_of(settings.server)
    store, vault = await open_vault(settings, clock)
    audit = AuditLog(store.audit.append, clock)
    try:
        people = People(store, audit, clock, base_url)
        yield Directory(people, local_accounts(store, vault, clock, audit, base_url), base_url)
    finally:
        await store.close()


def _with_directory(settings: Settings, act: Callable[[Directory], Awaitable[Answer]]) -> Answer:
    import anyio

    async def run() -> Answer:
        async with _opened(settings) as directory:
            return await act(directory)

    return anyio.run(run)

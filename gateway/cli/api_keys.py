"""`atp-gateway keys create`, `revoke`, `allow`, `deny`: the keys that toolkits, apps, administrators and people show.

A new key goes to stdout, alone, so that a script can catch it; what there is to say about it goes to stderr. They need
the database and no vault. Above: `gateway.cli.keys`.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from gateway.access.authenticator import local_principal
from gateway.access.key_rules import EVERY, Rights
from gateway.cli import options
from gateway.cli.opened_store import opened_store
from gateway.key_types import ApiKey, KeyKind, Permission
from gateway.types import Principal

if TYPE_CHECKING:
    from gateway.access.keys import Keys
    from gateway.secret import Secret
    from gateway.settings import Settings

Command = Callable[..., None]
Answer = TypeVar("Answer")

_MAY = {
    Permission.CALL: "call tools",
    Permission.CONNECT: "have people connect accounts",
    Permission.TOKENS: "read people's raw tokens",
}
_KINDS = {
    KeyKind.TOOLKIT: "the toolkit",
    KeyKind.APP: "the app",
    KeyKind.ADMIN: "the administrator",
    KeyKind.PERSON: "the program",
}


def _rights(function: Command) -> Command:
    """The options that say what is granted, or taken away."""
    for option in reversed(
        (
            click.option(
                "--provider", "providers", multiple=True, metavar="NAME",
                help="For a toolkit: its workers receive the tokens of this provider. May be repeated.",
            ),
            click.option(
                "--may", metavar="WORDS",
                help="For an app: call, connect, tokens, with commas. `tokens` is to read people's raw tokens.",
            ),
            click.option(
                "--toolkit", "toolkits", multiple=True, metavar="NAME",
                help=f"For an app: it sees this toolkit, or '{EVERY}' for all. May be repeated.",
            ),
            click.option(
                "--return-url", "return_urls", multiple=True, metavar="URL",
                help="For an app: exactly this developer_redirect_url. May be repeated.",
            ),
        )
    ):  # fmt: skip
        function = option(function)
    return function


@click.command("create", short_help="Make an API key, and print it once.")
@click.argument("kind", type=click.Choice([kind.value for kind in KeyKind]), metavar="toolkit|app|admin|person")
@click.argument("name")
@click.option("--tenant", default="default", show_default=True, help="Whose people and connections it is for.")
@click.option("--subject", help="For a person: whom the key speaks for, as tokens name them in `sub`.")
@click.option(
    "--issuer", help="For a person: who vouches for the subject. Default: [access] issuer, login_issuer, or public_url."
)
@click.option(
    "--group", "groups", multiple=True, metavar="NAME", help="For a person: is in this group. May be repeated."
)
@_rights
@options.config
@options.as_json
def create(
    kind: str,
    name: str,
    tenant: str,
    subject: str | None,
    issuer: str | None,
    groups: tuple[str, ...],
    config: Path | None,
    as_json: bool,
    **granted: Any,
) -> None:
    """Make a key for a toolkit, an app, an administrator or a person, and print it: once, and never again.

    A toolkit's NAME is its toolkit_id. An app's is what people read when they are asked to connect an account; unless
    --may says otherwise it may call tools and have its users connect accounts. A person's names the program that will
    show it, such as "nightly report": it acts as that person over MCP.
    """
    settings, rights = options.settings_for(config), _asked(**granted)
    owner = _owner(settings, tenant, subject, issuer, groups)

    async def make(keys: Keys) -> tuple[ApiKey, Secret]:
        by = local_principal()
        return await keys.create(KeyKind(kind), name, by=by, tenant=tenant, rights=rights, owner=owner)

    key, text = _with_keys(settings, make)
    if as_json:
        click.echo(json.dumps(_with_key(described(key), text.reveal()), indent=2, ensure_ascii=False))
    else:
        click.secho(
            f"✓ A key for {_called(key)}. It is shown this once: keep it where you keep secrets.\n",
            fg="green",
            err=True,
        )
        click.secho(text.reveal(), bold=True)
        click.echo(f"\n{_good_for(key)}\n    ends with: atp-gateway keys revoke {key.prefix}", err=True)
    _doubt(key, settings)


@click.command("revoke", short_help="Let an API key open nothing any more.")
@click.argument("key", metavar="ID_OR_PREFIX")
@options.config
@options.as_json
def revoke(key: str, config: Path | None, as_json: bool) -> None:
    """Let a key open nothing any more. Gateways that are serving notice within two seconds."""

    async def end(keys: Keys) -> tuple[ApiKey, ApiKey]:
        found = await keys.called(key)
        return found, await keys.revoke(found, by=local_principal())

    found, revoked = _with_keys(options.settings_for(config), end)
    if as_json:
        click.echo(json.dumps(described(revoked), indent=2, ensure_ascii=False))
    elif found.revoked_at:
        click.echo(
            f"{found.prefix}, for {_called(found)}, was revoked on {found.revoked_at:%Y-%m-%d} already.", err=True
        )
    else:
        click.secho(f"✓ {found.prefix}, for {_called(found)}, opens nothing any more.", fg="green", err=True)


@click.command("allow", short_help="Grant an API key more.")
@click.argument("key", metavar="ID_OR_PREFIX")
@_rights
@options.config
@options.as_json
def allow(key: str, config: Path | None, as_json: bool, **granted: Any) -> None:
    """Grant a key more: a provider to a toolkit; a permission, a toolkit or a return URL to an app."""
    _change("allow", key, config, as_json, granted)


@click.command("deny", short_help="Take something away from an API key.")
@click.argument("key", metavar="ID_OR_PREFIX")
@_rights
@options.config
@options.as_json
def deny(key: str, config: Path | None, as_json: bool, **granted: Any) -> None:
    """Take away from a key: a provider from a toolkit; a permission, a toolkit or a return URL from an app."""
    _change("deny", key, config, as_json, granted)


def _change(how: str, name: str, config: Path | None, as_json: bool, granted: dict[str, Any]) -> None:
    settings, rights = options.settings_for(config), _asked(**granted)
    if rights == Rights():
        raise click.UsageError(f"Say what to {how}: --provider, --may, --toolkit or --return-url.")

    async def change(keys: Keys) -> ApiKey:
        act = keys.allow if how == "allow" else keys.deny
        return await act(await keys.called(name), rights, by=local_principal())

    key = _with_keys(settings, change)
    if as_json:
        click.echo(json.dumps(described(key), indent=2, ensure_ascii=False))
    else:
        click.secho(f"✓ {key.prefix}, for {_called(key)}:", fg="green", err=True)
        click.echo(_good_for(key), err=True)
    if how == "allow":
        _doubt(key, settings)


def every(settings: Settings) -> list[ApiKey]:
    """All API keys: those that open something first, each sort the oldest first."""
    return sorted(_with_keys(settings, lambda keys: keys.list_all()), key=lambda key: key.revoked_at is not None)


def described(key: ApiKey) -> dict[str, Any]:
    """A key as JSON. Never its text."""
    whose = {"subject": key.subject, "issuer": key.issuer, "groups": sorted(key.groups)}
    return {
        "id": key.id,
        "kind": key.kind.value,
        "name": key.name,
        "tenant": key.tenant,
        "prefix": key.prefix,
        **(whose if key.kind is KeyKind.PERSON else {}),
        "providers": sorted(key.providers),
        "may": sorted(key.may),
        "toolkits": None if key.toolkits is None else sorted(key.toolkits),
        "return_urls": list(key.return_urls),
        "created_at": key.created_at.isoformat(),
        "last_used_at": key.last_used_at.isoformat() if key.last_used_at else None,
        "revoked_at": key.revoked_at.isoformat() if key.revoked_at else None,
    }


def show(keys: Sequence[ApiKey]) -> None:
    """The keys as people read them: a line each, and below it what a key that lives is good for."""
    if not keys:
        click.echo("There are no API keys. Make one: atp-gateway keys create toolkit|app|admin|person NAME", err=True)
        return
    head = ("API KEY", "FOR", "NAME", "TENANT", "MADE", "LAST USED")
    first, *lines = options.columns([head, *([*_cells(key)] for key in keys)])
    click.secho(first, bold=True)
    for key, line in zip(keys, lines, strict=True):
        click.secho(line, dim=key.revoked_at is not None)
        if key.revoked_at is None:
            click.echo(_good_for(key))


def _cells(key: ApiKey) -> tuple[str, ...]:
    used = f"{key.last_used_at:%Y-%m-%d %H:%M}" if key.last_used_at else "never"
    last = f"revoked {key.revoked_at:%Y-%m-%d}" if key.revoked_at else used
    return key.prefix, key.kind, key.name, key.tenant, f"{key.created_at:%Y-%m-%d}", last


def _called(key: ApiKey) -> str:
    return f"{_KINDS[key.kind]} {key.name}{'' if key.tenant == 'default' else f' of tenant {key.tenant}'}"


def _good_for(key: ApiKey) -> str:
    """What a key may do, in a line or a few."""
    match key.kind:
        case KeyKind.TOOLKIT:
            lines = [f"receives the tokens of {', '.join(sorted(key.providers)) or 'no provider'}"]
        case KeyKind.APP:
            may = ", ".join(words for word, words in _MAY.items() if word in key.may) or "do nothing"
            sees = "all toolkits" if key.toolkits is None else ", ".join(sorted(key.toolkits)) or "no toolkit"
            lines = [f"may {may}; sees {sees}", *(f"sends people back to {url}" for url in key.return_urls)]
        case KeyKind.ADMIN:
            lines = ["may administer the gateway"]
        case KeyKind.PERSON:
            groups = f", in {', '.join(sorted(key.groups))}" if key.groups else ""
            lines = [f"acts as {key.subject} of {key.issuer}{groups}"]
    return "\n".join(f"    {line}" for line in lines)


def _doubt(key: ApiKey, settings: Settings) -> None:
    """Say on stderr what was perhaps not meant."""
    from gateway.providers.catalogue import Catalogue

    if key.kind is KeyKind.TOOLKIT and not key.providers:
        click.echo(
            "    Its tools that need an account get none before you grant the provider:\n"
            f"    atp-gateway keys allow {key.prefix} --provider hubspot",
            err=True,
        )
    known = {*Catalogue.load(folder=settings.catalogue.folder).names(), *settings.providers} if key.providers else set()
    for name in sorted(key.providers - known):
        near = get_close_matches(name, known, 1)
        hint = f" Did you mean {near[0]}?" if near else " See: atp-gateway providers list"
        click.secho(f"! No provider is called {name} here.{hint}", fg="yellow", err=True)


def _asked(providers: Sequence[str], may: str | None, toolkits: Sequence[str], return_urls: Sequence[str]) -> Rights:
    words = tuple(word.strip() for word in (may or "").split(",") if word.strip())
    return Rights(tuple(providers), words, tuple(toolkits), tuple(return_urls))


def _owner(
    settings: Settings, tenant: str, subject: str | None, issuer: str | None, groups: Sequence[str]
) -> Principal | None:
    """Whom a person's key speaks for. Without an issuer, the one that the same person has when they log in."""
    if not (subject or issuer or groups):
        return None
    access, public_url = settings.access, (settings.server.public_url or "").rstrip("/")
    issuer = issuer or access.issuer or access.login_issuer or public_url
    if not issuer:
        raise click.UsageError(
            "Say who vouches for the subject: --issuer, or set [access] issuer or [server] public_url."
        )
    return Principal(issuer, subject or "", tenant, frozenset(groups))


def _with_key(described: dict[str, Any], text: str) -> dict[str, Any]:
    first = ("id", "kind", "name", "tenant")
    return {name: described[name] for name in first} | {"key": text} | described


@asynccontextmanager
async def _opened(settings: Settings) -> AsyncIterator[Keys]:
    """The keys in the database; what was done to them is on record when the block ends."""
    from gateway.access.keys import Keys
    from gateway.audit import AuditLog
    from gateway.clock import SystemClock

    clock = SystemClock()
    async with opened_store(settings) as store:
        audit = AuditLog(store.audit.append, clock)
        yield Keys(store.keys, audit, clock)
        await audit.close()


def _with_keys(settings: Settings, act: Callable[[Keys], Awaitable[Answer]]) -> Answer:
    import anyio

    async def run() -> Answer:
        async with _opened(settings) as keys:
            return await act(keys)

    return anyio.run(run)

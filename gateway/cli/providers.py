"""`atp-gateway providers`: which providers are known, what each is like, and whether yours are ready.

Nothing is asked over the network. `check` ends with 1 where something is missing, so that a pipeline can stop there.
"""

from __future__ import annotations

import json
import shutil
import textwrap
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gateway.cli import options
from gateway.errors import SettingsError
from gateway.settings import Settings

if TYPE_CHECKING:
    from gateway.oauth.apps import Apps
    from gateway.oauth.checkup import Checkup
    from gateway.providers.provider import Provider

_MARKS = {"fine": ("✓", "green"), "note": ("·", "cyan"), "warning": ("!", "yellow"), "wrong": ("✗", "red")}
_LABEL = 14


@click.group("providers")
def command() -> None:
    """See which providers are known, what each is like, and whether yours are ready."""


@command.command("list")
@click.argument("word", required=False)
@click.option("--configured", is_flag=True, help="Only those that you have set up.")
@click.option("--markdown", is_flag=True, help="Print the table of docs/providers.md.")
@options.config
@options.as_json
def list_(word: str | None, configured: bool, markdown: bool, config: Path | None, as_json: bool) -> None:
    """List the known providers, or those that WORD fits: mail, crm, invoices …"""
    settings = options.settings_for(config)
    apps = _apps(settings)
    ready = _configured(settings)
    found = [provider for name in _names(settings) if (provider := apps.find(name)) and _fits(provider, word)]
    if configured:
        found = [provider for provider in found if provider.id in ready]
    if as_json:
        rows = [_summary(provider) | {"configured": provider.id in ready} for provider in found]
        click.echo(json.dumps(rows, indent=2, ensure_ascii=False))
    elif markdown:
        click.echo("\n".join(_markdown(found)))
    else:
        _show_list(found, ready, word)


@command.command("show")
@click.argument("name")
@options.config
@options.as_json
def show(name: str, config: Path | None, as_json: bool) -> None:
    """Show what is known about one provider: addresses, scopes, how long access lasts, what to register."""
    from gateway.providers.reader import written

    settings = options.settings_for(config)
    apps = _apps(settings)
    provider = apps.find(name)
    if provider is None:
        raise _unknown(name, settings)
    if as_json:
        more = {"redirect_uris": [f"{base}/oauth/callback/{name}" for base in _base_urls(settings)]}
        click.echo(json.dumps({"id": name, **written(provider), **more}, indent=2, ensure_ascii=False))
    else:
        _show(provider, apps, settings)


@command.command("check")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@options.config
@options.as_json
def check(names: Sequence[str], config: Path | None, as_json: bool) -> None:
    """Check that providers are ready: what is set, what is missing, what to register where.

    Without a NAME, all that you have set up. Exit codes: 0 ready, 1 something is missing, 2 wrong settings or name.
    """
    settings = options.settings_for(config)
    found = _checkups(settings, names)
    if as_json:
        click.echo(json.dumps([_as_json(checkup) for checkup in found], indent=2, ensure_ascii=False))
    else:
        _show_checkups(found, _apps(settings))
    if not all(checkup.ready for checkup in found):
        raise click.exceptions.Exit(1)


def _apps(settings: Settings) -> Apps:
    from gateway.oauth.apps import Apps
    from gateway.providers.catalogue import Catalogue

    return Apps(Catalogue.load(folder=settings.catalogue.folder), settings.providers, tenants=settings.tenants)


def _names(settings: Settings) -> list[str]:
    from gateway.providers.catalogue import Catalogue

    return sorted({*Catalogue.load(folder=settings.catalogue.folder).names(), *_configured(settings)})


def _configured(settings: Settings) -> set[str]:
    """Those with a client id or a service account, for all or for a tenant."""
    tables = [settings.providers, *settings.tenants.values()]
    return {name for table in tables for name, about in table.items() if about.client_id or about.service_account}


def _unknown(name: str, settings: Settings) -> SettingsError:
    import difflib

    near = difflib.get_close_matches(name, _names(settings), n=3)
    return SettingsError(
        f"no provider is called {name}." + (f" Did you mean {' or '.join(near)}?" if near else "") + " All of them: "
        "atp-gateway providers list"
    )


def _fits(provider: Provider, word: str | None) -> bool:
    texts = [provider.id, provider.name, *provider.words]
    return word is None or any(word.lower() in text.lower() for text in texts)


def _base_urls(settings: Settings) -> tuple[str, ...]:
    """Where browsers reach us: at public_url, or on this machine, as `stdio` and `serve` listen there."""
    from gateway.surfaces.listener import PORT

    public = settings.server.public_url
    local = dict.fromkeys(f"http://127.0.0.1:{port}" for port in (PORT, settings.server.port))
    return (public.rstrip("/"),) if public else tuple(local)


def _summary(provider: Provider) -> dict[str, Any]:
    return {
        "id": provider.id,
        "name": provider.name,
        "preview": provider.preview,
        "words": list(provider.words),
        "docs": provider.docs,
    }


# --- list


def _show_list(found: Sequence[Provider], ready: set[str], word: str | None) -> None:
    if not found:
        hint = "Any OAuth 2 server works by configuration alone: see docs/providers.md." if word else ""
        click.echo(f"No provider fits. {hint}".strip(), err=True)
        raise click.exceptions.Exit(1)
    width = shutil.get_terminal_size((100, 24)).columns
    longest = max(len(provider.id) for provider in found)
    named = max(len(provider.name) for provider in found)
    for provider in found:
        mark = click.style("✓", fg="green") if provider.id in ready else " "
        room = max(20, width - longest - named - 8) - 9 * provider.preview
        tail = click.style(textwrap.shorten(", ".join(provider.words), room, placeholder=" …"), dim=True)
        if provider.preview:
            tail = click.style("preview", fg="yellow") + "  " + tail
        click.echo(f" {mark} {click.style(f'{provider.id:<{longest}}', bold=True)}  {provider.name:<{named}}  {tail}")
    count = sum(provider.id in ready for provider in found)
    word_for_them = "provider" if len(found) == 1 else "providers"
    click.echo(f"\n{len(found)} {word_for_them}, {count} set up (✓). More: atp-gateway providers show NAME", err=True)


def _markdown(found: Iterable[Provider]) -> list[str]:
    """The table of docs/providers.md, without whatever the settings say."""
    from gateway.providers.in_words import duration

    rows = ["| name | provider | look for | a token lives for | to fill in |", "|---|---|---|---|---|"]
    for provider in found:
        life = duration(provider.expires_in_default) if provider.expires_in_default else "-"
        variables = ", ".join(f"`{name}`" for name in provider.variables) or "-"
        preview = " *(preview)*" if provider.preview else ""
        linked = f"[{provider.name}]({provider.docs}){preview}"
        rows.append(f"| `{provider.id}` | {linked} | {', '.join(provider.words)} | {life} | {variables} |")
    return rows


# --- show


def _show(provider: Provider, apps: Apps, settings: Settings) -> None:
    from gateway.providers.in_words import ending, lasting, particulars

    state = click.style("preview", fg="yellow") if provider.preview else click.style("stable", fg="green")
    click.echo(f"\n  {click.style(provider.name, bold=True)}  {click.style(provider.id, dim=True)}  {state}")
    if provider.notes:
        _wrapped(provider.notes, "  ")
    about = apps.settings(provider.id)
    _heading("Register")
    _to_register([f"{base}/oauth/callback/{provider.id}" for base in _base_urls(settings)], provider, "  ")
    for name, variable in provider.variables.items():
        chosen = about.variables.get(name)
        otherwise = f"default: {variable.default}" if variable.default else "each person fills it in"
        _line(name, f"set to {chosen}" if chosen else f"{variable.prompt} ({otherwise})")
    _heading("Asks for")
    _line("scopes", " ".join(sorted({*provider.scopes.default, *about.scopes})) or "none: the app's settings decide")
    _heading("Addresses")
    for label, url in _endpoints(provider):
        _line(label, url)
    _heading("How long it lasts")
    for sentence in (*lasting(provider), ending(provider)):
        _wrapped(sentence, "  · ")
    if sentences := list(particulars(provider)):
        _heading("Good to know")
        for sentence in sentences:
            _wrapped(sentence, "  · ")
    click.echo()


def _endpoints(provider: Provider) -> Iterable[tuple[str, str | None]]:
    yield "issuer", provider.issuer
    yield "authorize", provider.authorization_url
    yield "token", provider.token_url
    yield "account", provider.userinfo_url
    yield "introspect", provider.introspection.url if provider.introspection else None
    yield "revoke", provider.revocation.url if provider.revocation else None
    yield "API", provider.api.base_url or ", ".join(provider.api.hosts)


def _heading(text: str) -> None:
    click.echo(f"\n  {click.style(text, bold=True)}")


def _line(label: str, text: str | None, indent: str = "  ") -> None:
    if text:
        click.echo(f"{indent}{click.style(f'{label:<{_LABEL}}', fg='cyan')}{text}")


def _to_register(uris: Sequence[str], provider: Provider | None, indent: str) -> None:
    """Addresses stand on a line of their own, whole, to be copied."""
    for label, uri, command_ in zip(("redirect URI", "or"), uris, ("stdio", "serve"), strict=False):
        _line(label, uri + (click.style(f"  ({command_})", dim=True) if len(uris) > 1 else ""), indent)
    _line("docs", provider.docs if provider else None, indent)


def _wrapped(text: str, opening: str) -> None:
    width = min(shutil.get_terminal_size((100, 24)).columns, 100)
    click.echo(textwrap.fill(text, width, initial_indent=opening, subsequent_indent=" " * len(opening)))


# --- check


def _checkups(settings: Settings, names: Sequence[str]) -> list[Checkup]:
    """Each named provider, or each that is set up, for all and for every tenant that has a table of its own."""
    from gateway.oauth.checkup import check_up

    apps, bases = _apps(settings), _base_urls(settings)
    known = _names(settings)
    for name in names:
        if name not in known and name not in settings.providers:
            raise _unknown(name, settings)
    of_tenants_only = {name for table in settings.tenants.values() for name in table} - settings.providers.keys()
    wanted = [name for name in names if name not in of_tenants_only] if names else sorted(settings.providers)
    found = [check_up(apps, name, None, bases) for name in wanted]
    for tenant, table in sorted(settings.tenants.items()):
        found += [check_up(apps, name, tenant, bases) for name in sorted(table) if not names or name in names]
    return found


def _show_checkups(found: Sequence[Checkup], apps: Apps) -> None:
    if not found:
        click.echo("No provider is set up. What one needs: atp-gateway providers check NAME", err=True)
    for checkup in found:
        mark, colour = ("✓", "green") if checkup.ready else ("✗", "red")
        tenant = f" for {checkup.tenant}" if checkup.tenant else ""
        title = click.style(f"{checkup.name}{tenant}", bold=True)
        click.echo(f"\n{click.style(mark, fg=colour)} {title}  {click.style(checkup.provider, dim=True)}")
        for finding in checkup.findings:
            mark, colour = _MARKS[finding.level]
            _wrapped_after(click.style(mark, fg=colour), finding.text)
        provider = apps.find(checkup.provider, checkup.tenant or "default") if checkup.redirect_uris else None
        _to_register(checkup.redirect_uris, provider, "      ")
    if found:
        missing = sum(not checkup.ready for checkup in found)
        click.echo(f"\n{len(found)} looked at, {missing or 'none'} with something missing.", err=True)


def _wrapped_after(mark: str, text: str) -> None:
    width = min(shutil.get_terminal_size((100, 24)).columns, 100)
    first, *rest = textwrap.wrap(text, max(40, width - 6), break_long_words=False, break_on_hyphens=False)
    click.echo(f"    {mark} {first}")
    for line in rest:
        click.echo(f"      {line}")


def _as_json(checkup: Checkup) -> dict[str, Any]:
    return {
        "provider": checkup.provider,
        "tenant": checkup.tenant,
        "ready": checkup.ready,
        "redirect_uris": list(checkup.redirect_uris),
        "findings": [{"level": finding.level.value, "text": finding.text} for finding in checkup.findings],
    }

"""`atp-gateway rules check`: what the rules let somebody see and call, and which of them decides.

Looks at the settings, the toolkits that they load, and what toolkits from afar have registered. Decides by the same
rules, read the same way, as a gateway that serves.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gateway.access.rules import CALL, NOTHING, Rule, deciding, in_words, read_rules
from gateway.cli import options
from gateway.cli.opened_store import opened_store
from gateway.errors import UnknownToolError
from gateway.toolkit.tool import Annotations
from gateway.types import APP_ISSUER, Principal

if TYPE_CHECKING:
    from gateway.settings import Settings


@dataclass(frozen=True, slots=True)
class Facts:
    """What is to be known of a tool to decide about it. `tenant` is whose it is; None: everybody's."""

    name: str
    toolkit: str
    annotations: Annotations
    tenant: str | None = None


@click.group("rules")
def command() -> None:
    """Who may see and call what, by [[access.rules]]."""


@command.command("check", short_help="Which rule decides, for somebody and a tool.")
@click.argument("person", required=False, metavar="[PERSON]")
@click.option("--group", "groups", multiple=True, metavar="GROUP", help="A group they are in, as tokens spell it.")
@click.option("--tenant", default="default", show_default=True, help="The tenant they are of.")
@click.option("--app", metavar="APP", help="Instead of a person: a user of this ATP app.")
@click.option("--tool", "wanted", metavar="TOOL", help="Only this tool.")
@options.with_toolkits
@options.config
@options.as_json
def check(
    person: str | None,
    groups: tuple[str, ...],
    tenant: str,
    app: str | None,
    wanted: str | None,
    toolkits: tuple[str, ...],
    config: Path | None,
    as_json: bool,
) -> None:
    """Say what somebody may do, and which rule decides.

    PERSON is "<issuer> <subject>", or a subject of [access] issuer. Groups come with each request, so name them.
    """
    if app is not None and (person is not None or groups):
        raise click.UsageError("--app is for an app's users: they have no groups, and no issuer of yours.")
    settings = options.settings_for(config)
    access = settings.access
    issuer = access.issuer or access.login_issuer
    rules = read_rules(access.rules, issuer)
    who = Principal(f"{APP_ISSUER}{app}", "somebody", tenant) if app else _person(person, issuer, tenant, groups)
    tools = [tool for tool in _tools(settings, toolkits) if tool.tenant in (None, tenant)]
    if wanted is not None:
        tools = [tool for tool in tools if tool.name == wanted] or _unknown(wanted)
    fitting = [rule for rule in rules if rule.fits_person(who)]
    found = [(tool, deciding(fitting, tool) if rules else Rule()) for tool in tools]
    if as_json:
        click.echo(json.dumps([_described(tool, rule, rules) for tool, rule in found], indent=2, ensure_ascii=False))
    elif not rules:
        click.echo("There are no rules: everybody who comes in may call every tool.")
    elif wanted is not None:
        click.echo(_sentence(*found[0], rules))
    elif not found:
        click.echo("No tools are known here. Name their toolkits with --toolkit, or in [toolkits] load.", err=True)
    else:
        rows = [(tool.name, tool.toolkit, _may(rule), _by(rule, rules)) for tool, rule in found]
        options.table(("TOOL", "TOOLKIT", "MAY", "BECAUSE"), rows)


def _person(person: str | None, issuer: str | None, tenant: str, groups: Sequence[str]) -> Principal:
    """Whom the command line names. Without a PERSON it is somebody of these groups, and nobody whom a rule names."""
    vouches, _, subject = (person or " ").rpartition(" ")
    if subject and not (vouches or issuer):
        raise click.UsageError(f'write who vouches for them: "https://login.example.com {subject}".')
    return Principal(vouches or issuer or "", subject, tenant, frozenset(groups))


def _tools(settings: Settings, toolkits: Sequence[str]) -> list[Facts]:
    import anyio

    from gateway import app

    gateway = app.build(settings)
    options.report(gateway.load(toolkits or settings.toolkits.load))
    here = [Facts(tool.name, tool.toolkit, tool.annotations, tool.tenant) for tool in gateway.registry.tools()]
    return [*here, *anyio.run(_from_afar, settings)]


async def _from_afar(settings: Settings) -> list[Facts]:
    """What toolkits from afar have registered, whether a worker of theirs is there now or not."""
    from gateway.at_rest import may_hold_accounts
    from gateway.remote.pinning import served

    if not may_hold_accounts(settings):
        return []
    async with opened_store(settings) as store:
        tools = await store.remote.list_all()
    return [
        Facts(tool.name, tool.toolkit, definition.annotations, tool.tenant)
        for tool in tools
        if (definition := served(tool)) is not None
    ]


def _unknown(name: str) -> list[Facts]:
    raise UnknownToolError(f"There is no tool {name}. Leave --tool out to see all, or name its toolkit with --toolkit.")


def _may(rule: Rule | None) -> str:
    if rule is None:
        return NOTHING
    return f"{CALL}, once approved" if rule.approve else rule.may


def _by(rule: Rule | None, rules: Sequence[Rule]) -> str:
    return "no rule fits" if rule is None else f"rule {rules.index(rule) + 1}: {in_words(rule)}"


_MEANS = {
    "call": "They see {tool} and may call it",
    "see": "They see {tool} and may not call it",
    "nothing": "{tool} does not exist for them",
}


def _sentence(tool: Facts, rule: Rule | None, rules: Sequence[Rule]) -> str:
    means = _MEANS[rule.may if rule else NOTHING].format(tool=tool.name)
    after = ", once the person has approved the call" if rule and rule.approve else ""
    return f"{means}{after}: {_by(rule, rules)}."


def _described(tool: Facts, rule: Rule | None, rules: Sequence[Rule]) -> dict[str, object]:
    return {
        "tool": tool.name,
        "toolkit": tool.toolkit,
        "may": rule.may if rule else NOTHING,
        "approve": rule.approve if rule else False,
        "rule": rules.index(rule) + 1 if rule in rules and rule else None,
    }

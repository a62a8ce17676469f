"""The command line. Each command is a file, imported when it is run: a host waits while we start.

Exit codes: 0 done; 1 it failed; 2 wrong usage or settings; 3 an account has to be connected first; 130 interrupted.
What a script reads goes to stdout, everything else to stderr.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from typing import NoReturn

import click

from gateway.errors import GatewayError, SettingsError

COMMANDS = {
    "stdio": "serve one host over stdin and stdout",
    "serve": "serve a team, or several hosts, over HTTP",
    "demo": "see the whole product in a minute, with nothing to register",
    "run": "run an unmodified ATP script against a gateway of its own",
    "call": "call a tool from the command line",
    "tools": "list the tools of toolkits",
    "connect": "connect an account at a provider",
    "connections": "list, or end, your connections",
    "providers": "list the known providers, and check that yours are ready",
    "rules": "see what the rules let somebody call, and which of them decides",
    "toolkits": "see what toolkits from afar have registered, and decide about changes",
    "webhooks": "list apps' webhooks and what was delivered, and deliver again",
    "doctor": "find what keeps programs from a gateway, and how to mend it",
    "people": "invite people, list them, let somebody in no more",
    "clients": "list the programs that people let in, add one, end one",
    "audit": "look at the record of what was done, verify it, take it elsewhere",
    "db": "see how far the database is, and bring it to this version",
    "keys": "make, list and revoke API keys; turn the keys that seal tokens",
}
"""Command name -> the line that `--help` shows for it. The command `x` is `gateway.cli.x.command`."""


class Commands(click.Group):
    """Lists the commands without importing them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"gateway.cli.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and not args[0].startswith("-") and args[0] not in COMMANDS:
            near = [name for name in COMMANDS if name[:2] == args[0][:2]]
            hint = f" Did you mean {near[0]}?" if near else ""
            ctx.fail(f"there is no command {args[0]!r}.{hint} See atp-gateway --help.")
        return super().resolve_command(ctx, args)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="atp-gateway", prog_name="atp-gateway")
def cli() -> None:
    """Turns Python functions into MCP tools, and signs each call with the calling person's own account."""


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """The program. Turns every expected error into one sentence and an exit code."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    if arguments[:1] == ["stdio"]:
        # Before anything else is imported: from here on only the protocol reaches the host.
        from gateway.surfaces.mcp.stdout import claim_stdout

        claim_stdout()
    try:
        code = cli.main(arguments, prog_name="atp-gateway", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        sys.exit(130)
    except GatewayError as error:
        click.secho(f"atp-gateway: {error}", fg="red", err=True)
        sys.exit(2 if isinstance(error, SettingsError) else 1)
    if arguments[:1] == ["serve"]:
        from gateway.cli.leaving import leave_soon

        leave_soon()
    sys.exit(code if isinstance(code, int) else 0)

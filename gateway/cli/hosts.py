"""MCP hosts, and what to paste into each so that it talks to a gateway.

Data first: a host is a row. `snippet` renders the row for a server that is reached over HTTP or started over stdio.

Sources: code.claude.com/docs/en/mcp; modelcontextprotocol.io, "Connect to local MCP servers" (Claude Desktop);
cursor.com/docs/mcp; code.visualstudio.com, "MCP configuration reference". Above: the demo and the commands that
install. Below: nothing.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Http:
    """A server that is running already, at its `/mcp` URL."""

    url: str


@dataclass(frozen=True, slots=True)
class Stdio:
    """A server that the host starts itself. Hosts with a window have no PATH to speak of: `command` is absolute."""

    command: str
    args: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)


Server = Http | Stdio


@dataclass(frozen=True, slots=True)
class Host:
    """One host. `where` says what to do with the snippet.

    `root` is the key that its JSON file keeps servers under; None for a host that is told on the command line.
    `names_kind` is whether an entry carries its `type`; `reaches_http` whether the file takes a URL at all.
    """

    name: str
    where: str
    root: str | None = "mcpServers"
    names_kind: bool = False
    reaches_http: bool = True


HOSTS = {
    "claude-code": Host("Claude Code", "run in a terminal", root=None),
    "claude-desktop": Host(
        "Claude Desktop", "Settings > Developer > Edit Config (claude_desktop_config.json)", reaches_http=False
    ),
    "cursor": Host("Cursor", "~/.cursor/mcp.json"),
    "vscode": Host("VS Code", ".vscode/mcp.json, or the command “MCP: Open User Configuration”", "servers", True),
}


def snippet(host: Host, name: str, server: Server) -> str:
    """What to paste to add `server` under `name`. ValueError for a URL where the host takes none."""
    if isinstance(server, Http) and not host.reaches_http:
        raise ValueError(f"{host.name} starts its servers itself: give it a command, not a URL.")
    if host.root is None:
        return _command_line(name, server)
    return json.dumps({host.root: {name: _entry(host, server)}}, indent=2, ensure_ascii=False)


def _entry(host: Host, server: Server) -> dict[str, Any]:
    entry: dict[str, Any]
    match server:
        case Http(url):
            kind, entry = "http", {"url": url}
        case Stdio(command, args, env):
            kind, entry = "stdio", {"command": command, "args": list(args)}
            if env:
                entry["env"] = dict(env)
    return {"type": kind, **entry} if host.names_kind else entry


def _command_line(name: str, server: Server) -> str:
    match server:
        case Http(url):
            return shlex.join(["claude", "mcp", "add", "--transport", "http", name, url])
        case Stdio(command, args, env):
            # --env takes every word up to the next option, so it must not stand right before the name.
            given = [word for key, value in env.items() for word in ("--env", f"{key}={value}")]
            return shlex.join(["claude", "mcp", "add", *given, "--transport", "stdio", name, "--", command, *args])

"""MCP hosts, and what to paste into each so that it talks to a gateway.

Data first: a host is a row. `snippet` renders the row for a server that is reached over HTTP or started over stdio,
`link` gives the address that makes the host add the server by one click, where it has one.

Sources: code.claude.com/docs/en/mcp; support.claude.com, "Custom connectors using remote MCP"; cursor.com/docs/mcp and
its "MCP install links"; code.visualstudio.com, "MCP configuration reference" and "MCP URL handler"; OpenAI, "Developer
mode" and Codex, "Model Context Protocol"; Gemini CLI, "MCP servers"; docs.windsurf.com, "Cascade MCP"; lmstudio.ai,
"Use MCP servers"; the READMEs of MCP Inspector and mcp-remote. Above: the page for people, the demo. Below: nothing.
"""

from __future__ import annotations

import base64
import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote


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

_ONE_LINE = 48  # characters


@dataclass(frozen=True, slots=True)
class Host:
    """One host. `steps` tell a person what to do with the snippet for a URL, `sign_in` what comes then where the server
    asks for it; `place` is where a snippet goes, in a few words, of a host that starts servers too.

    For a URL: `line` is a command for a terminal, for all of the person's projects; else `types_url` means that a
    person types the URL into a window of the host; else it is JSON, and `url_key` what the URL is called there. `root`
    is the key that the JSON keeps servers under, None where a host has no such file, and `names_kind` whether an entry
    carries its `type`. `bridge` is a program that takes the URL as its last argument, started as any local server.

    `link` is the address for one click: `{name}`, `{base64}` the entry, `{json}` the entry with its name. `from_afar`:
    the host connects from its maker's servers, which reach public https addresses only.
    """

    name: str
    steps: str
    sign_in: str = ""
    place: str = ""
    line: tuple[str, ...] = ()
    types_url: bool = False
    root: str | None = "mcpServers"
    url_key: str = "url"
    names_kind: bool = False
    bridge: tuple[str, ...] = ()
    link: str | None = None
    from_afar: bool = False


HOSTS = {
    "claude-code": Host(
        "Claude Code",
        "Run this in a terminal.",
        "Then type /mcp in Claude Code, and sign in.",
        place="run in a terminal",
        line=("claude", "mcp", "add", "--scope", "user", "--transport", "http", "{name}", "{url}"),
        root=None,
    ),
    "claude-desktop": Host(
        "Claude Desktop and claude.ai",
        "Under Customize, Connectors, choose Add custom connector, and paste the address. In a Team or Enterprise plan "
        "an owner adds it first.",
        place="Settings > Developer > Edit Config (claude_desktop_config.json)",
        types_url=True,
        from_afar=True,
    ),
    "cursor": Host(
        "Cursor",
        "Put this into ~/.cursor/mcp.json, or .cursor/mcp.json of a project.",
        place="~/.cursor/mcp.json",
        link="cursor://anysphere.cursor-deeplink/mcp/install?name={name}&config={base64}",
    ),
    "vscode": Host(
        "VS Code",
        "Put this into .vscode/mcp.json, or into the file that the command “MCP: Open User Configuration” opens.",
        place=".vscode/mcp.json, or the command “MCP: Open User Configuration”",
        root="servers",
        names_kind=True,
        link="vscode:mcp/install?{json}",
    ),
    "chatgpt": Host(
        "ChatGPT",
        "Under Settings, Apps, Advanced settings, turn on Developer mode. Choose Create app, and paste the address.",
        "For authentication, choose OAuth.",
        types_url=True,
        root=None,
        from_afar=True,
    ),
    "codex": Host(
        "Codex",
        "Run this in a terminal.",
        "Codex opens your browser to sign in.",
        line=("codex", "mcp", "add", "{name}", "--url", "{url}"),
        root=None,
    ),
    "gemini": Host(
        "Gemini CLI",
        "Run this in a terminal.",
        "Then type /mcp auth in Gemini CLI, and sign in.",
        line=("gemini", "mcp", "add", "--scope", "user", "--transport", "http", "{name}", "{url}"),
        root=None,
    ),
    "windsurf": Host("Windsurf", "Put this into ~/.codeium/windsurf/mcp_config.json.", url_key="serverUrl"),
    "lm-studio": Host(
        "LM Studio",
        "Put this into its mcp.json: under Program, choose Install, Edit mcp.json.",
        link="lmstudio://add_mcp?name={name}&config={base64}",
    ),
    "inspector": Host(
        "MCP Inspector",
        "Run this in a terminal. It opens in the browser: press Connect.",
        "It leads you to sign in.",
        line=("npx", "-y", "@modelcontextprotocol/inspector", "--transport", "http", "--server-url", "{url}"),
        root=None,
    ),
    "mcp-remote": Host(
        "A host that starts its servers itself",
        "Put this where it keeps its servers. mcp-remote, which needs Node.js, passes everything on.",
        "Your browser opens to sign in.",
        bridge=("npx", "-y", "mcp-remote"),
    ),
    "other": Host(
        "Any other",
        "Give it the address.",
        "It finds out by itself how to sign in.",
        types_url=True,
        root=None,
    ),
}


def snippet(host: Host, name: str, server: Server) -> str:
    """What to paste to add `server` under `name`. ValueError for a command where the host starts none."""
    if isinstance(server, Http):
        if host.line:
            return shlex.join(word.format(name=name, url=server.url) for word in host.line)
        if host.types_url:
            return server.url
    elif host.line and host.place:
        return _command_line(name, server)
    if host.root is None:
        raise ValueError(f"{host.name} starts no servers: give it a URL.")
    return _laid_out({host.root: {name: _entry(host, server)}})


def link(host: Host, name: str, server: Server) -> str | None:
    """The address that makes the host add `server`, by one click; None where it has no such thing."""
    if host.link is None:
        return None
    entry = _entry(host, server)
    return host.link.format(
        name=quote(name, safe=""),
        base64=quote(base64.b64encode(_compact(entry)).decode(), safe=""),
        json=quote(_compact({"name": name, **entry}), safe=""),
    )


def _entry(host: Host, server: Server) -> dict[str, Any]:
    if isinstance(server, Http) and host.bridge:
        program, *options = host.bridge
        server = Stdio(program, (*options, server.url))
    entry: dict[str, Any]
    match server:
        case Http(url):
            kind, entry = "http", {host.url_key: url}
        case Stdio(command, args, env):
            kind, entry = "stdio", {"command": command, "args": list(args)}
            if env:
                entry["env"] = dict(env)
    return {"type": kind, **entry} if host.names_kind else entry


def _laid_out(value: Any, indent: str = "") -> str:
    """JSON for people: what has nothing inside is on one line, if it fits there."""
    inner = list(value.values() if isinstance(value, dict) else value if isinstance(value, list) else ())
    flat = json.dumps(value, ensure_ascii=False)
    if not inner or (len(flat) <= _ONE_LINE and not any(isinstance(each, dict | list) for each in inner)):
        return flat
    deeper = f"{indent}  "
    names = (
        [f"{json.dumps(name, ensure_ascii=False)}: " for name in value]
        if isinstance(value, dict)
        else [""] * len(inner)
    )
    lines = ",\n".join(f"{deeper}{name}{_laid_out(each, deeper)}" for name, each in zip(names, inner, strict=True))
    opens, closes = "{}" if isinstance(value, dict) else "[]"
    return f"{opens}\n{lines}\n{indent}{closes}"


def _compact(entry: Mapping[str, Any]) -> bytes:
    return json.dumps(entry, separators=(",", ":"), ensure_ascii=False).encode()


def _command_line(name: str, server: Stdio) -> str:
    # --env takes every word up to the next option, so it must not stand right before the name.
    given = [word for key, value in server.env.items() for word in ("--env", f"{key}={value}")]
    started = [server.command, *server.args]
    return shlex.join(["claude", "mcp", "add", *given, "--transport", "stdio", name, "--", *started])

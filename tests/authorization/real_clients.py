"""How the clients that people have register, and which redirect URI each then sends.

Taken from their sources and from what maintainers of servers wrote down: microsoft/vscode `fetchDynamicRegistration`
and its test; anthropics/claude-ai-mcp issue 1043 (claude.ai asks for a secret); elmohq/elmo pull request 684 (Claude
Code, Codex, OpenCode, captured); soflyy/agent-connector-for-wp issue 111 (Cursor); koala73/worldmonitor pull request
8307 (Cursor's agents, ChatGPT, Grok); the Inspector, mcp-remote and the SDKs as they run.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

BOTH = ["authorization_code", "refresh_token"]


@dataclass(frozen=True)
class RealClient:
    name: str
    body: dict[str, Any]
    sends: tuple[str, ...]
    """Redirect URIs that it sends after such a registration."""
    dropped: frozenset[str] = field(default=frozenset())

    @property
    def has_secret(self) -> bool:
        is_site = any(uri.startswith("https:") for uri in self.body["redirect_uris"])
        return (self.body.get("token_endpoint_auth_method") or ("a secret" if is_site else "none")) != "none"


REAL_CLIENTS = [
    RealClient(
        "Claude Code",
        {
            "client_name": "Claude Code (gateway)",
            "redirect_uris": ["http://localhost:3118/callback"],
            "grant_types": BOTH,
            "response_types": ["code"],
            "token_endpoint_auth_method": "none",
            "application_type": "native",
            "scope": "tools",
        },
        ("http://localhost:3118/callback", "http://localhost:52771/callback"),
    ),
    RealClient(
        "claude.ai and Claude Desktop",
        {
            "client_name": "Claude",
            "redirect_uris": ["https://claude.ai/api/mcp/auth_callback"],
            "grant_types": BOTH,
            "response_types": ["code"],
            "token_endpoint_auth_method": "client_secret_post",
            "scope": "tools offline_access",
        },
        ("https://claude.ai/api/mcp/auth_callback",),
    ),
    RealClient(
        "Claude Desktop's local proxy",
        {
            "client_name": "MCP CLI Proxy",
            "redirect_uris": ["http://localhost:35535/oauth/callback"],
            "grant_types": BOTH,
            "response_types": ["code"],
            "token_endpoint_auth_method": "none",
            "client_uri": "https://github.com/modelcontextprotocol/mcp-cli",
            "software_id": "2e6dc280-f3c3-4e01-99a7-8181dbd1d23d",
            "software_version": "0.1.38",
        },
        ("http://localhost:35535/oauth/callback",),
    ),
    RealClient(
        "Cursor",
        {
            "client_name": "Cursor",
            "redirect_uris": [
                "cursor://anysphere.cursor-mcp/oauth/callback",
                "https://www.cursor.com/agents/mcp/oauth/callback",
                "http://localhost:8787/callback",
            ],
            "grant_types": BOTH,
            "response_types": ["code"],
            "token_endpoint_auth_method": "none",
            "application_type": "native",
        },
        (
            "cursor://anysphere.cursor-mcp/oauth/callback",
            "https://www.cursor.com/agents/mcp/oauth/callback",
            "http://localhost:8787/callback",
            "http://localhost:61034/callback",
        ),
    ),
    RealClient(
        "Cursor, formerly",
        {
            "client_name": "Cursor",
            "redirect_uris": ["cursor://anysphere.cursor-retrieval/oauth/user-gateway/callback"],
            "grant_types": BOTH,
            "response_types": ["code"],
            "token_endpoint_auth_method": "none",
        },
        ("cursor://anysphere.cursor-retrieval/oauth/user-gateway/callback",),
    ),
    RealClient(
        "VS Code",
        {
            "client_name": "Visual Studio Code",
            "client_uri": "https://code.visualstudio.com",
            "grant_types": [*BOTH, "urn:ietf:params:oauth:grant-type:device_code"],
            "response_types": ["code"],
            "redirect_uris": [
                "https://insiders.vscode.dev/redirect",
                "https://vscode.dev/redirect",
                "http://127.0.0.1/",
                "http://127.0.0.1:33418/",
            ],
            "scope": "tools",
            "token_endpoint_auth_method": "none",
            "application_type": "native",
        },
        (
            "https://vscode.dev/redirect",
            "https://insiders.vscode.dev/redirect",
            "http://127.0.0.1:33418/",
            "http://127.0.0.1:59656/",
        ),
    ),
    RealClient(
        "ChatGPT",
        {
            "client_name": "ChatGPT",
            "redirect_uris": ["https://chatgpt.com/connector_platform_oauth_redirect"],
            "grant_types": BOTH,
            "response_types": ["code"],
            "token_endpoint_auth_method": "none",
        },
        ("https://chatgpt.com/connector_platform_oauth_redirect",),
    ),
    RealClient(
        "ChatGPT, an app's own callback",
        {
            "client_name": "ChatGPT",
            "redirect_uris": ["https://chatgpt.com/connector/oauth/OUbdUMlL15Ct"],
            "grant_types": BOTH,
            "response_types": ["code"],
            "token_endpoint_auth_method": "none",
        },
        ("https://chatgpt.com/connector/oauth/OUbdUMlL15Ct",),
    ),
    RealClient(
        "MCP Inspector",
        {
            "client_name": "MCP Inspector",
            "client_uri": "https://github.com/modelcontextprotocol/inspector",
            "redirect_uris": ["http://127.0.0.1:6276/oauth/callback"],
            "grant_types": BOTH,
            "response_types": ["code"],
            "token_endpoint_auth_method": "none",
            "scope": "",
        },
        ("http://127.0.0.1:6276/oauth/callback", "http://127.0.0.1:6277/oauth/callback"),
    ),
    RealClient(
        "MCP Inspector, in the browser",
        {
            "client_name": "MCP Inspector",
            "redirect_uris": ["http://localhost:6274/oauth/callback", "http://localhost:6274/oauth/callback/debug"],
            "grant_types": BOTH,
            "response_types": ["code"],
            "token_endpoint_auth_method": "none",
        },
        ("http://localhost:6274/oauth/callback/debug",),
    ),
    RealClient(
        "mcp-remote",
        {
            "client_name": "MCP CLI Proxy",
            "redirect_uris": ["http://localhost:3334/oauth/callback"],
            "grant_types": BOTH,
            "response_types": ["code"],
            "token_endpoint_auth_method": "none",
            "client_uri": "https://github.com/modelcontextprotocol/mcp-cli",
            "scope": "openid email profile",
        },
        ("http://localhost:3334/oauth/callback", "http://localhost:20761/oauth/callback"),
    ),
    RealClient(
        "Codex",
        {
            "client_name": "Codex",
            "redirect_uris": ["http://127.0.0.1:37819/callback/gateway"],
            "grant_types": BOTH,
            "response_types": ["code"],
            "token_endpoint_auth_method": "none",
            "application_type": "native",
        },
        ("http://127.0.0.1:40217/callback/gateway",),
    ),
    RealClient(
        "OpenCode",
        {
            "client_name": "OpenCode",
            "client_uri": "https://opencode.ai",
            "redirect_uris": ["http://127.0.0.1:19876/mcp/oauth/callback"],
            "grant_types": BOTH,
            "response_types": ["code"],
            "token_endpoint_auth_method": "none",
        },
        ("http://127.0.0.1:19876/mcp/oauth/callback",),
    ),
    RealClient(
        "Grok",
        {
            "client_name": "Grok",
            "redirect_uris": ["https://grok.com/connectors-oauth-exchange-code/"],
            "token_endpoint_auth_method": "none",
        },
        ("https://grok.com/connectors-oauth-exchange-code/",),
    ),
    RealClient(
        "the Python SDK's default",
        {
            "redirect_uris": ["http://localhost:3030/callback"],
            "token_endpoint_auth_method": None,
            "grant_types": BOTH,
            "response_types": ["code"],
            "scope": None,
            "client_name": None,
            "contacts": None,
        },
        ("http://localhost:3030/callback",),
    ),
    RealClient(
        "one that says nothing but where it is, and one place that is none",
        {"redirect_uris": ["https://app.example/callback", "nowhere", "javascript:alert(1)//"]},
        ("https://app.example/callback",),
        frozenset({"nowhere", "javascript:alert(1)//"}),
    ),
]

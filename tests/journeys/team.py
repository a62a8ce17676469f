"""A team's gateway as it is run: `atp-gateway serve` as a process, with two identity providers that we did not write.

One is the company's, where people sign in. The other is that of the accounts that its tools need: `acme`, described by
a file of the operator's own. Ada is in the group `sales`, everybody else in `support`, and so says the company.
"""

from __future__ import annotations

import base64
import re
import secrets
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio

from tests.interop.programs import ATP_GATEWAY, PATIENCE, clean_environment, running
from tests.journeys.oidc_provider import CLIENT_ID, CLIENT_SECRET, OidcProvider, oidc_provider

TOOLKIT = '''
import httpx2

from gateway import Credential, ToolKitClient

client = ToolKitClient(app_name="crm")


@client.tool(auth_provider="acme", scopes=["openid", "email"])
async def whoami(credential: Credential) -> str:
    """Ask the provider whose account this is."""
    async with httpx2.AsyncClient(trust_env=False) as http:
        answer = await http.get("ISSUER/me", headers={"Authorization": f"Bearer {credential.token}"})
        return "the account of " + answer.raise_for_status().json()["email"]


@client.tool(read_only=True)
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@client.tool(destructive=True)
def close_books() -> str:
    """Close the month."""
    return "closed"
'''
ACME = """
name = "Acme CRM"
notes = "Register the redirect URI."
authorization_url = "ISSUER/auth"
token_url = "ISSUER/token"
userinfo_url = "ISSUER/me"
token_auth_method = "client_secret_basic"
needs_client_secret = true

[scopes]
default = ["openid", "email"]

[refresh]
rotates = "yes"

[identity]
source = "userinfo"
account_id = ["sub"]
label = ["email"]
"""
SETTINGS = f"""
[access]
builtin = true
client_documents = false   # Claude Code's is on the internet
step_up = STEP_UP
login_issuer = "COMPANY"
login_client_id = "{CLIENT_ID}"
login_client_secret = "{CLIENT_SECRET}"

[[access.rules]]
groups = ["support"]
tools = ["close_books"]
may = "nothing"

[[access.rules]]
groups = ["sales", "support"]

[catalogue]
folder = "providers"

[providers.acme]
client_id = "{CLIENT_ID}"
client_secret = "{CLIENT_SECRET}"
"""


@dataclass(frozen=True)
class Team:
    """`home` is the gateway's. `acme` is the accounts' provider, `company` where people sign in."""

    url: str
    acme: OidcProvider
    company: OidcProvider
    home: Path

    @property
    def mcp(self) -> str:
        return f"{self.url}/mcp"


@asynccontextmanager
async def team(home: Path, *, step_up: bool = False) -> AsyncIterator[Team]:
    """It is at work while the block lasts."""
    async with (
        oidc_provider("http://127.0.0.1/login/callback") as company,
        oidc_provider("http://127.0.0.1/oauth/callback/acme") as acme,
    ):
        (home / "providers").mkdir()
        (home / "providers/acme.toml").write_text(ACME.replace("ISSUER", acme.issuer))
        (home / "crm.py").write_text(TOOLKIT.replace("ISSUER", acme.issuer))
        settings = SETTINGS.replace("COMPANY", company.issuer).replace("STEP_UP", str(step_up).lower())
        (home / "gateway.toml").write_text(settings)
        (home / "gateway.toml").chmod(0o600)
        environment = clean_environment(home) | {
            "ATP_GATEWAY_CONFIG": str(home / "gateway.toml"),
            "ATP_GATEWAY_DATABASE_URL": f"sqlite:///{home}/gateway.db",
            "ATP_GATEWAY_VAULT_KEY": base64.b64encode(secrets.token_bytes(32)).decode(),
            "ATP_GATEWAY_LOG_LEVEL": "WARNING",  # nobody empties the pipe once it has said its address
        }
        command = [ATP_GATEWAY, "serve", home / "crm.py", "--strict", "--port", "0"]
        async with running(command, environment, PIPE) as process:
            assert process.stderr
            said = ""
            with anyio.fail_after(PATIENCE):
                while not (address := re.search(r"(http://\S+)/mcp", said)):
                    line = (await process.stderr.readline()).decode()
                    assert line, f"the gateway did not start: {said}"
                    said += line
            yield Team(address[1], acme, company, home)

"""What foreign hosts are given to call: a plain tool, and one that needs an account."""

from __future__ import annotations

from gateway import Credential, ToolKitClient

client = ToolKitClient(app_name="interop")


@client.register_tool
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@client.register_tool(auth_provider="acme", auth_type="OAuth2")
def account(credential: Credential) -> str:
    """Say whose account is connected."""
    return f"connected as {credential.account}"

"""The toolkit that the gateway serves in the benchmarks: tools that need an account, as many as BENCHMARK_TOOLS says.

Without BENCHMARK_TOOLS there is one tool that needs none, for the start-up benchmark.
"""

from __future__ import annotations

import os

from gateway import Credential, ToolError, ToolKitClient

client = ToolKitClient(app_name="benchmark")


def greet(name: str, credential: Credential) -> str:
    """Greet somebody."""
    if not credential.token:
        raise ToolError("no token was injected")
    return f"hello {name}"


def greet_plainly(name: str) -> str:
    """Greet somebody."""
    return f"hello {name}"


count = int(os.environ.get("BENCHMARK_TOOLS", "0"))
for number in range(count):
    client.register_tool(function_name=f"greet_{number}", auth_provider="acme", auth_type="OAuth2")(greet)
if not count:
    client.register_tool(function_name="greet_0")(greet_plainly)

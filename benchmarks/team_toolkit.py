"""Tools as a team's toolkits have them, as many as BENCHMARK_TOOLS says: with parameters that are described.

They need a token of the gateway's own, so that a call is put on record before its tool has it, and nobody has to
connect an account first.
"""

from __future__ import annotations

import os

from gateway import Credential, ToolError, ToolKitClient

client = ToolKitClient(app_name="team")


def greet(  # noqa: PLR0917 - what a model sees of a tool
    credential: Credential,
    name: str,
    language: str = "en",
    limit: int = 20,
    include_archived: bool = False,
    tags: list[str] | None = None,
) -> str:
    """Greet somebody whom the team knows, in the words that they prefer.

    Args:
        name: Whom to greet, as the team's directory has them.
        language: The language to greet in, as a two-letter code of ISO 639-1.
        limit: How many greetings to send at most, from 1 to 100.
        include_archived: Whether people who have left are greeted too.
        tags: Greet only those who have all of these tags.
    """
    del language, limit, include_archived, tags
    if not credential.token:
        raise ToolError("no token was injected")
    return f"hello {name}"


for number in range(int(os.environ["BENCHMARK_TOOLS"])):
    client.register_tool(function_name=f"greet_{number}", auth_provider="acme", auth_type="client_credentials")(greet)

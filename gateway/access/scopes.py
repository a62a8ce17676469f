"""The gateway's own scopes: what a token has to carry for a program to use the tools.

`tools` lists and calls. With `[access] step_up`, a tool that is annotated destructive also needs `tools:destructive`,
which a program asks its person for only when it comes to that. Not here: scopes at providers.

Source: MCP 2026-07-28, Authorization, "Scope Challenge Handling".
"""

from __future__ import annotations

from typing import Final

TOOLS: Final = "tools"
DESTRUCTIVE: Final = "tools:destructive"
EVERY: Final = frozenset({TOOLS, DESTRUCTIVE})
"""What somebody has whom no scope narrows: on their own machine, or with a key of their own."""

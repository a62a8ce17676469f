"""What `import gateway` costs a toolkit's author: no SQL, web, MCP or OAuth code, and little time."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = {
    *("sqlmodel", "sqlalchemy", "alembic", "starlette", "uvicorn", "mcp", "mcp_types", "authlib", "joserfc"),
    *("httpx", "httpx2", "cryptography", "pydantic", "jsonschema_rs", "docstring_parser", "click", "jinja2", "keyring"),
}
TOOLKIT_HEAVY = HEAVY - {"pydantic", "jsonschema_rs", "docstring_parser"}


def modules_after(program):
    """The topmost packages that a fresh interpreter has loaded after `program`."""
    ran = subprocess.run(
        [sys.executable, "-c", f"{program}\nimport sys; print(*sys.modules)"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return {name.partition(".")[0] for name in ran.stdout.split()}


@pytest.mark.parametrize(
    "module", ["gateway", "gateway.toolkit.loader", "gateway.toolkit.shim", "gateway.toolkit.result"]
)
def test_importing_it_loads_nothing_heavy(module):
    assert modules_after(f"import {module}") & HEAVY == set()


def test_a_typed_tool_loads_only_what_describes_it():
    program = (
        "import gateway\n"
        "client = gateway.ToolKitClient(app_name='crm')\n"
        "@client.tool\n"
        "def find(name: str, limit: int = 3) -> str:\n"
        "    'Finds.'\n"
    )

    assert modules_after(program) & TOOLKIT_HEAVY == set()


def test_a_tool_with_listed_params_needs_no_pydantic():
    program = (
        "import gateway\n"
        "client = gateway.ToolKitClient('key', 'crm')\n"
        "@client.register_tool('find', ['name'], [], 'Finds.', 'hubspot', 'OAuth2', 'access_token')\n"
        "def find(**kwargs): pass\n"
    )

    assert "pydantic" not in modules_after(program)


def test_the_public_names_are_sorted_and_there():
    import gateway

    assert gateway.__all__ == sorted(gateway.__all__)
    assert [name for name in gateway.__all__ if not hasattr(gateway, name)] == []

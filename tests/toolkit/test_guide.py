"""The ATP guide's examples, word for word, and the published SDK: what loads there loads here, and means the same."""

from __future__ import annotations

import importlib.metadata
import inspect
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from gateway import ToolKitClient
from gateway.toolkit.shim import SDK_VERSION, sdk_importable
from gateway.types import CredentialKind, Requirement

GUIDE = Path(__file__).parent / "guide"
NOTHING = {"type": "object", "additionalProperties": False}
COMPANY = NOTHING | {
    "properties": {"name": {}, "domain": {}, "industry": {}},
    "required": ["name", "domain", "industry"],
}


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("get_contacts.py", ("get_contacts", "my_toolkit", Requirement("hubspot"), NOTHING)),
        ("complete_example.py", ("create_company", "hubspot_toolkit", Requirement("hubspot"), COMPANY)),
        ("api_key.py", ("get_data", "api_key", Requirement("my_service", CredentialKind.API_KEY), NOTHING)),
    ],
)
def test_the_guide_s_examples_load_unchanged(loader, registry, file, expected):
    report = loader.load(str(GUIDE / file))

    assert report.errors == ()
    (tool,) = registry.tools()
    assert (tool.name, tool.toolkit, tool.requirement, tool.input_schema) == expected


async def test_the_guide_s_key_reaches_the_function(loader, run, credential):
    loader.load(str(GUIDE / "api_key.py"))

    assert await run("get_data", credential) == {"key_length": len(credential.token)}


def test_the_complete_example_is_told_that_nobody_is_there_to_connect(loader, capsys):
    loader.load(str(GUIDE / "complete_example.py"))

    said = capsys.readouterr()
    assert said.out == ""
    assert (
        "Authorize at: (no link yet: the gateway asks for the hubspot account when a tool first needs it)" in said.err
    )


WILD = """
from atp_sdk.clients import ToolKitClient

client = ToolKitClient("", "", BASE_URL, None, False, "http", 300)

@client.register_tool("a", ["x", "y"], ["x"], "A.", "hubspot", "OAuth2", "access_token")
def a(**kwargs): ...

@client.register_tool(function_name="b", params=["name"], required_params=[], description="B.",
                      auth_provider=None, auth_type=None, auth_with=None)
def b(name=None): ...

@client.register_tool(function_name="c", params=("name",), required_params=["name"], description="C.",
                      auth_provider="stripe", auth_type="api_key", auth_with="api_key")
def c(name, auth_token): ...

refused = []
for name in ("access_token", "api_key"):
    scope = {}
    exec(f"def f({name}): ...", scope)
    try:
        client.register_tool("f", [], [], "F.", None, None, None)(scope["f"])
    except Exception as error:
        refused.append(name)
FOUND = {
    name: [tool["description"], *(sorted(tool[key]) for key in ("params", "required_params")),
           tool["auth_provider"], tool["auth_type"]]
    for name, tool in client.registered_tools.items()
}
FOUND["refused"] = refused
"""
REPORT = "import json, sys\njson.dump(FOUND, sys.stderr if 'atp_toolkit' in __name__ else sys.stdout)\n"


class UpToDate(BaseHTTPRequestHandler):
    """The hosted service, as far as a registration needs it."""

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        body = b'{"up_to_date": true}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


@pytest.fixture
def service() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), UpToDate)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_what_the_published_sdk_registers_ours_registers_too(loader, write, service, capsys):
    path = write("wild.py", f"BASE_URL = {service!r}\n{WILD}\n{REPORT}")
    published = subprocess.run([sys.executable, str(path)], capture_output=True, text=True, timeout=60, check=True)

    report = loader.load(str(path))

    assert [str(error) for error in report.errors] == []
    assert json.loads(capsys.readouterr().err) == json.loads(published.stdout)


def published_source():
    files = importlib.metadata.files("AgentToolProtocol")
    return next(Path(file.locate()) for file in files if file.name == "clients.py")


@pytest.mark.parametrize("method", ["__init__", "register_tool"])
def test_the_published_parameters_are_ours_in_the_same_order(method):
    program = (
        "import inspect, json, sys; sys.path.insert(0, sys.argv[1]); from atp_sdk.clients import ToolKitClient;"
        f"print(json.dumps(list(inspect.signature(ToolKitClient.{method}).parameters)))"
    )
    found = subprocess.run(
        [sys.executable, "-c", program, str(published_source().parent.parent)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    ours = list(inspect.signature(getattr(ToolKitClient, method)).parameters)
    theirs = json.loads(found.stdout)
    assert ours[: len(theirs)] == theirs
    assert importlib.metadata.version("AgentToolProtocol") == SDK_VERSION


@pytest.fixture
def sdk_modules():
    """`sys.modules` without any `atp_sdk`, and afterwards as it was."""
    before = {name: sys.modules.pop(name) for name in list(sys.modules) if name.partition(".")[0] == "atp_sdk"}
    yield
    for name in [name for name in sys.modules if name.partition(".")[0] == "atp_sdk"]:
        del sys.modules[name]
    sys.modules.update(before)


def test_ours_stays_importable_for_functions_that_import_late(sdk_modules):
    with sdk_importable():
        pass
    import atp_sdk.clients

    assert atp_sdk.clients.ToolKitClient is ToolKitClient
    assert atp_sdk.ToolKitClient is ToolKitClient
    assert atp_sdk.__version__ == SDK_VERSION


def test_a_published_sdk_that_was_imported_before_is_put_back(sdk_modules):
    theirs = type(sys)("atp_sdk"), type(sys)("atp_sdk.clients")
    sys.modules.update({module.__name__: module for module in theirs})

    with sdk_importable():
        from atp_sdk.clients import ToolKitClient as Found

        assert Found is ToolKitClient

    assert (sys.modules["atp_sdk"], sys.modules["atp_sdk.clients"]) == theirs


def test_it_comes_back_even_when_a_toolkit_breaks(sdk_modules, loader, write):
    theirs = sys.modules["atp_sdk"] = type(sys)("atp_sdk")

    loader.load(str(write("crm.py", "from atp_sdk import clients\n1 / 0\n")))

    assert sys.modules["atp_sdk"] is theirs
    assert "atp_sdk.clients" not in sys.modules

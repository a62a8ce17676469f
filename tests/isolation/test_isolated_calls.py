"""What a tool in a worker process gets and gives, beyond what the executor's own tests ask."""

from __future__ import annotations

import asyncio
import logging
import os
import re

import pytest

from gateway.errors import CapabilityMissingError, DeclinedError, LoadError, RegistrationError, ToolError
from gateway.secret import Secret
from gateway.toolkit.content import EmbeddedResource, Image, ResourceLink, Text, ToolResult
from gateway.toolkit.context import Answer, Form, InputNeeded, NullChannel, Roots, Sample, Visit
from gateway.types import Done, Failed, NeedsInput

KIT = '''
import asyncio, gc, os, sys, threading
from gateway import Context, Credential, EmbeddedResource, Form, Image, ResourceLink, Roots, Sample, Text, ToolError
from gateway import ToolKitClient, Visit
from gateway.errors import DeclinedError

client = ToolKitClient(app_name="sales")

@client.tool(title="Look", read_only=True, timeout=9, output_schema={"type": "object"})
def look() -> dict:
    """Looks around."""
    kinds = [type(each).__qualname__ for each in gc.get_objects()]
    return {
        "pid": os.getpid(),
        "environment": dict(os.environ),
        "folder": os.getcwd(),
        "files": os.listdir(),
        "mask": os.umask(0o077),
        "descriptors": sorted(map(int, os.listdir("/proc/self/fd"))),
        "targets": [os.readlink(f"/proc/self/fd/{each}") for each in os.listdir("/proc/self/fd") if each > "2"
                    and os.path.exists(f"/proc/self/fd/{each}")],
        "status": open("/proc/self/status").read(),
        "modules": sorted(sys.modules),
        "settings": [kind for kind in kinds if kind in ("Settings", "Vault", "Keyring", "Broker")],
    }

@client.tool(auth_provider="hubspot", scopes=["crm.read"])
def whose(credential: Credential) -> dict:
    """Tells whose account it was given."""
    return {"length": len(credential.token), "hub": credential.extras["hub_id"]}

@client.tool(auth_provider="hubspot")
def looks_later(auth_token: str) -> None:
    """Has somebody look, when the call is over, for what is still in memory of its token."""
    threading.Timer(0.1, count_tokens, [len(auth_token)]).start()

def count_tokens(length):
    gc.collect()
    objects = gc.get_objects()
    kept = sum(isinstance(each, Credential) for each in objects)
    kept += sum(isinstance(each, dict) and len(str(each.get("token", ""))) == length for each in objects)
    print("tokens left over:", kept)

@client.tool
def picture() -> list:
    """Returns content of every kind."""
    page = EmbeddedResource("file:///b", data=b"\\0\\1")
    return [Text("a dot"), Image(b"\\x89PNG"), ResourceLink("file:///a", "a"), page, {"n": 1}]

class TooLate(ToolError):
    """An author's own kind."""

@client.tool
async def fails(how: str) -> None:
    """Fails."""
    raise {"own": TooLate("Too late."), "declined": DeclinedError("They said no.")}[how]

@client.tool
async def asks(ctx: Context) -> list:
    """Asks for everything at once, then says how it went."""
    await ctx.progress(1, 2, "asking")
    answers = await ctx.ask_all({
        "form": Form("Name?", {"type": "object", "properties": {"name": {"type": "string"}}}),
        "visit": Visit("Look here", "https://example.com"),
        "sample": Sample([{"role": "user", "content": {"type": "text", "text": "hi"}}], 5, "be brief"),
        "roots": Roots(),
    })
    await ctx.log({"asked": len(answers), "odd": {1, 2}}, "warning", "kit")
    return [[key, answer.action, answer.content] for key, answer in sorted(answers.items())]

@client.tool
def asks_plainly(ctx: Context) -> str:
    """Asks from a plain function, and hides behind a wide net."""
    try:
        return ctx.wait(ctx.ask(Form("Name?", {"type": "object", "properties": {}}), key="name")).action
    except Exception as error:
        return type(error).__name__

@client.tool(auth_provider="hubspot")
def talks(count: int, auth_token: str) -> None:
    """Prints."""
    os.write(1, f"from below {auth_token}\\n".encode())
    for number in range(count):
        print(f"line {number}", "x" * 1000)

@client.tool
async def echo(text: str) -> str:
    """Gives back what it was given."""
    return text

@client.tool
def many(count: int) -> list:
    """Returns so many numbers."""
    return list(range(count))
'''


@pytest.fixture(scope="module")
async def world(worlds):
    canary = Secret("CNRY-the-vaults-key-7f31")  # what a gateway has in memory
    os.environ["ATP_GATEWAY_VAULT_KEY"] = canary.reveal()
    try:
        async with worlds(HUBSPOT_REGION="eu1") as world:
            assert world.load("kit.py", KIT).errors == ()
            yield world
    finally:
        del os.environ["ATP_GATEWAY_VAULT_KEY"]


class Host(NullChannel):
    """Answers everything, and remembers what it heard."""

    capabilities = frozenset({"form", "url", "sampling", "roots"})

    def __init__(self):
        self.heard = []

    async def progress(self, done, total, message):
        self.heard.append((done, total, message))

    async def log(self, level, data, logger):
        self.heard.append((level, data, logger))

    async def ask(self, asks):
        self.heard.append(dict(asks))
        return {key: Answer("accept", {"key": key}) for key in asks}


async def test_a_tool_is_defined_as_it_would_be_inline(world):
    tool = world.registry.find("look")

    assert (tool.toolkit, tool.description, tool.timeout) == ("sales", "Looks around.", 9)
    assert (tool.annotations.title, tool.annotations.read_only) == ("Look", True)
    assert tool.output_schema == {"type": "object"}
    assert tool.origin.endswith("kit.py:9")
    assert world.registry.find("whose").requirement.scopes == {"crm.read"}


async def test_a_worker_sees_nothing_of_the_gateways(world):
    found = await world.value("look")

    assert set(found["environment"]) <= {"PATH", "HUBSPOT_REGION", "TMPDIR", "LC_CTYPE"}
    assert "CNRY" not in str(found)
    assert found["settings"] == []
    heavy = {"sqlalchemy", "sqlmodel", "starlette", "mcp", "authlib", "cryptography"}
    assert heavy.isdisjoint(found["modules"])
    rooms = {name.split(".")[1] for name in found["modules"] if name.startswith("gateway.")}
    assert rooms >= {"toolkit", "worker"}
    assert rooms.isdisjoint(
        {"settings", "app", "store", "vault", "oauth", "access", "executor", "isolation", "surfaces"}
    )


async def test_a_worker_has_a_process_of_its_own_with_nothing_open_and_nothing_in_its_folder(world):
    found = await world.value("look")

    assert found["pid"] != os.getpid()
    assert os.getsid(found["pid"]) == found["pid"]
    assert (found["files"], found["mask"]) == ([], 0o077)
    assert "atp-gateway-worker-" in found["folder"]
    assert found["folder"] == found["environment"]["TMPDIR"]
    assert "NoNewPrivs:\t1" in found["status"]
    assert not [target for target in found["targets"] if not re.match(r"socket:|anon_inode:|/proc/", target)]


async def test_the_credential_comes_with_the_call_and_is_gone_with_it(world, caplog):
    outcome = await world.call("whose")
    with caplog.at_level(logging.INFO, "toolkit"):
        await world.call("looks_later")
        await world.until(lambda: "tokens left over" in caplog.text)

    assert outcome.result.structured["hub"] == "7"
    assert outcome.result.structured["length"] == len(world.grants.answer.token)
    assert "tokens left over: 0" in caplog.text


async def test_content_of_every_kind_arrives_as_it_was_returned(world):
    outcome = await world.call("picture")

    assert outcome == Done(
        ToolResult(
            (
                Text("a dot"),
                Image(b"\x89PNG"),
                ResourceLink("file:///a", "a"),
                EmbeddedResource("file:///b", data=b"\0\1"),
                Text('{"n":1}'),
            )
        )
    )


@pytest.mark.parametrize(
    ("how", "kind", "says"), [("own", ToolError, "Too late."), ("declined", DeclinedError, "They said no.")]
)
async def test_an_error_keeps_its_kind_and_its_text(world, how, kind, says):
    outcome = await world.call("fails", how=how)

    assert (type(outcome.error), str(outcome.error)) == (kind, says)


async def test_every_question_reaches_the_host_and_every_answer_the_tool(world):
    host = Host()

    value = await world.value("asks", host)

    assert value == [[key, "accept", {"key": key}] for key in ("form", "roots", "sample", "visit")]
    progress, asks, line = host.heard
    assert progress == (1, 2, "asking")
    assert asks == {
        "form": Form("Name?", {"type": "object", "properties": {"name": {"type": "string"}}}),
        "visit": Visit("Look here", "https://example.com"),
        "sample": Sample([{"role": "user", "content": {"type": "text", "text": "hi"}}], 5, "be brief"),
        "roots": Roots(),
    }
    assert line == ("warning", {"asked": 4, "odd": [1, 2]}, "kit")


async def test_a_host_that_cannot_be_asked_is_an_error_in_the_tool(world):
    assert isinstance((await world.call("asks")).error, CapabilityMissingError)
    assert await world.value("asks_plainly") == "CapabilityMissingError"


async def test_a_question_that_ends_the_call_ends_it_in_a_plain_function_too(world):
    class Later(Host):
        async def ask(self, asks):
            raise InputNeeded(asks)

    outcome = await world.call("asks_plainly", Later())

    assert outcome == NeedsInput({"name": Form("Name?", {"type": "object", "properties": {}})})


async def test_a_result_that_is_too_large_is_refused_and_the_worker_lives(world):
    outcome = await world.call("many", count=200_000)

    assert isinstance(outcome, Failed)
    assert outcome.error.code == "invalid_result"
    assert await world.value("echo", text="ä" * 300_000) == "ä" * 300_000


async def test_calls_at_once_get_their_own_answers(world):
    async def ask(number):
        try:
            return (await world.value("echo", text=str(number))) == str(number)
        except AttributeError:  # busy
            return None

    answers = await asyncio.gather(*(ask(number) for number in range(40)))

    assert False not in answers
    assert answers.count(True) >= 8  # as many as may wait


async def test_what_a_worker_prints_is_in_the_log_redacted_and_not_without_end(world, caplog):
    with caplog.at_level(logging.INFO, "toolkit"):
        for _ in range(2):
            await world.call("talks", count=200)
        await world.until(lambda: len(caplog.records) >= 60)

    assert "from below [redacted]" in caplog.text
    assert "line 0 xxx" in caplog.text
    assert world.grants.answer.token not in caplog.text
    assert sum(len(record.message) for record in caplog.records) < 160_000


async def test_a_toolkit_that_breaks_is_reported_with_file_and_line(world):
    report = world.load("broken.py", "from gateway import ToolKitClient\n\nraise ValueError('half finished')\n")

    (error,) = report.errors
    assert isinstance(error, LoadError)
    assert re.search(r"broken\.py:3: ValueError: half finished", str(error))


async def test_a_wrong_declaration_stays_one(world):
    report = world.load(
        "wrong.py", "from gateway import ToolKitClient\n@ToolKitClient().tool(timeout=0)\ndef f(): ...\n"
    )

    assert [type(error) for error in report.errors] == [RegistrationError]


async def test_a_call_that_runs_while_its_file_is_loaded_again_comes_to_its_end(world):
    text = """
        from gateway import Context, Form, ToolKitClient
        @ToolKitClient().tool
        async def pauses(ctx: Context) -> str:
            return (await ctx.ask(Form("Go on?", {"type": "object", "properties": {}}))).action
    """
    asked, answered = asyncio.Event(), asyncio.Event()

    class Slow(Host):
        async def ask(self, asks):
            asked.set()
            await answered.wait()
            return {key: Answer("accept") for key in asks}

    assert not world.load("pauses.py", text).errors
    running = asyncio.create_task(world.value("pauses", Slow()))
    await asked.wait()
    assert not world.load("pauses.py", text).errors
    await asyncio.sleep(0)
    answered.set()

    assert await running == "accept"
    await world.until(lambda: sum(not crew.is_over for crew in world.processes._crews) == 2)


async def test_a_name_that_another_toolkit_has_is_refused(world):
    report = world.load("twice.py", "from gateway import ToolKitClient\n@ToolKitClient().tool\ndef echo(): ...\n")

    assert "echo is registered at" in str(report.errors[0])
    assert await world.value("echo", text="still there") == "still there"


async def test_a_toolkit_that_dies_while_it_is_loaded_is_reported(world):
    report = world.load("deadly.py", "import os\nos._exit(7)\n")

    assert "its worker process ended while it was loaded (exit code 7)" in str(report.errors[0])


async def test_a_file_without_tools_is_one_with_no_tools(world):
    assert "it registers no tools" in str(world.load("empty.py", "print('hello')").errors[0])


async def test_loading_a_file_again_replaces_its_tools_and_its_workers(world):
    text = (
        "import os\nfrom gateway import ToolKitClient\n@ToolKitClient().tool\ndef version(): return [{}, os.getpid()]\n"
    )
    assert not world.load("again.py", text.format(1)).errors
    number, before = await world.value("version")
    assert number == 1

    assert not world.load("again.py", text.format(2)).errors

    number, after = await world.value("version")
    assert (number, after == before) == (2, False)
    await world.until(lambda: not world.is_alive(before))

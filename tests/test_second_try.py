"""What becomes of a call whose token is refused: renewed and run again where that is safe, told precisely where not."""

from __future__ import annotations

import http.server
import json
import threading
from dataclasses import dataclass, field

import anyio
import pytest

from gateway.access.policy import OnePersonPolicy
from gateway.audit import AuditLog
from gateway.clock import MovableClock
from gateway.errors import ProviderUnavailableError, ToolCrashedError
from gateway.executor import Executor
from gateway.providers.catalogue import Catalogue
from gateway.redaction import MASK
from gateway.secret import Secret
from gateway.surfaces.atp.calls import AppCall, AppCredentials
from gateway.toolkit.content import Text
from gateway.toolkit.context import Answer, NullChannel
from gateway.toolkit.loader import Loader
from gateway.toolkit.registry import Registry
from gateway.types import Call, Client, Credential, Done, Failed, NeedsConnection, Principal

ADA = Principal("local", "ada")
OLD, NEW = "CNRY-old-token-of-ada-0001", "CNRY-new-token-of-ada-0002"
LINK = NeedsConnection("https://gw.example/connect/1", "1", "hubspot", "HubSpot", "HubSpot has ended it.")

TOOLKIT = '''
import asyncio
import requests
from gateway import Context, Credential, Form, ToolKitClient

client = ToolKitClient(app_name="crm")
account = dict(auth_provider="hubspot", auth_type="OAuth2", auth_with="access_token", scopes=["contacts.read"])
runs, tokens = [], []

def get(path, token, method="GET"):
    runs.append(path)
    return requests.request(method, "URL" + path, headers={"Authorization": f"Bearer {token}"})

@client.tool(**account)
def reads(auth_token: str):
    return get("/contacts", auth_token).json()

@client.tool(**account)
def raises(auth_token: str):
    return get("/contacts", auth_token).json()["results"]

@client.tool(**account)
def writes_first(auth_token: str):
    get("/free", auth_token, "POST")
    return get("/contacts", auth_token).json()

@client.tool(read_only=True, **account)
def searches_first(auth_token: str):
    get("/free", auth_token, "POST")
    return get("/contacts", auth_token).json()

def unseen(token):
    """As a library would look that nobody watches."""
    runs.append("unseen")
    return {"error": "invalid_token"} if token == "OLD" else {"results": [1]}

@client.tool(**account)
def unseen_and_undeclared(auth_token: str):
    return unseen(auth_token)

@client.tool(idempotent=True, **account)
def unseen_and_idempotent(auth_token: str):
    return unseen(auth_token)

@client.tool(read_only=True, **account)
def unseen_and_read_only(auth_token: str):
    return unseen(auth_token)

@client.tool(**account)
def leaks(credential: Credential):
    tokens.append(credential.token)
    get("/contacts", credential.token)
    return {"tokens": list(tokens)}

@client.tool(**account)
def leaks_in_error(credential: Credential):
    tokens.append(credential.token)
    get("/contacts", credential.token).raise_for_status()
    raise RuntimeError(f"bad: {tokens}")

@client.tool(timeout=0.5, **account)
async def never_ends(auth_token: str):
    get("/contacts", auth_token)
    await asyncio.Event().wait()

@client.tool(**account)
async def asks(auth_token: str, ctx: Context):
    answer = await ctx.ask(Form("Sure?", {"type": "object", "properties": {}}))
    return {"sure": answer.action, "got": get("/contacts", auth_token).json()}

@client.tool(**account)
def forbidden(auth_token: str, path: str):
    return get(path, auth_token).json()
'''

SCOPED = {
    "category": "MISSING_SCOPES",
    "errors": [{"context": {"requiredGranularScopes": ["contacts.write"]}}],
}


@dataclass
class Account:
    """Credentials that answer as the test wants; `asked` are the questions."""

    first: Credential = field(default_factory=lambda: credential(OLD, 1))
    then: object = field(default_factory=lambda: credential(NEW, 2))
    asked: list = field(default_factory=list)

    async def credential(self, call, requirement, refused=None):
        self.asked.append((sorted(requirement.scopes), refused and refused.version))
        return self.first if len(self.asked) == 1 else self.then

    def describe(self, provider):
        return Catalogue.load().find(provider)


def credential(token, version):
    return Credential(
        "hubspot", token, frozenset({"contacts.read"}), "ada@example.com", connection_id="c1", version=version
    )


class Api(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    accepted = NEW

    def do_GET(self):
        bearer = self.headers["Authorization"].removeprefix("Bearer ")
        if self.path == "/free":
            self.answer(201, {})
        elif self.path == "/scope":
            self.answer(403, SCOPED)
        elif self.path == "/somehow":
            self.answer(403, {"category": "MISSING_SCOPES"})
        elif bearer == self.server.accepts:
            self.answer(200, {"results": [1]})
        else:
            self.answer(401, {"category": "EXPIRED_AUTHENTICATION", "message": "It has expired."})

    def do_POST(self):
        self.do_GET()

    def answer(self, status, body):
        raw = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, *args):
        pass


@pytest.fixture
def api():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Api)
    server.accepts = NEW
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def account():
    return Account()


@pytest.fixture
def events():
    return []


@pytest.fixture
def registry(tmp_path, api):
    registry = Registry()
    path = tmp_path / "crm.py"
    path.write_text(TOOLKIT.replace("URL", f"http://127.0.0.1:{api.server_port}").replace('"OLD"', repr(OLD)))
    assert not Loader(registry).load(str(path)).errors
    return registry


@pytest.fixture
async def executor(registry, account, events):
    async def write(batch):
        events.extend(batch)

    audit = AuditLog(write, MovableClock(), interval=3600)
    yield Executor(registry, OnePersonPolicy(), account, audit)
    await audit.close()
    assert [event.action for event in events][-1] == "tool.called"


@pytest.fixture
def run(executor):
    async def run(tool, channel=None, **arguments):
        with anyio.fail_after(10):
            return await executor.call(Call(ADA, Client("test"), tool, arguments, "1", channel or NullChannel()))

    return run


@pytest.fixture
def runs(registry):
    """What the tools did, across runs."""
    return registry.find("reads").run._function.__globals__["runs"]


def said(outcome):
    assert isinstance(outcome, Done), outcome
    return "\n".join(part.text for part in outcome.result.content if isinstance(part, Text))


@pytest.mark.parametrize(("tool", "result"), [("reads", {"results": [1]}), ("raises", [1])])
async def test_a_refused_token_is_replaced_and_the_tool_run_once_more(run, account, runs, tool, result):
    assert (await run(tool)).result.structured == result
    assert account.asked == [(["contacts.read"], None), (["contacts.read"], 1)]
    assert len(runs) == 2


async def test_the_crash_of_a_run_that_is_done_again_is_nobodys_concern(run, caplog):
    assert isinstance(await run("raises"), Done)
    assert "failed" not in caplog.text


async def test_a_tool_that_had_sent_something_is_not_run_again_but_the_token_is_renewed(run, account, runs):
    outcome = await run("writes_first")

    assert outcome.result.is_error
    assert runs == ["/free", "/contacts"]
    assert [refused for _, refused in account.asked] == [None, 1]
    assert "POST 127.0.0.1/free (201)" in said(outcome)
    assert "It has expired." in said(outcome)


async def test_an_author_who_says_read_only_means_it_of_posts_too(run, runs):
    assert (await run("searches_first")).result.structured == {"results": [1]}
    assert len(runs) == 4


async def test_what_cannot_be_seen_is_not_repeated_without_the_authors_word(run, runs):
    outcome = await run("unseen_and_undeclared")

    assert runs == ["unseen"]
    assert "cannot be seen from here" in said(outcome)
    assert "The token has been renewed now" in said(outcome)


@pytest.mark.parametrize("tool", ["unseen_and_idempotent", "unseen_and_read_only"])
async def test_what_cannot_be_seen_is_repeated_where_the_author_says_that_it_does_no_harm(run, tool):
    assert (await run(tool)).result.structured == {"results": [1]}


async def test_a_renewed_token_that_is_refused_too_is_not_renewed_over_and_over(run, api, account, runs, events):
    api.accepts = "none"

    first = await run("reads")
    assert [refused for _, refused in account.asked] == [None, 1]
    account.first = account.then
    account.asked.clear()
    second = await run("reads")

    for outcome in (first, second):
        assert outcome.result.is_error
        assert "although it has just been renewed" in said(outcome)
        assert "ada@example.com" in said(outcome)
        assert "It has expired." in said(outcome)
    assert [refused for _, refused in account.asked] == [None]  # the second call did not ask for a refresh
    assert len(runs) == 3


async def test_a_refresh_that_gives_the_same_token_again_is_none(run, account, runs):
    account.then = account.first

    assert "although it has just been renewed" in said(await run("reads"))
    assert len(runs) == 1


async def test_a_provider_that_cannot_renew_leaves_the_tools_own_answer(run, account):
    account.then = ProviderUnavailableError("HubSpot does not answer. Try again in a minute.")

    outcome = await run("reads")

    assert outcome.result.is_error
    assert "Try again in a minute." in said(outcome)
    assert "It has expired." in said(outcome)


async def test_a_crash_keeps_its_reference_beside_the_sentence(run, account):
    account.then = ProviderUnavailableError("HubSpot does not answer. Try again in a minute.")

    assert "under reference" in said(await run("raises"))


async def test_an_ended_grant_ends_the_call_with_the_link(run, account):
    account.then = LINK

    assert await run("reads") is LINK


async def test_a_host_that_calls_again_by_itself_gets_no_link_after_something_was_sent(run, account):
    account.then = LINK

    outcome = await run("writes_first")

    assert "POST 127.0.0.1/free (201)" in said(outcome)
    assert LINK.url in said(outcome)


async def test_old_and_new_token_are_redacted_from_the_second_run(run):
    assert (await run("leaks")).result.structured == {"tokens": [MASK, MASK]}


async def test_old_and_new_token_are_redacted_from_the_second_runs_crash(run, caplog):
    outcome = await run("leaks_in_error")

    assert isinstance(outcome, Failed)
    assert isinstance(outcome.error, ToolCrashedError)
    assert OLD not in caplog.text
    assert NEW not in caplog.text
    assert caplog.text.count("failed, reference") == 1


async def test_a_tool_whose_time_is_up_is_not_run_again(run, account, runs):
    outcome = await run("never_ends")

    assert "its time was up" in said(outcome)
    assert "did not finish within 0.5 s" in said(outcome)
    assert runs == ["/contacts"]


async def test_nobody_is_asked_twice_by_the_two_runs(run):
    class Host(NullChannel):
        capabilities = frozenset({"form"})
        asked = 0

        async def ask(self, asks):
            self.asked += 1
            return {key: Answer("accept") for key in asks}

    host = Host()

    assert (await run("asks", channel=host)).result.structured == {"sure": "accept", "got": {"results": [1]}}
    assert host.asked == 1


async def test_a_missing_scope_is_asked_for_together_with_the_others(run, account, runs):
    account.then = LINK

    assert await run("forbidden", path="/scope") is LINK
    assert account.asked[1] == (["contacts.read", "contacts.write"], None)
    assert runs == ["/scope"]


async def test_a_scope_that_is_granted_already_is_not_asked_for_again(run, account, runs):
    account.first = Credential("hubspot", OLD, frozenset({"contacts.write"}), "ada@example.com", connection_id="c1")

    outcome = await run("forbidden", path="/scope")

    assert "but the connection has it" in said(outcome)
    assert "MISSING_SCOPES" in said(outcome)
    assert len(account.asked) == len(runs) == 1


async def test_a_permission_that_nobody_names_is_told_with_the_account_and_where_to_mend_it(run, account):
    outcome = await run("forbidden", path="/somehow")

    assert "ada@example.com" in said(outcome)
    assert "https://app.hubspot.com/" in said(outcome)
    assert len(account.asked) == 1


async def test_a_token_that_an_app_sent_is_refused_back_to_the_app(executor, registry, account, runs):
    executor = Executor(registry, OnePersonPolicy(), AppCredentials(account), executor._audit)
    call = AppCall(ADA, Client("app"), "reads", {}, "1", NullChannel(), auth_token=Secret(OLD))

    outcome = await executor.call(call)

    assert "came with the call" in said(outcome)
    assert account.asked == []
    assert len(runs) == 1


@pytest.mark.parametrize(
    ("tool", "record"),
    [
        ("reads", ("token.refused", "mended")),
        ("writes_first", ("token.refused", "not_repeated")),
        ("forbidden", ("scope.missing", "not_asked")),
    ],
)
async def test_the_person_finds_it_on_record(run, executor, events, tool, record):
    await run(tool, **({"path": "/somehow"} if tool == "forbidden" else {}))
    await executor._audit.flush()

    refused, called = events
    assert (refused.action, refused.outcome) == record
    assert (refused.tool, refused.provider, refused.account) == (tool, "hubspot", "ada@example.com")
    assert called.action == "tool.called"

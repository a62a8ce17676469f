"""Whose account it is, asked as each vendor wants to be asked: shipped files, on a socket that answers as they do."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from gateway.oauth.identity import Account, Accounts
from gateway.oauth.token_answer import TokenAnswer, read_answer
from gateway.secret import Secret
from gateway.testing.twins.description import moved, shipped
from gateway.types import TokenSet
from tests.oauth.conftest import House, http

SITE, OTHER_SITE = "11111111-2222-3333-4444-555555555555", "99999999-8888-7777-6666-555555555555"
DOCUSIGN = "https://eu.docusign.net"


class Desk:
    """A vendor's endpoints on one raw socket: each path has its reply. What arrived is kept."""

    def __init__(self, vendor: str) -> None:
        self.vendor = vendor
        self.url = ""
        self.replies: dict[str, bytes] = {}
        self.requests: list[tuple[str, dict[str, str], str]] = []
        self.talks: set[asyncio.Task[None] | None] = set()

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.talks.add(asyncio.current_task())
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            first, *lines = head.strip().split("\r\n")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
            body = await reader.readexactly(int(headers.get("content-length", 0)))
            self.requests.append((first.rpartition(" ")[0], headers, body.decode()))
            path = first.split(" ")[1].partition("?")[0]
            writer.write(self.replies.get(path, http("404 Not Found", {})))
            await writer.drain()
        except ConnectionError:
            pass  # the client has read enough
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    def granted(self, **answer: Any) -> TokenAnswer:
        """A grant, read from a token answer as the vendor's file has it."""
        provider = self.provider
        body = json.dumps({"access_token": "the-token", "token_type": "bearer", **answer}).encode()
        return read_answer(provider, 200, {}, body, self.house.clock.now())

    async def identify(self, answer: TokenAnswer | None = None) -> Account:
        accounts = Accounts(self.house.client, self.house.transport, self.house.clock)
        return await accounts.identify(self.app, answer or self.granted(), None)

    async def stand(self, house: House) -> None:
        self.house, self.app = house, await house.apps.get("acme")
        self.provider = self.app.provider


@pytest.fixture
def at(house_of: Any) -> Any:
    """A desk of a vendor, as its shipped file describes it."""

    @asynccontextmanager
    async def make(vendor: str, **changes: Any) -> AsyncIterator[Desk]:
        desk = Desk(vendor)
        server = await asyncio.start_server(desk.answer, "127.0.0.1", 0)
        desk.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with house_of({**moved(shipped(vendor), desk.url), **changes}) as house:
            await desk.stand(house)
            yield desk
        server.close()
        await asyncio.gather(*desk.talks)

    return make


def ok(body: Any) -> bytes:
    return http("200 OK", body)


async def test_linear_is_asked_in_graphql(at):
    async with at("linear") as desk:
        viewer = {"id": "u1", "email": "a@b.example", "organization": {"id": "o1", "name": "Acme", "urlKey": "acme"}}
        desk.replies["/graphql"] = ok({"data": {"viewer": viewer}})
        account = await desk.identify()
        assert (account.id, account.label) == ("o1:u1", "a@b.example (Acme)")
        [(line, headers, body)] = desk.requests
        assert (line, headers["content-type"]) == ("POST /graphql", "application/json")
        assert json.loads(body)["query"].startswith("{ viewer {")
        assert headers["authorization"] == "Bearer the-token"


async def test_mailchimp_wants_a_scheme_of_its_own_and_names_the_data_centre(at):
    async with at("mailchimp") as desk:
        about = {"user_id": 7, "login": {"email": "a@b.example"}, "accountname": "Acme", "dc": "us6"}
        desk.replies["/oauth2/metadata"] = ok(about | {"api_endpoint": "https://us6.api.mailchimp.com"})
        account = await desk.identify()
        assert (account.id, account.label) == ("7", "a@b.example (Acme)")
        assert account.extras["dc"] == "us6"
        assert desk.requests[0][1]["authorization"] == "OAuth the-token"


@pytest.mark.parametrize("dc", ["us6.evil.example/", "us6\n", "", 6, None, ["us6"]], ids=repr)
async def test_a_data_centre_that_is_none_is_not_kept(at, dc):
    async with at("mailchimp") as desk:
        desk.replies["/oauth2/metadata"] = ok({"user_id": 7, "dc": dc, "api_endpoint": "https://evil.example"})
        account = await desk.identify()
        assert (account.id, dict(account.extras)) == ("7", {})


async def test_dropbox_gets_null_for_a_body(at):
    async with at("dropbox") as desk:
        desk.replies["/2/users/get_current_account"] = ok({"account_id": "dbid:1", "email": "a@b.example"})
        assert (await desk.identify()).id == "dbid:1"
        line, headers, body = desk.requests[0]
        assert (line, headers["content-type"], body) == (
            "POST /2/users/get_current_account", "application/json", "null",
        )  # fmt: skip


async def test_twitch_gets_our_client_id_and_answers_with_a_list(at):
    async with at("twitch") as desk:
        desk.replies["/helix/users"] = ok({"data": [{"id": "42", "login": "alice"}, {"id": "43", "login": "bob"}]})
        account = await desk.identify()
        assert (account.id, account.label) == ("42", "alice")
        assert desk.requests[0][1]["client-id"] == "our id"
        desk.replies["/helix/users"] = ok({"data": []})
        assert (await desk.identify()).id == "unnamed"


async def test_notions_answer_names_its_owner_and_nobody_is_asked(at):
    async with at("notion") as desk:
        owner = {"user": {"id": "u1", "name": "Alice", "person": {"email": "a@b.example"}}}
        answer = desk.granted(workspace_id="w1", workspace_name="Acme", owner=owner)
        account = await desk.identify(answer)
        assert (account.id, account.label, desk.requests) == ("w1:u1", "a@b.example (Acme)", [])


async def test_slacks_token_stands_inside_and_its_label_names_the_workspace(at):
    async with at("slack") as desk:
        inner = {"id": "U1", "access_token": "persons-token", "token_type": "user", "scope": "users:read"}
        answer = desk.granted(ok=True, access_token="bots-token", token_type="bot", authed_user=inner)
        told = {"ok": True, "user": "alice", "user_id": "U1", "team": "Acme", "team_id": "T1"}
        desk.replies["/api/auth.test"] = ok(told)
        account = await desk.identify(answer)
        assert (account.id, account.label) == ("T1:U1", "alice (Acme)")
        line, headers, _ = desk.requests[0]
        assert (line, headers["authorization"]) == ("POST /api/auth.test", "Bearer persons-token")
        desk.replies["/api/auth.test"] = ok({"ok": False, "error": "invalid_auth"})
        assert (await desk.identify(answer)).id == "unnamed"


LOOKUPS = {
    "atlassian": ("/me", {"account_id": "a1", "email": "a@b.example"}, "/oauth/token/accessible-resources"),
    "xero": ("/connect/userinfo", {"sub": "a1", "email": "a@b.example"}, "/connections"),
}
SITES = {
    "atlassian": ({"id": SITE, "name": "Acme"}, {"id": OTHER_SITE, "name": "Other"}, {"cloud_id": SITE}),
    "xero": ({"tenantId": SITE, "tenantName": "Acme"}, {"tenantId": OTHER_SITE}, {"tenant_id": SITE}),
}


@pytest.mark.parametrize("vendor", LOOKUPS)
@pytest.mark.parametrize("hits", [1, 2])
async def test_the_first_of_the_places_that_the_vendor_lists_is_taken(at, vendor, hits):
    where, about, listed = LOOKUPS[vendor]
    *sites, extras = SITES[vendor]
    async with at(vendor) as desk:
        desk.replies |= {where: ok(about), listed: ok(sites[:hits])}
        account = await desk.identify()
        assert (account.id, account.label, account.extras) == ("a1", "a@b.example (Acme)", extras)
        assert desk.requests[-1][1]["authorization"] == "Bearer the-token"


EVIL_PLACES = {
    "none": ok([]),
    "no list": ok({"id": SITE, "tenantId": SITE}),
    "list of nothing": ok([None, 7, "x"]),
    "another shape": ok([{"id": "../../evil", "tenantId": "evil\r\nX: y", "name": "Evil", "tenantName": "Evil"}]),
    "HTML": http("200 OK", "<html>Sign in</html>", "Content-Type: text/html"),
    "an error": http("500 Internal Server Error", {"error": "x"}),
    "a redirect": http("302 Found", "", "Location: https://evil.example/"),
    "300 KB": ok([{"id": SITE, "tenantId": SITE, "padding": "x" * 300_000}]),
}


@pytest.mark.parametrize("vendor", LOOKUPS)
@pytest.mark.parametrize("reply", EVIL_PLACES.values(), ids=EVIL_PLACES)
async def test_a_place_that_is_not_learned_costs_the_place_and_not_the_account(at, vendor, reply):
    where, about, listed = LOOKUPS[vendor]
    async with at(vendor) as desk:
        desk.replies |= {where: ok(about), listed: reply}
        account = await desk.identify()
        assert (account.id, account.label, dict(account.extras)) == ("a1", "a@b.example", {})


def docusign(*accounts: dict[str, Any]) -> bytes:
    return ok({"sub": "a1", "email": "a@b.example", "accounts": accounts})


def site(number: int, *, chosen: bool = False, uri: str = DOCUSIGN) -> dict[str, Any]:
    return {"account_id": f"{number}", "account_name": f"Co {number}", "is_default": chosen, "base_uri": uri}


@pytest.mark.parametrize(
    ("accounts", "expected"),
    [
        ([], ("a@b.example", {})),
        ([site(1)], ("a@b.example (Co 1)", {"account_id": "1", "base_uri": DOCUSIGN})),
        ([site(1), site(2, chosen=True)], ("a@b.example (Co 2)", {"account_id": "2", "base_uri": DOCUSIGN})),
        ([site(1, uri="https://docusign.net.evil.example")], ("a@b.example (Co 1)", {"account_id": "1"})),
    ],
    ids=["none", "one", "the default of two", "another host"],
)
async def test_docusigns_default_account_says_where_its_api_is(at, accounts, expected):
    lookup = shipped("docusign")["lookup"]["extras"]
    async with at("docusign") as desk:
        lookup = replace(desk.provider.lookup, extras=_unmoved(desk.provider.lookup.extras, lookup))
        desk.app = replace(desk.app, provider=replace(desk.provider, lookup=lookup))
        desk.replies["/oauth/userinfo"] = docusign(*accounts)
        account = await desk.identify()
        assert (account.label, dict(account.extras)) == expected


def _unmoved(extras: Any, table: dict[str, Any]) -> dict[str, Any]:
    """Patterns as they are shipped: nothing is sent there in this test."""
    return {name: replace(extra, pattern=table[name]["pattern"]) for name, extra in extras.items()}


STRANGE = {
    "HTML": http("200 OK", "<html>Sign in</html>", "Content-Type: text/html"),
    "an error": http("500 Internal Server Error", {"data": {"viewer": {"id": "x"}}, "account_id": "x", "sub": "x"}),
    "a number": ok(7),
    "a list": ok([{"id": "x"}]),
    "a key twice": ok('{"account_id": "x", "account_id": "y", "sub": "x", "sub": "y"}'),
    "objects for texts": ok({"account_id": {"a": 1}, "sub": [1], "user_id": True, "data": "x"}),
    "a tower": ok("[" * 100_000),
    "300 KB": ok({"account_id": "x", "sub": "x", "user_id": 1, "padding": "x" * 300_000}),
    "nothing": b"",
}
ASKED = {
    "linear": "/graphql", "mailchimp": "/oauth2/metadata", "dropbox": "/2/users/get_current_account",
    "twitch": "/helix/users", "slack": "/api/auth.test", "atlassian": "/me", "xero": "/connect/userinfo",
}  # fmt: skip


@pytest.mark.parametrize("reply", STRANGE.values(), ids=STRANGE)
@pytest.mark.parametrize("vendor", ASKED)
async def test_a_strange_answer_names_nobody_and_loses_nothing(at, vendor, reply):
    async with at(vendor) as desk:
        desk.replies[ASKED[vendor]] = reply
        account = await desk.identify()
        assert (account.id, account.label, dict(account.extras)) == ("unnamed", None, {})


async def test_a_token_with_a_brace_in_it_is_sent_all_the_same(at):
    async with at("dropbox") as desk:
        desk.replies["/2/users/get_current_account"] = ok({"account_id": "dbid:1"})
        await desk.identify(desk.granted(access_token="the{client_id}token"))
        assert desk.requests[0][1]["authorization"] == "Bearer the{client_id}token"


TOKENS = TokenSet(Secret("old-access"), Secret("old-refresh"))


def salesforce(desk: Desk, **answer: Any) -> None:
    told = {"access_token": "new-access", "instance_url": desk.url, **answer}
    desk.replies["/services/oauth2/token"] = ok({key: value for key, value in told.items() if value is not None})


async def life_at(desk: Desk) -> timedelta:
    answer = await desk.house.client.refresh(desk.app, TOKENS)
    return answer.expires_at - desk.house.clock.now()


async def test_salesforces_own_host_says_when_a_token_ends(at, clock):
    async with at("salesforce") as desk:
        salesforce(desk)
        ends = int((clock.now() + timedelta(hours=2)).timestamp())
        desk.replies["/services/oauth2/introspect"] = ok({"active": True, "exp": ends})
        assert timedelta(hours=1, minutes=59) < await life_at(desk) <= timedelta(hours=2)
        line, _, body = desk.requests[-1]
        assert line == "POST /services/oauth2/introspect"
        assert "token=new-access" in body


UNHELPFUL = {
    "inactive": ok({"active": False, "exp": 4_000_000_000}),
    "no end": ok({"active": True}),
    "an end that is none": ok({"active": True, "exp": {"at": "noon"}}),
    **{name: reply for name, reply in STRANGE.items() if name not in {"300 KB", "an error"}},
    "an error": http("500 Internal Server Error", {"active": True, "exp": 4_000_000_000}),
    "300 KB": ok({"active": True, "exp": 4_000_000_000, "padding": "x" * 300_000}),
}


@pytest.mark.parametrize("reply", UNHELPFUL.values(), ids=UNHELPFUL)
async def test_where_salesforce_does_not_say_the_default_life_holds(at, reply):
    async with at("salesforce") as desk:
        salesforce(desk)
        desk.replies["/services/oauth2/introspect"] = reply
        assert await life_at(desk) == timedelta(minutes=15)


@pytest.mark.parametrize("fits", [True, False])
async def test_an_instance_that_does_not_fit_is_never_asked_and_gets_no_token(at, fits):
    """The same hostile host, once let through by its pattern, to show that it would have been asked."""
    async with at("salesforce") as evil:
        pattern = re.escape(evil.url) if fits else shipped("salesforce")["extras"]["instance_url"]
        async with at("salesforce", extras={"instance_url": pattern}) as desk:
            salesforce(desk, instance_url=evil.url)
            assert await life_at(desk) == timedelta(minutes=15)
            assert len(evil.requests) == fits
            assert len(desk.requests) == 1


async def test_an_instance_that_nobody_listens_at_costs_the_end_and_not_the_token(at, unused_tcp_url):
    async with at("salesforce", extras={"instance_url": re.escape(unused_tcp_url)}) as desk:
        salesforce(desk, instance_url=unused_tcp_url)
        assert await life_at(desk) == timedelta(minutes=15)


@pytest.fixture
async def unused_tcp_url() -> str:
    server = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    return f"http://127.0.0.1:{port}"


async def test_a_token_in_an_address_reaches_no_log_whatever_the_application_listens_to(at, caplog):
    """Instagram swaps by GET. httpx2 writes each address into its log, at INFO."""
    for name in ("", "httpx2", "httpcore2", "httpcore2.http11", "authlib", "gateway"):
        caplog.set_level(logging.DEBUG, name)
    async with at("instagram") as desk:
        swap = desk.provider.long_lived.url.removeprefix(desk.url)
        desk.replies[desk.provider.token_url.removeprefix(desk.url)] = ok({"access_token": "short-lived-canary"})
        desk.replies[swap] = ok({"access_token": "long-lived-canary", "expires_in": 5_184_000})
        app = desk.app
        answer = await desk.house.client.exchange(
            app, code=Secret("c"), verifier=Secret("v" * 64), redirect_uri="http://127.0.0.1:9/x"
        )
        assert answer.access_token.reveal() == "long-lived-canary"
        assert "short-lived-canary" in desk.requests[1][0], "it did travel in the address"
    written = " ".join(f"{record.getMessage()} {record.args}" for record in caplog.records)
    assert f"HTTP Request: GET {desk.url}{swap} " in written, "the application does see that there was a request"
    assert "canary" not in written
    assert "our secret" not in written
    assert "our%20secret" not in written
    assert "our+secret" not in written

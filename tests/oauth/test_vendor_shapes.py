"""The four vendors' own ways, played by the authorization server with the shipped descriptions pointed at it."""

from __future__ import annotations

import tomllib
from datetime import timedelta
from typing import Any

import pytest

from gateway.providers.catalogue import SHIPPED
from gateway.types import Credential
from tests.oauth.conftest import ALICE


def table_of(name: str, issuer: str, **changes: Any) -> dict[str, Any]:
    """A shipped description with this server's addresses."""
    shipped = tomllib.loads((SHIPPED / f"{name}.toml").read_text())
    addresses = {
        "authorization_url": f"{issuer}/authorize", "token_url": f"{issuer}/token",
        "userinfo_url": f"{issuer}/userinfo",
        "jwks_url": f"{issuer}/jwks", "introspection": {"url": f"{issuer}/introspect"},
    }  # fmt: skip
    if "revocation" in shipped:
        addresses["revocation"] = {**shipped["revocation"], "url": f"{issuer}/revoke"}
    return {**shipped, **addresses, **changes}


async def test_salesforce_names_no_end_and_a_host_of_its_own(house_of, server, issuer, clock):
    server.behaviour.names_lifetime = False
    server.behaviour.token_extras = {
        "instance_url": "https://acme.my.salesforce.com", "id": "https://login.salesforce.com/id/1/2",
        "organization_id": "org", "issued_at": "1700000000000",
    }  # fmt: skip
    identity = {"source": "token", "account_id": ["organization_id"], "label": []}
    async with house_of(table_of("salesforce", issuer, identity=identity)) as house:
        await house.connect()
        credential = await house.credential("api")
        assert credential.extras == {"instance_url": "https://acme.my.salesforce.com"}
        assert credential.expires_at == clock.now() + timedelta(minutes=15)
        [connection] = await house.connections.list(ALICE)
        assert connection.account_id == "org"
        server.behaviour.token_extras = {"instance_url": "https://moved.my.salesforce.com"}
        clock.advance(timedelta(minutes=16))
        assert (await house.credential("api")).extras == {"instance_url": "https://moved.my.salesforce.com"}


@pytest.mark.parametrize(
    "host",
    [
        "https://evil.example.com", "http://acme.my.salesforce.com", "https://acme.my.salesforce.com.evil.example",
        "https://evil.example/.salesforce.com", "https://acme.my.salesforce.com\n", 7, None, {"a": 1},
    ],
    ids=str,
)  # fmt: skip
async def test_a_host_that_is_not_salesforces_never_reaches_a_tool(house_of, server, issuer, host):
    server.behaviour.token_extras = {"instance_url": host}
    async with house_of(table_of("salesforce", issuer)) as house:
        await house.connect()
        assert (await house.credential("api")).extras == {}


async def test_hubspots_scopes_are_an_array_and_its_account_is_introspected(house_of, server, issuer):
    server.behaviour.token_extras = {
        "scopes": ["oauth", "crm.objects.contacts.read"], "hub_id": 1234, "user_id": 9, "scope": None,
    }  # fmt: skip
    identity = {"source": "introspection", "account_id": ["sub"], "label": ["username"]}
    async with house_of(table_of("hubspot", issuer, identity=identity)) as house:
        await house.connect("crm.objects.contacts.read")
        credential = await house.credential("crm.objects.contacts.read")
        assert (credential.account, credential.extras) == ("alice", {"hub_id": "1234"})
        assert server.count("introspect") == 1


async def test_google_grants_under_other_names_and_lets_people_untick(house_of, server, issuer):
    aliases = "https://www.googleapis.com/auth/userinfo."
    server.behaviour.token_extras = {"scope": f"openid {aliases}email {aliases}profile"}
    async with house_of(table_of("google", issuer) | {"issuer": issuer}) as house:
        await house.connect("https://www.googleapis.com/auth/drive.file")
        credential = await house.credential("email", "profile")
        assert isinstance(credential, Credential)
        assert credential.account == "alice@example.com"
        unticked = await house.credential("https://www.googleapis.com/auth/drive.file")
        assert "has not granted https://www.googleapis.com/auth/drive.file" in unticked.message


async def test_microsoft_does_not_name_offline_access_yet_it_counts_as_granted(house_of, server, issuer, clock):
    server.behaviour.rotates = True
    server.behaviour.token_extras = {"scope": "User.Read https://graph.microsoft.com/Mail.Read"}
    identity = {"source": "userinfo", "account_id": ["sub"], "label": ["preferred_username"]}
    table = table_of("microsoft", issuer, identity=identity, refresh={"send_scope": False}) | {"issuer": issuer}
    async with house_of(table) as house:
        await house.connect("mail.read")
        assert isinstance(await house.credential("offline_access", "mail.read"), Credential)
        clock.advance(timedelta(hours=2))
        assert isinstance(await house.credential("offline_access", "mail.read"), Credential)
        assert server.count("refresh") == 1

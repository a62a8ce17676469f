"""What a person types in: keys, passwords, parts of addresses. What will not do leaves the flow open and says why."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest

from gateway.errors import FieldError
from gateway.oauth.typed import read_typed, read_variables
from gateway.providers.provider import Variable
from gateway.redaction import Redactor
from gateway.secret import Secret
from gateway.types import CredentialKind, FlowStatus, NeedsConnection, Requirement
from tests.oauth.conftest import ALICE, call_of

BASIC = Requirement("my_service", CredentialKind.BASIC)
SHOP = {"shop": Variable(r"[a-z0-9-]{1,63}", prompt="the part before .shop.example")}
TABLE = {
    "name": "Shop",
    "authorization_url": "https://{shop}.shop.example/authorize",
    "token_url": "https://{shop}.shop.example/token",
    "variables": {"shop": {"pattern": "[a-z0-9-]{1,63}", "prompt": "the part before .shop.example"}},
}


async def test_a_user_name_and_password_become_one_token_and_stay_readable_apart(house):
    asked = await house.broker.credential(call_of(), BASIC)
    assert isinstance(asked, NeedsConnection)
    assert "user name and password" in asked.message
    flow = await house.flows.submit_key(asked.flow_id, ALICE, Secret("cor:rect horse"), username=" anna@example.com ")
    assert flow.status is FlowStatus.CONNECTED

    credential = await house.broker.credential(call_of(), BASIC)
    assert credential.token == "anna@example.com:cor:rect horse"
    assert tuple(credential.token.split(":", 1)) == ("anna@example.com", "cor:rect horse")
    assert (credential.extras["username"], credential.extras["password"]) == ("anna@example.com", "cor:rect horse")
    assert credential.account == "anna@example.com"
    assert "rect horse" not in Redactor.of_credential(credential).redact("it says cor:rect horse")


async def test_the_same_user_name_again_replaces_and_another_one_is_kept_beside_it(house):
    for name, password in (("anna", "first one"), ("work", "second one"), ("anna", "third one")):
        flow = await house.flows.begin(ALICE, "host", BASIC, None)
        await house.flows.submit_key(flow.id, ALICE, Secret(password), username=name)
    rows = {row.account_label: row for row in await house.store.connections.list_all(ALICE)}
    assert {name: (row.version, row.is_default) for name, row in rows.items()} == {
        "anna": (2, True),
        "work": (1, False),
    }
    assert (await house.broker.credential(call_of(), BASIC)).token == "anna:third one"
    assert (await house.broker.credential(call_of(account="work"), BASIC)).token == "work:second one"


@pytest.mark.parametrize(
    ("kind", "secret", "username", "field"),
    [
        (CredentialKind.API_KEY, "", None, "api_key"),
        (CredentialKind.API_KEY, "two words", None, "api_key"),
        (CredentialKind.BASIC, "secret", None, "username"),
        (CredentialKind.BASIC, "secret", "  ", "username"),
        (CredentialKind.BASIC, "secret", "an:na", "username"),
        (CredentialKind.BASIC, "secret", "an\nna", "username"),
        (CredentialKind.BASIC, "", "anna", "password"),
        (CredentialKind.BASIC, "two\nlines", "anna", "password"),
        (CredentialKind.BASIC, "x" * 5000, "anna", "password"),
    ],
)
def test_what_cannot_be_a_credential_names_its_field_and_repeats_nothing(
    kind: CredentialKind, secret: str, username: str | None, field: str
) -> None:
    with pytest.raises(FieldError) as refused:
        read_typed(kind, Secret(secret), username)

    assert refused.value.field == field
    assert not secret or secret not in refused.value.message


@pytest.mark.parametrize("value", ["", " ", "Acme", "acme.evil.example/", "acme#", "a/b", "acme\n", "ácme", "x" * 64])
def test_a_part_of_an_address_that_does_not_fit_is_refused_with_what_is_expected(value: str) -> None:
    with pytest.raises(FieldError, match=r"Expected: the part before \.shop\.example") as refused:
        read_variables(SHOP, {"shop": value.removesuffix("\n") + "\x00" if value.endswith("\n") else value})

    assert refused.value.field == "shop"


def test_a_part_of_an_address_is_trimmed_and_nothing_else_is_heard() -> None:
    assert read_variables(SHOP, {"shop": " acme ", "token_url": "https://evil.example"}) == {"shop": "acme"}


async def test_a_subdomain_is_asked_for_kept_with_the_connection_and_not_asked_for_again(house_of):
    async with house_of(TABLE) as house:
        flow = await house.begin()
        [field] = (await house.flows.describe(flow.id, ALICE)).fields
        assert (field.name, field.prompt, field.value) == ("shop", "the part before .shop.example", "")
        with pytest.raises(FieldError):
            await house.flows.start(flow.id, ALICE, {"shop": "evil.example/"})
        started = await house.flows.start(flow.id, ALICE, {"shop": "acme"})
        assert urlsplit(started.authorization_url).hostname == "acme.shop.example"
        assert (await house.store.flows.find(flow.id)).variables == {"shop": "acme"}
        assert (await house.flows.describe(flow.id, ALICE)).fields[0].value == "acme"


async def test_a_connections_own_subdomain_is_used_when_it_is_connected_again(house_of):
    async with house_of(TABLE) as house:
        kept = await house.hold("read", variables={"shop": "acme"})
        flow = await house.flows.begin(ALICE, "host", Requirement("acme"), None, reconnects=kept)
        assert (await house.flows.describe(flow.id, ALICE)).fields == []
        started = await house.flows.start(flow.id, ALICE, {"shop": "other"})
        assert urlsplit(started.authorization_url).hostname == "acme.shop.example"


async def test_a_field_may_be_filled_in_before(house_of):
    async with house_of(TABLE) as house:
        flow = await house.flows.begin(ALICE, "host", Requirement("acme"), None, variables={"shop": "acme"})
        assert (await house.flows.describe(flow.id, ALICE)).fields[0].value == "acme"
        other = await house.flows.begin(ALICE, "host", Requirement("acme"), None, variables={"shop": "other"})
        assert other.id != flow.id

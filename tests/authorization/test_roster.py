"""Programs that the operator adds and ends: what they can do, and what is left of one that was ended."""

from __future__ import annotations

from base64 import b64encode
from datetime import timedelta

import pytest

from gateway.authorization.roster import Listed, Roster
from gateway.authorization.server import configured_client
from gateway.authorization_types import ClientSource
from gateway.errors import AuthorizationError, ClientChangeError
from gateway.secret import Secret
from gateway.store.store import Store
from gateway.types import Principal
from tests.authorization.house import ALICE, CALLBACK, House, error_of, parameters

ADMIN = Principal("local", "ada")


def basic(client_id: str, secret: str) -> str:
    return "Basic " + b64encode(f"{client_id}:{secret}".encode()).decode()


def roster(house: House) -> Roster:
    settings = configured_client("fixed", "Fixed", [CALLBACK], Secret("0123456789abcdef" * 2))
    return Roster([settings], house.store.roster, house.audit, house.clock)


async def listed(house: House) -> dict[str, Listed]:
    return {each.client.id: each for each in await roster(house).list_all()}


async def test_a_program_that_was_added_is_let_in_by_its_secret_and_nothing_else(house: House) -> None:
    client, secret = await roster(house).add("reports", "Reports", [CALLBACK], with_secret=True, by=ADMIN)
    assert secret is not None

    proved = await house.server.proof.client(basic("reports", secret.reveal()), parameters())
    tokens = await house.tokens(proved)

    assert await house.elsewhere.tokens.find(tokens["access_token"])
    for wrong in ("", "atpg_client_wrong", secret.reveal()[:-1]):
        with pytest.raises(AuthorizationError):
            await house.server.proof.client(basic("reports", wrong), parameters())
    assert client.secret_digest not in (None, secret.reveal().encode())


async def test_a_program_without_redirect_uris_gets_tokens_in_its_own_name(house: House) -> None:
    client, secret = await roster(house).add("nightly", "", [], with_secret=True, by=ADMIN)

    answer = await house.server.grants.issue_to_client(client, parameters())

    assert secret is not None
    assert (await house.server.tokens.find(answer.access_token.reveal())) is not None


@pytest.mark.parametrize(
    ("client_id", "uris", "with_secret", "said"),
    [
        ("has space", [CALLBACK], False, "no id for a program"),
        ("https://app.example/x", [CALLBACK], False, "no id for a program"),
        ("a:b", [CALLBACK], True, "no id for a program"),
        ("web", ["http://app.example/x"], False, "cannot be a redirect URI"),
        ("web", ["javascript:alert(1)"], False, "cannot be a redirect URI"),
        ("web", [], False, "Name its --redirect-uri"),
        ("fixed", [CALLBACK], False, "already"),
    ],
)
async def test_what_cannot_be_a_program_is_told_why(
    light: House, client_id: str, uris: list[str], with_secret: bool, said: str
) -> None:
    with pytest.raises(ClientChangeError, match=said):
        await roster(light).add(client_id, "", uris, with_secret=with_secret, by=ADMIN)


async def test_of_two_programs_of_one_name_the_first_stays(house: House) -> None:
    await roster(house).add("web", "First", [CALLBACK], with_secret=False, by=ADMIN)
    with pytest.raises(ClientChangeError, match="already"):
        await roster(house).add("web", "Second", ["https://evil.example/"], with_secret=False, by=ADMIN)

    assert (await listed(house))["web"].client.name == "First"


async def test_all_programs_are_listed_with_what_came_of_them(house: House) -> None:
    await roster(house).add("web", "Web", [CALLBACK], with_secret=False, by=ADMIN)
    itself = await house.client(client_name="Itself")
    await house.register(client_name="Unused")
    house.clock.advance(timedelta(minutes=1))
    await house.tokens(itself)
    await house.tokens(itself)
    when = house.clock.now()

    found = await listed(house)

    assert sorted(each.client.source for each in found.values()) == [
        ClientSource.OPERATOR,
        ClientSource.REGISTRATION,
        ClientSource.REGISTRATION,
        ClientSource.SETTINGS,
    ]
    assert (found[itself.id].grants, found[itself.id].used_at) == (2, when)
    assert (found["web"].grants, found["web"].used_at) == (0, None)


async def test_a_program_that_is_ended_takes_everything_with_it(house: House, store: Store) -> None:
    """Its tokens, its codes, and every yes that was remembered; nobody else's."""
    client, other = await house.client(), await house.client(client_name="Other")
    tokens, theirs = await house.tokens(client), await house.tokens(other)
    code, verifier = await house.code(client.id)

    ended = await roster(house).end(client.id, by=ADMIN)
    house.timer.seconds += 3

    assert ended.grants == 1
    assert await house.server.tokens.find(tokens["access_token"]) is None
    assert await house.server.tokens.find(theirs["access_token"]) is not None
    assert await house.server.clients.find(client.id) is None
    assert await error_of(house.exchange(client, code, verifier)) == "invalid_grant"
    refreshed = house.server.grants.refresh(client, parameters(refresh_token=tokens["refresh_token"]))
    assert await error_of(refreshed) == "invalid_grant"
    assert await house.server.grants.list_live(ALICE) == [
        grant for grant in await house.server.grants.list_live(ALICE) if grant.client_id == other.id
    ]
    with pytest.raises(ClientChangeError, match="There is no program"):
        await roster(house).end("client_nobody", by=ADMIN)


async def test_what_the_operator_does_is_on_record(house: House) -> None:
    """In the transaction that does it; the grants that end with a program, each in its person's name."""
    await roster(house).add("web", "Web", [CALLBACK], with_secret=False, by=ADMIN)
    client = await house.server.clients.find("web")
    assert client is not None
    await house.tokens(client)
    await roster(house).end("web", by=ADMIN)

    stored = [entry.event for entry in await house.store.trail.page("default", 0, 100)]
    told = [(event.action, event.principal.subject, event.outcome) for event in stored]
    assert [by for by in told if by[0] != "signing_key.made"] == [
        ("client.added", "ada", "done"),
        ("grant.issued", "alice", "done"),
        ("client.revoked", "ada", "done"),
        ("grant.revoked", "alice", "by the operator"),
    ]


async def test_a_program_that_was_added_waits_for_its_first_person_as_long_as_it_takes(house: House) -> None:
    """One that registered itself, and that nobody lets in, is deleted after a day."""
    await roster(house).add("web", "Web", [CALLBACK], with_secret=False, by=ADMIN)
    itself = await house.register()
    house.clock.advance(timedelta(days=30))
    await house.server.prune()

    assert {"fixed", "web"} == (await listed(house)).keys()
    assert itself["client_id"] not in await listed(house)

"""Who an app's users are to the gateway."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.surfaces.atp.users import OnlyMe, OwnUsers
from gateway.types import Principal


async def _nobody(issuer: str) -> Sequence[Principal]:
    return []


def test_the_same_id_under_two_apps_is_two_people() -> None:
    users = OwnUsers(_nobody)

    assert not users.user("shop", "ada").same_person(users.user("other", "ada"))


def test_an_app_is_nobodys_user() -> None:
    users = OwnUsers(_nobody)

    assert not users.app("shop").same_person(users.user("shop", "shop"))
    assert not users.user("shop", "x").same_person(users.app("app:shop"))


async def test_on_a_persons_own_machine_every_id_is_that_person() -> None:
    me = Principal("local", "ada")
    users = OnlyMe(me)

    assert users.user("shop", "bob@example.com") == users.app("shop") == me
    assert await users.list_connected("shop") == [me]

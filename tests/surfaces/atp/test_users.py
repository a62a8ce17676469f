"""Who an app's users are to the gateway."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.surfaces.atp.app import App
from gateway.surfaces.atp.keys import ExactUrls
from gateway.surfaces.atp.users import AppUsers
from gateway.types import Principal


async def nobody(tenant: str, issuer: str) -> Sequence[Principal]:
    return []


def app(name: str, tenant: str = "default", person: Principal | None = None) -> App:
    return App(name, ExactUrls(()), frozenset(), tenant=tenant, person=person)


USERS = AppUsers(nobody)


def test_the_same_id_under_two_apps_or_two_tenants_is_two_people() -> None:
    ada = USERS.user(app("shop"), "ada")

    assert ada == Principal("app:shop", "ada")
    assert not ada.same_person(USERS.user(app("other"), "ada"))
    assert not ada.same_person(USERS.user(app("shop", "acme"), "ada"))


def test_an_app_is_nobodys_user_and_says_whose_its_users_are() -> None:
    assert not USERS.app(app("shop")).same_person(USERS.user(app("shop"), "shop"))
    assert not USERS.user(app("shop"), "x").same_person(USERS.app(app("app:shop")))
    assert (USERS.user(app("a:b"), "x").app, USERS.app(app("shop")).app) == ("a:b", None)


async def test_on_a_persons_own_machine_every_id_is_that_person() -> None:
    me = Principal("local", "ada")
    local = app("app", person=me)

    assert USERS.user(local, "bob@example.com") == USERS.app(local) == me
    assert await USERS.list_connected(local) == [me]
    assert me.app is None

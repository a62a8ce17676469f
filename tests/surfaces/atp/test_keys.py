"""Which app a key belongs to."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from gateway.errors import KeyRefusedError, WrongKeyKindError
from gateway.key_types import ApiKey, KeyKind
from gateway.secret import Secret
from gateway.surfaces.atp.app import App
from gateway.surfaces.atp.keys import ExactUrls, SettingsAppKey, StoredAppKeys
from gateway.surfaces.atp.requests import RefusalError
from gateway.types import Principal

URL = "https://notes.example/back"
NOTES = ApiKey(
    id="k1",
    kind=KeyKind.APP,
    name="Notes",
    tenant="acme",
    prefix="atpg_app_q3XnB0",
    created_at=datetime(2030, 1, 1, tzinfo=UTC),
    may=frozenset({"call"}),
    toolkits=frozenset({"crm"}),
    return_urls=(URL,),
)
LOCAL = App("app", ExactUrls(()), frozenset({"call", "connect"}), person=Principal("local", "ada"))


async def find(text: str, kind: KeyKind) -> ApiKey | KeyRefusedError:
    assert kind is KeyKind.APP
    if text == "wrong kind":
        return WrongKeyKindError("That is a toolkit's.")
    return NOTES if text == "notes-key" else KeyRefusedError("Nobody's.")


KEYS = SettingsAppKey(Secret("first-key"), LOCAL, StoredAppKeys(find))


async def test_the_key_of_the_settings_is_the_local_persons_app() -> None:
    assert await KEYS.app("first-key") is LOCAL


async def test_a_stored_key_says_who_its_app_is_and_what_it_may() -> None:
    app = await KEYS.app("notes-key")

    assert (app.name, app.tenant, app.may, app.person) == ("Notes", "acme", {"call"}, None)
    assert [app.sees(toolkit) for toolkit in ("crm", "mail")] == [True, False]
    assert app.return_urls.find(URL) == URL


@pytest.mark.parametrize(
    "url",
    [f"{URL}/", f"{URL}?x=1", f"{URL}#", URL.upper(), f" {URL}", "https://notes.example:443/back", f"{URL}%2f", ""],
)
async def test_a_return_url_of_a_stored_key_is_compared_to_the_letter(url: str) -> None:
    assert (await KEYS.app("notes-key")).return_urls.find(url) is None


@pytest.mark.parametrize("key", ["", "first", "first-key ", "FIRST-KEY", "ключ", "\udcff"])
async def test_any_other_key_is_refused_as_the_store_says(key: str) -> None:
    with pytest.raises(RefusalError, match="Nobody's") as refused:
        await KEYS.app(key)

    assert (refused.value.status, refused.value.code) == (401, "unknown_key")


async def test_a_key_for_something_else_is_forbidden() -> None:
    with pytest.raises(RefusalError, match="a toolkit's") as refused:
        await KEYS.app("wrong kind")

    assert (refused.value.status, refused.value.code) == (403, "wrong_kind_of_key")


async def test_an_empty_key_in_the_settings_opens_nothing() -> None:
    with pytest.raises(RefusalError):
        await SettingsAppKey(Secret(""), LOCAL, StoredAppKeys(find)).app("")


def test_keys_do_not_show() -> None:
    assert "first-key" not in repr(vars(KEYS))

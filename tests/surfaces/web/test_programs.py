"""Programs that a person let in, over HTTP."""

from __future__ import annotations

import re

import pytest

from tests.surfaces.web.test_connections import words

# The fixtures `site`, `alice` and `bob` are in conftest.py.


async def press_end(browser, grant_id: str, token: str | None = None):
    if token is None:
        found = re.search(r'name="form_token" value="([^"]+)"', (await browser.get("/programs")).text)
        token = found[1] if found else ""
    path = f"/programs/{grant_id}/end"
    return await browser.post(path, data={"form_token": token}, headers={"origin": str(browser.base_url).rstrip("/")})


async def test_the_page_lists_my_programs_with_what_they_did_not_choose_themselves(site, alice) -> None:
    site.grants.add(client_name="Claude")
    site.grants.add("alice", "http://127.0.0.1:1/", client_name="Code", client_id="https://code.example/client.json")
    site.grants.add("alice", "http://127.0.0.1:1/a", "http://localhost/b", client_name="Proxy")
    site.grants.add("alice", "cursor://anysphere.cursor-mcp/callback", client_name="An editor")
    gone = site.grants.add(client_name="Old one")
    del site.grants.known[gone.client_id]
    site.grants.add("bob", client_name="Bob's program")
    text = words(await alice.get("/programs"))
    for expected in (
        "Claude Answers go to claude.ai Last seen 1 Mar 2026, 11:00 UTC Let in 26 Feb 2026, 12:00 UTC",
        "Until 26 Feb 2027",
        "Code Introduced by code.example",
        "Proxy Answers go to a program on your computer Last seen",
        "An editor Answers go to the app Cursor",
        "Old one No longer registered here",
        "See the tools that you may use here",
    ):
        assert expected in text
    assert "Bob" not in text


async def test_no_program_is_explained(alice) -> None:
    text = words(await alice.get("/programs"))
    assert "No program may act for you" in text
    assert "Plug in a program" in text


async def test_a_program_is_ended_by_its_button(site, alice) -> None:
    kept, ended = site.grants.add(client_name="Kept"), site.grants.add(client_name="Ended")
    answer = await press_end(alice, ended.id)
    assert (answer.status_code, answer.headers["location"]) == (303, "/programs?ended=1")
    assert site.grants.rows == [kept]
    assert "Its access has ended" in words(await alice.get(answer.headers["location"]))


async def test_somebody_elses_program_is_not_there(site, alice, bob) -> None:
    grant = site.grants.add("alice")
    site.grants.add("bob")
    for grant_id in (grant.id, "unknown"):
        assert (await press_end(bob, grant_id)).status_code == 404
    assert grant in site.grants.rows


@pytest.mark.parametrize("whose", ["nobody", "connections"])
async def test_nothing_is_ended_without_our_form_for_it(site, alice, whose: str) -> None:
    grant, token = site.grants.add(), "guessed"
    if whose == "connections":
        site.connections.add()
        token = re.search(r'name="form_token" value="([^"]+)"', (await alice.get("/connections")).text)[1]
    assert (await press_end(alice, grant.id, token)).status_code == 403
    assert (await alice.get(f"/programs/{grant.id}/end")).status_code == 405
    assert site.grants.rows == [grant]

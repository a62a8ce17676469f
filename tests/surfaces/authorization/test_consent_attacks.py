"""The confused deputy at our consent page: four ways that others were had, each in cookie jars of its own.

GHSA-rww4-4w9c-7733 (a consent given in another browser), its bypass by a forged form, a client that rides on an earlier
consent, an authorization server in the middle (GHSA-6x8h-498w-gv8c); MCP 2026-07-28, Security Best Practices.
"""

from __future__ import annotations

import httpx2
import pytest

from tests.authorization.house import CALLBACK, query_of
from tests.surfaces.authorization.site import Site, allow, authorize_url, decide, fields_of

HERE = {"sec-fetch-site": "same-origin"}


async def test_another_client_does_not_ride_on_a_consent(site: Site, alice: httpx2.AsyncClient) -> None:
    """Nor the same one by another way, for more, in another's name, or by a click on the attacker's page."""
    good, evil = await site.register(redirect_uris=[CALLBACK, CALLBACK + "2"]), await site.register()
    await allow(alice, authorize_url(good["client_id"]))
    assert (await alice.get(authorize_url(good["client_id"]))).status_code == 303

    for url in (
        authorize_url(evil["client_id"]),
        authorize_url(good["client_id"], redirect_uri=CALLBACK + "2"),
        authorize_url(good["client_id"], scope="tools offline_access"),
        authorize_url(good["client_id"], prompt="consent"),
    ):
        assert (await alice.get(url)).status_code == 200, url
    for site_of_click in ("cross-site", "same-site", "nonsense"):
        clicked = await alice.get(authorize_url(good["client_id"]), headers={"sec-fetch-site": site_of_click})
        assert clicked.status_code == 200
    async with site.browser("bob") as bob:
        assert (await bob.get(authorize_url(good["client_id"]))).status_code == 200


@pytest.mark.parametrize("uri", ["http://localhost/callback", "cursor://anysphere.cursor-mcp/oauth/callback"])
async def test_a_program_on_the_device_never_rides_on_a_consent(
    site: Site, alice: httpx2.AsyncClient, uri: str
) -> None:
    client = await site.register(redirect_uris=[uri])
    await allow(alice, authorize_url(client["client_id"], redirect_uri=uri))

    assert (await alice.get(authorize_url(client["client_id"], redirect_uri=uri))).status_code == 200


async def test_a_consent_that_was_given_in_another_browser_is_none(
    site: Site, alice: httpx2.AsyncClient, bob: httpx2.AsyncClient
) -> None:
    """The attacker opens the page, and has the victim's browser send the attacker's form."""
    client = await site.register()
    attackers = await bob.get(authorize_url(client["client_id"]))
    await alice.get(authorize_url(client["client_id"]))

    sent = {**fields_of(attackers.text), "decision": "allow"}
    assert (await alice.post("/authorize", data=sent, headers=HERE)).status_code == 403

    # Nor does it help to have put the attacker's cookie into the victim's browser: the form is for the attacker.
    cookie = next(c for c in bob.cookies.jar if c.name.endswith("form"))
    alice.cookies.set(cookie.name, cookie.value or "")
    assert (await alice.post("/authorize", data=sent, headers=HERE)).status_code == 403
    assert ("alice", "consent.given") not in await site.events()


async def test_a_forged_form_is_none(site: Site, alice: httpx2.AsyncClient) -> None:
    client = await site.register()
    shown = await alice.get(authorize_url(client["client_id"]))
    good = {**fields_of(shown.text), "decision": "allow"}
    request = good["request"]

    forged = [
        ({"request": request, "decision": "allow"}, HERE),
        ({"request": request, "decision": "allow", "form_token": ""}, HERE),
        ({"request": request, "decision": "allow", "form_token": "0" * 64}, HERE),
        ({"decision": "allow", "form_token": good["form_token"]}, HERE),
        (good, {"sec-fetch-site": "cross-site"}),
        (good, {"sec-fetch-site": "same-site"}),
        (good, {"sec-fetch-site": "none"}),
        (good, {**HERE, "origin": "https://evil.example"}),
        (good, {**HERE, "origin": "null"}),
    ]
    for form, headers in forged:
        answer = await alice.post("/authorize", data=form, headers=headers)
        assert answer.status_code == 403, (form, headers)
        assert "location" not in answer.headers
    async with site.browser("alice") as elsewhere:  # the same person, in a browser that was never shown the page
        assert (await elsewhere.post("/authorize", data=good, headers=HERE)).status_code == 403
    assert ("alice", "consent.given") not in await site.events()
    assert (await alice.post("/authorize", data=good, headers=HERE)).status_code == 303


async def test_a_yes_to_one_request_is_none_to_another(site: Site, alice: httpx2.AsyncClient) -> None:
    """The form's token is good for the very request that the page showed, and nothing put in its place."""
    good, evil = await site.register(), await site.register()
    shown = await alice.get(authorize_url(good["client_id"]))
    fields = fields_of(shown.text)
    others = [authorize_url(evil["client_id"]), authorize_url(good["client_id"]), fields["request"] + "&x=1"]

    for other in others:
        query = other.removeprefix("/authorize?")
        sent = {**fields, "request": query, "decision": "allow"}
        assert (await alice.post("/authorize", data=sent, headers=HERE)).status_code == 403


async def test_whose_answer_it_is_stands_in_every_answer(site: Site, alice: httpx2.AsyncClient) -> None:
    """A client that an attacker's server sent here can tell that the answer is not that server's (RFC 9207)."""
    client = await site.register()
    shown = await alice.get(authorize_url(client["client_id"]))
    answers = [
        await decide(alice, shown.text, "deny"),
        await decide(alice, (await alice.get(authorize_url(client["client_id"]))).text),
        await alice.get(authorize_url(client["client_id"])),
        await alice.get(authorize_url(client["client_id"], scope="nonsense")),
        await alice.get(authorize_url(client["client_id"], response_type="token")),
    ]

    assert [answer.status_code for answer in answers] == [303] * 5
    assert {query_of(answer.headers["location"])["iss"] for answer in answers} == {site.url}
    async with site.program() as program:
        metadata = (await program.get("/.well-known/oauth-authorization-server")).json()
    assert metadata["authorization_response_iss_parameter_supported"] is True
    assert metadata["issuer"] == site.url


async def test_the_page_cannot_be_framed_and_opening_it_changes_nothing(site: Site, alice: httpx2.AsyncClient) -> None:
    client = await site.register()
    for _ in range(3):
        shown = await alice.get(authorize_url(client["client_id"]), headers={"sec-fetch-dest": "iframe"})
        assert "frame-ancestors 'none'" in shown.headers["content-security-policy"]
    assert [action for _, action in await site.events()] == ["client.registered"]

"""What a description says in words follows from the fields that the gateway acts on."""

from __future__ import annotations

import pytest

from gateway.providers.catalogue import Catalogue
from gateway.providers.in_words import duration, ending, lasting, particulars
from gateway.providers.provider import Provider, Refresh

CATALOGUE = Catalogue.load()


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (1, "1 second"), (30, "30 seconds"), (900, "15 minutes"), (1800, "30 minutes"), (3599, "1 hour"),
        (86399, "1 day"), (604800, "7 days"), (15552000, "180 days"), (31536000, "1 year"), (157680000, "5 years"),
    ],
)  # fmt: skip
def test_a_life_is_a_round_figure(seconds, words):
    assert duration(seconds) == words


def said(name: str) -> str:
    provider = CATALOGUE.find(name)
    return "\n".join([*lasting(provider), ending(provider), *particulars(provider)])


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("google", "While the app is not published, every grant ends after 7 days."),
        ("google", "A disconnect ends everything that the person granted this app"),
        ("github", "There is no refresh token: when the access token ends, the person connects again."),
        ("facebook", "swaps the access token for a new one while it lives"),
        ("xero", "ends the former one, which is still good for 30 minutes."),
        ("shopify", "ends the former one, once the new one has been used."),
        ("atlassian", "After 1 year the grant ends whatever anybody does"),
        ("monday", "An access token says itself when it ends."),
        ("spotify", "the person removes the access at https://www.spotify.com/account/apps/."),
        ("slack", "No PKCE is sent"),
        ("etsy", "A public client: there is no client secret."),
        ("etsy", "Calls to the API also carry x-api-key."),
        ("tiktok", "The client id is sent as client_key."),
        ("hubspot", "Scopes that a person may lack go into optional_scope"),
        ("zoho", "carry the token in Authorization: Zoho-oauthtoken …, not as a bearer."),
        ("quickbooks", "Kept with each connection, for calls: realmId."),
        ("square", "There is a test environment: set sandbox = true."),
        ("okta", "Preview: its addresses come from one source"),
    ],
)
def test_what_is_particular_is_said(name, sentence):
    assert sentence in said(name)


def test_of_a_plain_server_nothing_particular_is_said():
    plain = Provider("plain", "Plain", needs_client_secret=True, refresh=Refresh(rotates="no"))
    assert list(particulars(plain)) == []
    assert list(lasting(plain)) == ["An access token has no known end."]

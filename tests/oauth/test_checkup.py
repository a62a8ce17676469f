"""Whether a registration is ready: what is missing, what will end early, what does nothing."""

from __future__ import annotations

import pytest

from gateway.oauth.apps import Apps, ProviderSettings
from gateway.oauth.checkup import Checkup, Level, check_up
from gateway.providers.catalogue import Catalogue
from gateway.secret import Secret

SECRET = Secret("never printed")


def checked(name: str, settings: ProviderSettings) -> Checkup:
    return check_up(Apps(Catalogue.load(), {name: settings}), name, None, ("https://gateway.example",))


def texts(checkup: Checkup, level: Level) -> str:
    return "\n".join(finding.text for finding in checkup.findings if finding.level is level)


def test_a_whole_registration_is_ready_and_says_what_to_register():
    found = checked("hubspot", ProviderSettings("ours", SECRET))
    assert found.ready
    assert found.redirect_uris == ("https://gateway.example/oauth/callback/hubspot",)
    assert texts(found, Level.FINE) == "client_id is ours\nclient_secret is set"


@pytest.mark.parametrize(
    ("name", "settings", "says"),
    [
        ("hubspot", ProviderSettings(), "client_id is missing: set it under [providers.hubspot]"),
        ("hubspot", ProviderSettings("ours"), "client_secret is missing"),
        ("salesforce", ProviderSettings("ours", variables={"login_host": "evil.example"}), "login_host does not look"),
        ("gitlab", ProviderSettings("ours", variables={"hots": "x"}), "no setting 'hots'"),
        ("hubspot", ProviderSettings("ours", SECRET, sandbox=True), "HubSpot has no test environment"),
        ("nobody", ProviderSettings("ours"), "Nobody described nobody"),
        ("google", ProviderSettings(service_account=Secret("{}")), "service account's key is not complete"),
    ],
)
def test_what_keeps_it_from_working_is_named(name, settings, says):
    found = checked(name, settings)
    assert not found.ready
    assert says in texts(found, Level.WRONG)


@pytest.mark.parametrize(
    ("name", "settings", "says"),
    [
        ("google", ProviderSettings("ours", SECRET, testing=True), "every grant ends after 7 days"),
        ("hubspot", ProviderSettings("ours", SECRET, testing=True), "testing does nothing"),
        ("hubspot", ProviderSettings("ours", SECRET, allowed_hosts=frozenset({"a.example"})), "allowed_hosts does"),
        ("netsuite", ProviderSettings("ours", SECRET), "a grant ends after 7 days, whatever anybody does"),
        ("squarespace", ProviderSettings("ours", SECRET), "unused for 7 days: keep the gateway running"),
        ("okta", ProviderSettings("ours", variables={"domain": "acme.okta.com"}), "a preview"),
    ],
)
def test_what_works_but_may_surprise_is_a_warning(name, settings, says):
    found = checked(name, settings)
    assert found.ready
    assert says in texts(found, Level.WARNING)


@pytest.mark.parametrize(
    ("name", "settings", "says"),
    [
        ("microsoft", ProviderSettings("ours", SECRET), "Client secrets end after 24 months"),
        ("zendesk", ProviderSettings("ours", SECRET), "each person fills in subdomain"),
        ("square", ProviderSettings("ours", SECRET, sandbox=True), "test environment is used"),
        ("acme", ProviderSettings("ours", issuer="https://acme.example"), "looked up at https://acme.example"),
        ("gitlab", ProviderSettings("ours"), "a public client"),
    ],
)
def test_what_is_good_to_know_is_a_note(name, settings, says):
    found = checked(name, settings)
    assert found.ready
    assert says in texts(found, Level.NOTE)


def test_no_secret_is_in_a_checkup():
    assert "never printed" not in repr(checked("google", ProviderSettings("ours", SECRET, service_account=SECRET)))

"""The shipped catalogue as data: every file is whole, agrees with itself, and leads nowhere but to its vendor."""

from __future__ import annotations

import dataclasses
import re
import tomllib
from urllib.parse import urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import SettingsError
from gateway.providers.addresses import names_in
from gateway.providers.catalogue import SHIPPED, Catalogue
from gateway.providers.provider import Provider
from gateway.providers.reader import extra_names, read_provider, written

CATALOGUE = Catalogue.load()
NAMES = sorted(path.stem for path in SHIPPED.glob("*.toml"))
PROVIDERS = [CATALOGUE.find(name) for name in NAMES]
each = pytest.mark.parametrize("provider", PROVIDERS, ids=NAMES)

PREVIEW = {
    "bamboohr", "bigcommerce", "brex", "contentful", "databricks", "freshbooks", "front", "harvest", "okta", "pandadoc",
    "servicenow", "snowflake", "stripe-app", "vercel",
}  # fmt: skip

OF_WHOLE_HOSTS = {
    "salesforce": (".salesforce.com", ".my.site.com"),
    "microsoft": (".microsoftonline.com", ".microsoftonline.us", ".partner.microsoftonline.cn"),
    "gitlab": ("gitlab.com",),
    "databricks": (".databricks.com", ".azuredatabricks.net"),
    "clio": (".clio.com",),
    "okta": (".okta.com", ".oktapreview.com", ".okta-emea.com", ".okta-gov.com"),
    "auth0": (".auth0.com",),
    "zoho": (
        ".zoho.com",
        ".zoho.eu",
        ".zoho.in",
        ".zoho.com.au",
        ".zoho.jp",
        ".zoho.sa",
        ".zoho.com.cn",
        ".zoho.uk",
        ".zohocloud.ca",
    ),
}
"""Where a variable is the whole host, or its end: the vendor's own domains."""

EXAMPLES = {
    "account": "1234567", "company": "acme", "domain": "acme.okta.com", "host": "acme.cloud.databricks.com",
    "instance": "acme", "shop": "acme", "subdomain": "acme",
}  # fmt: skip


def chosen(provider: Provider) -> dict[str, str]:
    """A value for each variable that has no default."""
    open_ones = provider.open_variables()
    return {name: "acme.eu.auth0.com" if provider.id == "auth0" else EXAMPLES[name] for name in open_ones}


def test_a_hundred_providers_are_shipped_and_those_with_one_source_are_previews():
    assert len(NAMES) == 100
    assert {provider.id for provider in PROVIDERS if provider.preview} == PREVIEW


@each
def test_a_shipped_provider_is_whole(provider):
    filled = provider.at(chosen(provider))
    for url in (filled.authorization_url, filled.token_url):
        assert url.startswith("https://")
        assert "{" not in url
    assert provider.docs.startswith("https://")
    assert re.match(r"[A-Z].*\.$", provider.notes)
    assert provider.name != provider.id
    assert provider.words
    assert filled.api.hosts
    for host in filled.api.hosts:
        assert re.fullmatch(r"(\*\.)?[a-z0-9-]+(\.[a-z0-9-]+)+", host)


@each
def test_a_shipped_provider_reads_the_same_when_it_is_written_down_again(provider):
    assert read_provider(provider.id, written(provider), "again") == provider


@each
def test_every_name_in_braces_is_one_that_somebody_fills_in(provider):
    known = {"client_id", "access_token", "state", "redirect_uri", "tid", *provider.variables, *extra_names(provider)}
    if provider.client_credentials:
        known |= provider.client_credentials.variables.keys()
    text = (SHIPPED / f"{provider.id}.toml").read_text()
    values = re.sub(r"#.*|pattern = '.*'|= '.*'", "", text)

    assert {name for name in names_in(values) if not name.isdecimal()} <= known


@each
def test_what_a_grant_lives_for_makes_sense(provider):
    refresh, day, years = provider.refresh, 86400, 10 * 365 * 86400
    for limit in (refresh.idle, refresh.absolute, refresh.testing):
        assert limit is None or day <= limit <= years
    assert (refresh.idle or 0) <= (refresh.absolute or years)
    assert refresh.grace <= (refresh.idle or years)
    assert provider.expires_in_default is None or 300 <= provider.expires_in_default <= 366 * day
    if refresh.grace or refresh.grace_until_used:
        assert refresh.rotates == "yes"
    if refresh.grant == "none":
        assert (refresh.idle, refresh.absolute, refresh.url) == (None, None, None)
    if refresh.grant == "exchange":
        assert refresh.token_param != "refresh_token"


@each
def test_whatever_has_no_pkce_says_why(provider):
    if not provider.pkce:
        lines = (SHIPPED / f"{provider.id}.toml").read_text().splitlines()
        at = lines.index(next(line for line in lines if line.startswith("pkce = false")))
        assert "#" in lines[at] + lines[at - 1]


@each
def test_an_account_can_be_told_from_another_or_the_file_says_that_it_cannot(provider):
    nameless = {"bamboohr", "deel", "gong", "netsuite", "productboard", "squarespace"}

    assert (provider.identity is None) == (provider.id in nameless)


@each
def test_extras_that_become_hosts_are_the_vendors_own(provider):
    """Such a pattern must end in a domain, so that nothing can follow it."""
    for name, pattern in {**provider.extras, **(provider.identity.extras if provider.identity else {})}.items():
        if "https" in pattern and name != "blog_url":  # which is shown, and never called
            for hostile in ("https://evil.example", "https://evil.example/.salesforce.com", "https://a@evil.example"):
                assert not re.fullmatch(pattern, hostile)


HOSTS = [(provider, name) for provider in PROVIDERS for name in provider.variables]


@pytest.mark.parametrize(("provider", "name"), HOSTS, ids=[f"{p.id}.{n}" for p, n in HOSTS])
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_no_text_in_a_variable_leads_to_another_host(provider, name, data):
    """Whatever a person types, the host ends as the vendor's does, or the value is refused."""
    pattern = provider.variables[name].pattern
    near = st.from_regex(rf"[a-z0-9@/#?:.\\-]{{0,8}}({pattern})[a-z0-9@/#?:.\\-]{{0,12}}")
    value = data.draw(st.text(max_size=40) | near | st.from_regex(pattern, fullmatch=True))
    template = urlsplit(provider.token_url.replace("{", "").replace("}", "")).hostname
    try:
        filled = provider.at({**chosen(provider), name: value})
    except SettingsError:
        return
    endings = OF_WHOLE_HOSTS.get(provider.id) or (template[template.index(name) + len(name) :],)
    for url in (filled.authorization_url, filled.token_url, filled.userinfo_url or filled.token_url):
        host = urlsplit(url).hostname or ""
        assert any(host == end or host.endswith(end) for end in (*endings, ".app.netsuite.com")), url
        assert urlsplit(url).port is None
        assert re.fullmatch(r"[a-z0-9.-]+", host)


@each
def test_a_sandbox_is_another_place_and_leaves_nothing_behind(provider):
    if provider.sandbox:
        moved = provider.in_sandbox().at(chosen(provider))
        text = repr(dataclasses.replace(moved, sandbox={}, variables={}, notes="", docs=""))
        for host in provider.sandbox:
            assert not re.search(rf"(?<![\w.-]){re.escape(host)}(?![\w.-])", text)
    else:
        with pytest.raises(SettingsError, match="no test environment"):
            provider.in_sandbox()


def test_every_file_is_short_and_begins_by_saying_what_it_is():
    for path in SHIPPED.glob("*.toml"):
        text = path.read_text()
        assert text.startswith("# ")
        assert tomllib.loads(text)
        assert len(text.splitlines()) <= 100
        assert max(map(len, text.splitlines())) <= 200

"""Templates of addresses: what is filled in stays in its place."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import SettingsError
from gateway.providers.addresses import fill, is_host, names_in, same_site


def test_names_without_a_value_stay():
    assert fill("https://{shop}.acme.example/{id}", {"id": "7"}) == "https://{shop}.acme.example/7"
    assert names_in("https://{shop}.acme.example/{id}") == {"shop", "id"}


def test_a_name_that_opens_the_template_is_a_whole_address():
    assert fill("{base}/v1", {"base": "https://eu.acme.example"}) == "https://eu.acme.example/v1"


def test_a_value_in_the_path_cannot_leave_it():
    assert fill("https://acme.example/{id}/x", {"id": "../a?b#c"}) == "https://acme.example/..%2Fa%3Fb%23c/x"


@given(st.text(max_size=30))
def test_a_value_in_the_host_keeps_the_end_of_the_host_or_is_refused(value):
    try:
        filled = fill("https://{shop}.acme.example/x", {"shop": value})
    except SettingsError:
        return
    assert filled.startswith("https://")
    assert filled.split("/")[2].endswith(".acme.example")
    assert is_host(filled.split("/")[2])


@pytest.mark.parametrize("host", ["", "-a.example", "a..b", "a b", "a@b", "a/b", "a:port", "a:1234567"])
def test_what_is_no_host_is_told(host):
    assert not is_host(host)


@pytest.mark.parametrize(
    ("url", "issuer", "same"),
    [
        ("https://login.acme.com/t", "https://login.acme.com", True),
        ("https://api.acme.com/t", "https://login.acme.com", True),
        ("https://acme.com/t", "https://login.acme.com/x", True),
        ("https://api.acme.co.uk/t", "https://login.acme.co.uk", True),
        ("https://evil.co.uk/t", "https://acme.co.uk", False),
        ("https://acme.com.evil.com/t", "https://acme.com", False),
        ("https://evilacme.com/t", "https://acme.com", False),
        ("https://10.0.0.2/t", "https://10.1.0.2", False),
        ("https://[::1]/t", "https://[::2]", False),
    ],
)
def test_a_site_is_what_somebody_registered(url, issuer, same):
    assert same_site(url, issuer) is same

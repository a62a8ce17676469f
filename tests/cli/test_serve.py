"""What `atp-gateway serve` says when it is up."""

from __future__ import annotations

import pytest

from gateway.cli.serve import _who
from gateway.settings import AccessSettings


@pytest.mark.parametrize(
    ("access", "said"),
    [
        (AccessSettings(), "you, on this machine"),
        (AccessSettings(builtin=True), "people who sign in here"),
        (AccessSettings(issuer="https://login.example.com"), "people with a token of https://login.example.com"),
        (AccessSettings(builtin=True, keys=True), "people who sign in here, people with a key of their own"),
    ],
)
def test_it_names_every_way_in_that_is_open(access, said):
    assert _who(access) == said

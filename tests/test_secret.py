"""A Secret can be used, and cannot be shown."""

from __future__ import annotations

import copy
import json
import pickle

import pytest

from gateway.secret import Secret, live_secrets

CANARY = "CNRY-secret-4f1a9c"


def test_every_way_to_print_a_secret_gives_the_same_constant():
    secret = Secret(CANARY)
    shown = [
        repr(secret),
        str(secret),
        f"{secret}",
        f"{secret:>40}",
        " ".join([str(secret)]),
        repr([secret]),
        repr({"t": secret}),
    ]
    assert all(CANARY not in text for text in shown)


@pytest.mark.parametrize("leak", [pickle.dumps, copy.copy, copy.deepcopy, json.dumps, list], ids=lambda f: f.__name__)
def test_a_secret_cannot_be_serialised_copied_or_iterated(leak):
    with pytest.raises(TypeError):
        leak(Secret(CANARY))


def test_secrets_compare_by_value_and_not_with_plain_text():
    assert Secret("a" * 9) == Secret("a" * 9)
    assert Secret("a" * 9) != Secret("b" * 9)
    assert Secret("a" * 9) != "a" * 9


def test_non_ascii_secrets_compare_without_an_error():
    assert Secret("pässwörd") != Secret("passwörd")


def test_a_secret_holds_text_only():
    with pytest.raises(TypeError, match="text"):
        Secret(b"bytes")


def test_the_redactor_learns_of_a_secret_when_it_is_made_and_forgets_it_when_it_is_gone():
    secret = Secret(CANARY)
    assert secret in live_secrets()
    del secret
    assert CANARY not in [other.reveal() for other in live_secrets()]

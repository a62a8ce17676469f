"""What is read of a tool that a toolkit from afar registers: as a function `def f(**kwargs)` would be."""

from __future__ import annotations

import pytest

from gateway.errors import RegistrationError
from gateway.remote.definition import Definition
from gateway.toolkit.declaration import Declaration, declare
from gateway.toolkit.pool import Pool
from gateway.types import CredentialKind, Requirement

WIRE = {"params": ["a", "b"], "required_params": ["b"], "description": "Does."}


def of(**changes):
    return Definition.of_metadata(WIRE | changes)


@pytest.mark.parametrize(
    "said",
    [
        {"params": [], "required_params": []},
        {"params": ["a", "b"], "required_params": ["b"]},
        {"params": ["a"], "required_params": ["z"]},
        {"params": None, "required_params": None},
        {"params": ["a"], "required_params": None},
    ],
)
def test_names_make_the_schema_that_they_make_in_this_process(said):
    def f(**kwargs): ...

    local = declare(Declaration("f", description="d", **said), f, "crm", Pool())

    assert Definition.of_metadata(said | {"description": "d"}).input_schema == local.input_schema


@pytest.mark.parametrize(
    ("said", "need"),
    [
        ({}, None),
        ({"auth_provider": None, "auth_type": None, "auth_with": None}, None),
        ({"auth_provider": "HubSpot", "auth_type": "OAuth2", "auth_with": "access_token"}, CredentialKind.OAUTH2),
        ({"auth_provider": "hubspot", "auth_type": "apiKey"}, CredentialKind.API_KEY),
        ({"auth_provider": "hubspot", "auth_type": "api_key"}, CredentialKind.API_KEY),
        ({"auth_provider": "hubspot", "auth_with": "api_key"}, CredentialKind.API_KEY),
        ({"auth_provider": "hubspot", "auth_type": "oauth2"}, CredentialKind.OAUTH2),
    ],
)
def test_published_spellings_of_what_a_tool_signs_in_with(said, need):
    assert of(**said).requirement == (need and Requirement("hubspot", need))


def test_what_our_own_client_knows_beyond_names_is_taken():
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}}
    rich = of(
        input_schema=schema,
        output_schema={"type": "object"},
        annotations={"title": "Find", "read_only": True, "idempotent": False},
        auth_provider="hubspot",
        scopes=["b", "a"],
        timeout=5,
    )

    assert rich.input_schema == schema
    assert rich.output_schema == {"type": "object"}
    assert (rich.annotations.title, rich.annotations.read_only, rich.annotations.destructive) == ("Find", True, None)
    assert rich.requirement.scopes == {"a", "b"}
    assert rich.timeout == 5
    assert Definition.of_json(rich.to_json()) == rich
    assert of(timeout=10**9).timeout == 3600


@pytest.mark.parametrize(
    "said",
    [
        {"params": "abc"},
        {"params": 7},
        {"params": {"a": 1}},
        {"params": [1]},
        {"params": [""]},
        {"params": ["auth_token"]},
        {"required_params": ["api_key"]},
        {"description": 7},
        {"auth_provider": 7},
        {"auth_provider": "hubspot", "auth_type": "magic"},
        {"auth_provider": "hubspot", "scopes": 7},
        {"auth_type": "oauth2"},
        {"scopes": ["a"]},
        {"input_schema": 7},
        {"input_schema": {"type": "string"}},
        {"input_schema": {"type": "object", "properties": {"auth_token": {}}}},
        {"input_schema": {"type": "object", "properties": {"a": {"type": "nonsense"}}}},
        {"output_schema": []},
        {"annotations": ["read_only"]},
        {"annotations": {"read_only": "yes"}},
        {"annotations": {"title": 7}},
        {"timeout": "soon"},
        {"timeout": 0},
        {"timeout": True},
    ],
)
def test_what_cannot_be_meant_is_refused_in_a_sentence(said):
    with pytest.raises(RegistrationError, match=r"\w+ .*\w"):
        of(**said)


def test_changes_are_named_and_a_timeout_is_none():
    need = {"auth_provider": "hubspot", "auth_type": "oauth2"}
    former = of(**need, scopes=["a"])

    assert of(**need, scopes=["a"], timeout=7).changes_from(former) == []
    assert of(**need, scopes=["b"], description="Other.").changes_from(former) == ["description", "scopes"]
    assert of(auth_provider="google", auth_type="api_key", params=[]).changes_from(former) == [
        "input schema",
        "provider",
        "kind of credential",
        "scopes",
    ]
    assert of(annotations={"read_only": True}).changes_from(of()) == ["annotations"]


def test_other_words_and_scopes_let_the_former_definition_stand_in():
    need = {"auth_provider": "hubspot"}
    former = of(**need)

    assert former.can_stand_in_for(of(**need, description="Other.", scopes=["a"], annotations={"read_only": True}))
    for other in ({"auth_provider": "google"}, need | {"params": ["c"]}, need | {"output_schema": {"type": "object"}}):
        assert not former.can_stand_in_for(of(**other))

"""When a token counts as refused: from what was seen of a run's HTTP, raised, and returned."""

from __future__ import annotations

import json

import pytest

from gateway.errors import CapabilityMissingError, DeclinedError, ToolError
from gateway.providers.catalogue import Catalogue
from gateway.providers.provider import Api, Match
from gateway.refusal import Lacking, find_refusal
from gateway.toolkit.content import Text, ToolResult
from gateway.toolkit.exchange import Watch

HUBSPOT, GOOGLE, SALESFORCE, MICROSOFT = (
    Catalogue.load().find(name).api for name in ("hubspot", "google", "salesforce", "microsoft")
)
HUBSPOT_401 = {"status": "error", "message": "expired", "correlationId": "1", "category": "EXPIRED_AUTHENTICATION"}
HUBSPOT_403 = {
    "status": "error",
    "category": "MISSING_SCOPES",
    "errors": [{"message": "required.", "context": {"requiredGranularScopes": ["crm.objects.contacts.read"]}}],
}
GOOGLE_401 = {"error": {"code": 401, "message": "invalid credentials", "status": "UNAUTHENTICATED"}}
GOOGLE_403 = {
    "error": {
        "code": 403,
        "status": "PERMISSION_DENIED",
        "details": [{"@type": "x", "reason": "ACCESS_TOKEN_SCOPE_INSUFFICIENT"}],
    }
}
SALESFORCE_401 = [{"message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID"}]
MICROSOFT_401 = {"error": {"code": "InvalidAuthenticationToken", "message": "Lifetime validation failed."}}
BEARER_401 = {"error": "invalid_token", "error_description": "The token expired"}

OURS, THEIRS = True, False


def seen(*exchanges, challenge=""):
    """A watch that saw these: a status, and whether the request carried the token."""
    watch = Watch(lambda text: False)
    for status, ours in exchanges:
        exchange = watch.sent("GET", "api.example/x", carries_token=ours)
        watch.answered(exchange, status, [challenge] if challenge else [])
    return watch


def lacking(value=None, error=None, watch=None, api=HUBSPOT):
    found = find_refusal(value, error, watch or seen(), api)
    return found and found.lacking


@pytest.mark.parametrize(
    ("api", "body"),
    [
        (HUBSPOT, HUBSPOT_401),
        (HUBSPOT, HUBSPOT_401 | {"category": "INVALID_AUTHENTICATION"}),
        (GOOGLE, GOOGLE_401),
        (SALESFORCE, SALESFORCE_401),
        (MICROSOFT, MICROSOFT_401),
        (Api(), BEARER_401),
    ],
)
def test_a_returned_error_body_speaks_for_itself_even_where_no_request_was_seen(api, body):
    assert lacking(body, api=api) is Lacking.LIFE
    assert lacking(json.dumps(body), api=api) is Lacking.LIFE
    assert lacking(Text(json.dumps(body)), api=api) is Lacking.LIFE
    assert lacking(ToolResult((), body, has_structured=True), api=api) is Lacking.LIFE


@pytest.mark.parametrize(("api", "body"), [(HUBSPOT, HUBSPOT_403), (GOOGLE, GOOGLE_403)])
def test_a_body_about_a_missing_scope_is_about_that(api, body):
    assert lacking(body, api=api) is Lacking.SCOPE
    assert lacking(body, watch=seen((403, OURS)), api=api) is Lacking.SCOPE


def test_the_missing_scope_is_read_from_the_body_where_the_catalogue_says():
    assert find_refusal(HUBSPOT_403, None, seen((403, OURS)), HUBSPOT).scopes == {"crm.objects.contacts.read"}


def test_the_missing_scope_is_read_from_the_challenge_else():
    watch = seen((403, OURS), challenge='Bearer error="insufficient_scope", scope="calendar.read mail.read"')

    assert find_refusal(GOOGLE_403, None, watch, GOOGLE).scopes == {"calendar.read", "mail.read"}


@pytest.mark.parametrize(
    "value",
    [
        HUBSPOT_401,
        {"error": HUBSPOT_401},
        {"message": "Unauthorized"},
        {"contacts": []},
        "401 Unauthorized",
        None,
    ],
)
def test_a_401_that_is_all_the_token_got_counts_whatever_was_made_of_it(value):
    assert lacking(value, watch=seen((401, OURS))) is Lacking.LIFE


@pytest.mark.parametrize("value", [{"fine": True}, [1, 2], "done", None])
def test_a_401_beside_requests_that_went_well_is_left_alone_where_the_result_is_good(value):
    assert lacking(value, watch=seen((200, OURS), (401, OURS))) is None


@pytest.mark.parametrize("value", [HUBSPOT_401, {"message": "Unauthorized"}, {"ok": False, "body": HUBSPOT_401}])
def test_a_401_after_requests_that_went_well_counts_where_the_result_is_its_body(value):
    assert lacking(value, watch=seen((200, OURS), (401, OURS))) is Lacking.LIFE


@pytest.mark.parametrize("error", [KeyError("results"), ToolError("HubSpot says 401"), TimeoutError()])
def test_a_401_that_ends_in_an_error_counts(error):
    assert lacking(error=error, watch=seen((200, OURS), (401, OURS))) is Lacking.LIFE


@pytest.mark.parametrize("error", [CapabilityMissingError("form"), DeclinedError("no")])
def test_a_person_who_says_no_is_not_asked_again_because_of_a_401(error):
    assert lacking(error=error, watch=seen((401, OURS))) is None


def test_a_tool_that_got_over_a_401_by_itself_is_left_alone():
    assert lacking({"results": []}, watch=seen((401, OURS), (200, OURS))) is None
    assert lacking(error=KeyError("bug"), watch=seen((401, OURS), (200, OURS))) is None


def test_a_tool_that_fell_back_to_something_else_is_left_alone():
    assert lacking({"results": []}, watch=seen((401, OURS), (200, THEIRS))) is None


@pytest.mark.parametrize("body", [BEARER_401, HUBSPOT_401])
def test_the_body_of_a_401_from_a_host_that_never_saw_the_token_is_nobodys_business_here(body):
    assert lacking(body, watch=seen((401, THEIRS))) is None
    assert lacking(body, watch=seen((200, OURS), (401, THEIRS))) is None


def test_a_provider_that_says_so_with_status_200_is_understood():
    slack = Api(expired=(Match("error", ("token_expired", "token_revoked")),))

    assert lacking({"ok": False, "error": "token_expired"}, watch=seen((200, OURS)), api=slack) is Lacking.LIFE


def test_a_403_that_is_about_no_scope_is_the_tools_own_affair():
    assert lacking({"message": "Forbidden"}, watch=seen((403, OURS))) is None
    assert lacking(error=KeyError("x"), watch=seen((403, OURS))) is None


def test_good_results_of_any_shape_are_no_error_bodies():
    for value in (
        {"error": None},
        {"status": 401},
        {"code": "401"},
        [],
        "",
        "{",
        "[1",
        7,
        True,
        {"category": {}},
        b"x",
    ):
        assert lacking(value) is None


class AnsweredError(Exception):
    """An exception as a library's client makes it."""

    def __init__(self, **attributes):
        super().__init__("failed")
        self.__dict__.update(attributes)


class Response:
    def __init__(self, **attributes):
        self.__dict__.update(attributes)


@pytest.mark.parametrize(
    "error",
    [
        AnsweredError(response=Response(status_code=401)),
        AnsweredError(status=401),
        AnsweredError(code=401),
        AnsweredError(http_status="401"),
        AnsweredError(resp=Response(status="401"), content=b"{}"),
        AnsweredError(body=json.dumps(HUBSPOT_401)),
        AnsweredError(response=Response(_content=json.dumps(HUBSPOT_401).encode())),
        RuntimeError(f"HubSpot: {json.dumps(HUBSPOT_401)}"),
    ],
    ids=str,
)
def test_an_exception_tells_too_where_nothing_was_seen(error):
    assert lacking(error=error) is Lacking.LIFE
    assert lacking(error=chained(error)) is Lacking.LIFE
    assert lacking(error=ExceptionGroup("both", [ValueError(), error])) is Lacking.LIFE


def chained(error):
    outer = RuntimeError("could not fetch")
    outer.__cause__ = error
    return outer


def test_an_exception_s_challenge_names_the_scope():
    headers = {"WWW-Authenticate": 'Bearer error="insufficient_scope", scope="mail.read"'}

    found = find_refusal(None, AnsweredError(response=Response(status_code=403, headers=headers)), seen(), Api())

    assert (found.lacking, found.scopes, found.seen) == (Lacking.SCOPE, {"mail.read"}, False)


def test_what_cannot_be_a_scope_is_not_asked_for():
    body = HUBSPOT_403 | {"errors": [{"context": {"requiredGranularScopes": ['a"b', "ok", 7, "x" * 300, "é"]}}]}

    assert find_refusal(body, None, seen((403, OURS)), HUBSPOT).scopes == {"ok"}


def test_an_exception_that_bites_is_survived():
    class BitesError(Exception):
        def __str__(self):
            raise ValueError

        def __getattr__(self, name):
            raise RuntimeError(name)

    assert lacking(error=BitesError()) is None

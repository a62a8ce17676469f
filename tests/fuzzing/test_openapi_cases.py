"""Schemathesis: requests made out of the OpenAPI document, sent to a served gateway, their answers held against it.

At `--full` 250 an operation, where it takes as many, and more than 5,000 in all: half as the document has them, half
broken on purpose. With the right key mostly, and now and then with none or another's.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
import requests
import schemathesis
from hypothesis import given
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from gateway.surfaces.atp.openapi.document import OPERATIONS
from gateway.surfaces.atp.openapi.operation import Operation
from tests.fuzzing.conftest import PATIENCE, SEED, Gateway, Hostile

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
AN_OPERATION = 250
AT_LEAST = 5_000


@pytest.fixture(scope="module")
def described(hostage: Gateway) -> Any:
    """The document as it is served, read by Schemathesis."""
    return schemathesis.openapi.from_url(f"{hostage.base_url}/openapi.json")


@pytest.fixture(scope="module")
def there(hostage: Gateway) -> dict[str, str]:
    """What a path may name that is there: among it a webhook, with something on its way to it."""
    webhooks, headers = (
        f"{hostage.base_url}/api/v1/atp/llm-client/webhooks",
        {"Authorization": f"ApiKey {hostage.app_key}"},
    )
    made = httpx2.post(f"{webhooks}/register/", json={"url": "https://hook.invalid/"}, headers=headers).json()
    sent = httpx2.post(f"{webhooks}/{made['webhook_id']}/test/", headers=headers).json()
    known = {"toolkit_id": "crm", "platform_id": "hubspot", "display_name": "gateway"}
    return known | {"webhook_id": made["webhook_id"], "delivery_id": sent["delivery_id"]}


@pytest.fixture(scope="module")
def asked(full: bool) -> Iterator[Counter[str]]:
    """How many cases each operation was sent."""
    counted = Counter[str]()
    yield counted
    sys.stdout.write(f"{counted.total()} cases, FUZZ_SEED={SEED}\n")
    if full and len(counted) == len(OPERATIONS):
        assert counted.total() >= AT_LEAST


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.id)
def test_what_is_answered_is_what_the_document_says(
    operation: Operation,
    described: Any,
    hostage: Gateway,
    hostile: Hostile,
    *,
    there: dict[str, str],
    asked: Counter[str],
) -> None:
    own = hostage.toolkit_key if operation.tag == "toolkits" else hostage.app_key
    other = hostage.app_key if operation.tag == "toolkits" else hostage.toolkit_key
    made = described[operation.path][operation.method]
    broken = made.as_strategy(generation_mode=GenerationMode.NEGATIVE)
    cases = made.as_strategy(generation_mode=GenerationMode.POSITIVE)
    if operation.body or operation.parameters:
        cases = st.one_of(cases, broken)
    keys = st.sampled_from([own] * 6 + [other, "none"])
    with requests.Session() as session:
        session.trust_env = False

        @hostile(AN_OPERATION)
        @given(case=cases, key=keys, known=st.booleans())
        def ask(case: Case, key: str, known: bool) -> None:
            if known and not operation.id.startswith("delete"):
                _name_what_is_there(case, there)
            _lead_nowhere(case)
            if "api_key" in (case.path_parameters or {}):
                case.path_parameters["api_key"] = key
            headers = {"Authorization": f"ApiKey {key}", "Prefer": "wait=0"}
            answer = case.call(base_url=hostage.base_url, session=session, headers=headers, timeout=PATIENCE)
            case.validate_response(answer, checks=CHECKS)
            asked[operation.id] += 1

        ask()


def _name_what_is_there(case: Case, there: dict[str, str]) -> None:
    """Not only names that nobody has: or no tool would ever be called."""
    for name in there.keys() & (case.path_parameters or {}).keys():
        case.path_parameters[name] = there[name]
    body = case.body
    if isinstance(body, dict) and "toolkit_id" in body:
        body["toolkit_id"] = there["toolkit_id"]
        if isinstance(payload := body.get("payload"), dict):
            payload["function"] = "find_contact"


def _lead_nowhere(case: Case) -> None:
    """No webhook to a host that there may be (RFC 6761 section 6.4)."""
    body = case.body
    if isinstance(body, dict) and isinstance(url := body.get("url"), str):
        body["url"] = re.sub(r"^(https?://)[^/?#]*", r"\1hook.invalid", url)

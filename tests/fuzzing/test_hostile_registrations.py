"""A toolkit from afar that writes markup, control characters and forged log lines into every field of a registration.

Wherever an administrator or a person looks, it is inert: in the pages, in the log, in what commands print; and the
OpenAPI document does not have it at all.
"""

from __future__ import annotations

import json
import re
from typing import Any

import httpx2
import jsonschema
import pytest

from gateway.surfaces.atp.openapi.document import document
from gateway.surfaces.atp.openapi.schemas import SCHEMAS
from tests.fuzzing.conftest import PATIENCE, Gateway
from tests.fuzzing.test_hostile_messages import worker_socket

CORPUS = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "'-alert(1)-'",
    "</title><svg/onload=alert(1)>",
    "javascript:alert(1)//",
    "{{7*7}}${7*7}<%= 7*7 %>",
    "x\n12:00:00 ERROR   gateway.forged  the vault is open\r\nX-Forged: 1",
    "\x1b[2J\x1b]0;forged\x07\x9b31m",
    "\u202egnp.exe\u2028\u2029\u200f",
]
MARKUP = [text for text in CORPUS if "<" in text or "{{" in text]
USUAL: dict[str, Any] = {
    "params": ["q"],
    "required_params": [],
    "description": "Finds.",
    "auth_provider": "hubspot",
    "auth_type": "OAuth2",
    "auth_with": "access_token",
    "sample_response": "",
    "source_code": "def f(): ...",
}
FIELDS = [
    *("description", "auth_provider", "auth_type", "auth_with", "sample_response", "source_code"),
    *("params", "required_params", "scopes", "annotations", "input_schema", "output_schema", "timeout"),
]


def metadata(field: str, text: str) -> dict[str, Any]:
    schema = {"type": "object", "title": text, "description": text, "properties": {text: {"description": text}}}
    lists = {"params": [text], "required_params": [text], "scopes": [text]}
    tables = {"annotations": {"title": text, text: text}, "input_schema": schema, "output_schema": schema}
    return USUAL | {field: {**lists, **tables}.get(field, text)}


def registration(hostage: Gateway, name: str, said: Any, **more: Any) -> dict[str, Any]:
    return {
        "function_id": name, "api_key": hostage.toolkit_key, "app_name": "", "programming_language": "Python",
        "code_hash": name, "toolkit_hash": name, "metadata": said, **more,
    }  # fmt: skip


@pytest.fixture(scope="module")
def said(hostage: Gateway) -> list[httpx2.Response]:
    """The answers to everything that was registered: each text in each field."""
    bodies = [
        registration(hostage, f"tool_{number}_{field}", metadata(field, text))
        for number, text in enumerate(CORPUS)
        for field in FIELDS
    ]
    bodies += [
        registration(hostage, "plain", USUAL, **{field: text})
        for text in CORPUS
        for field in ("function_id", "app_name", "programming_language", "code_hash", "toolkit_hash")
    ]
    with httpx2.Client(base_url=hostage.base_url, timeout=PATIENCE, trust_env=False) as http:
        return [http.post("/api/v1/register_tool", json=body) for body in bodies]


def test_a_hostile_registration_is_taken_down_or_refused_in_the_usual_shape(said: list[httpx2.Response]) -> None:
    statuses = {answer.status_code for answer in said}

    assert statuses == {200, 422}
    for answer in said:
        if answer.status_code == 422:
            jsonschema.Draft202012Validator(SCHEMAS["Error"]).validate(answer.json())


def test_it_is_inert_in_every_page(hostage: Gateway, said: list[httpx2.Response]) -> None:
    consent = "/api/v1/atp/llm-client/oauth/confirmation/hubspot/"
    with (
        worker_socket(hostage),  # or its tools would not be there
        httpx2.Client(base_url=hostage.base_url, timeout=PATIENCE, trust_env=False) as http,
    ):
        toolkits = http.get(
            "/api/v1/atp/llm-client/store/toolkits/list/", headers={"Authorization": f"ApiKey {hostage.app_key}"}
        )
        begun = http.post(
            consent, json={"external_user_id": MARKUP[0]}, headers={"Authorization": f"ApiKey {hostage.app_key}"}
        )
        link = begun.json()["authorization_url"]
        pages = [http.get(path) for path in (link, "/", "/connections", "/connections/history")]

    assert MARKUP[0] in {tool["description"] for one in toolkits.json()["results"] for tool in one["tools"]}
    assert [page.status_code for page in pages] == [200] * 4
    assert "&lt;script&gt;" in pages[0].text  # a scope is shown, as text
    for page in pages:
        assert [text for text in MARKUP if text in page.text] == []
        assert "script-src 'self'" in page.headers["content-security-policy"]


def test_it_forges_no_line_of_the_log(hostage: Gateway, said: list[httpx2.Response]) -> None:
    log = hostage.log.read_bytes().decode()

    assert "forged" in log  # what was refused is told, and why
    assert [line for line in log.split("\n") if re.match(r"12:00:00|X-Forged", line)] == []
    assert re.findall(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200f\u2028\u2029\u202e]", log) == []


def test_it_moves_no_terminal(hostage: Gateway, said: list[httpx2.Response]) -> None:
    printed = [hostage.command("toolkits", "list"), hostage.command("toolkits", "list", "--json")]

    assert "tool_0_description" in printed[0]
    assert json.loads(printed[1])
    for text in printed:
        assert re.findall(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200f\u2028\u2029\u202e]", text) == []


def test_the_document_knows_nothing_of_it(hostage: Gateway, said: list[httpx2.Response]) -> None:
    assert httpx2.get(f"{hostage.base_url}/openapi.json", timeout=PATIENCE).json() == document()

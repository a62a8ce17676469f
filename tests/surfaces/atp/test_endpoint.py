"""Who gets in at the app's half, and what a refusal looks like."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest

KEY = "app-key-7f3a9c51d2"
BASE = "/api/v1/atp/llm-client"
_CONTEXT = b'{"type": "get_toolkit_context", "toolkit_id": "crm", "more": %s}'
ENDPOINTS = [
    ("POST", "/oauth/confirmation/hubspot/"),
    ("GET", "/oauth/tokens/hubspot/ada/"),
    ("POST", "/process/"),
    ("GET", "/store/toolkits/list/"),
    ("GET", "/developers/toolkits/"),
    ("GET", "/store/toolkits/crm/"),
    ("GET", "/store/developers/gateway/"),
    ("GET", "/webhooks/"),
    ("POST", "/webhooks/register/"),
    ("DELETE", "/webhooks/w/delete/"),
    ("GET", "/webhooks/w/deliveries/"),
    ("POST", "/webhooks/w/deliveries/d/replay/"),
    ("POST", "/webhooks/w/test/"),
    ("GET", "/no/such/path"),
]


@pytest.mark.parametrize(("method", "path"), ENDPOINTS)
@pytest.mark.parametrize(
    "authorization",
    [None, "", "ApiKey", "ApiKey wrong", f"Bearer {KEY}", f"ApiKey {KEY}x", f"ApiKey {KEY[:-1]}"],
)
async def test_no_endpoint_opens_without_the_right_key(
    serve: Any, method: str, path: str, authorization: str | None
) -> None:
    async with serve() as house, httpx2.AsyncClient(base_url=house.base_url) as http:
        headers = {} if authorization is None else {"Authorization": authorization}

        answer = await http.request(method, BASE + path, headers=headers)

        assert answer.status_code == 401
        assert answer.json()["code"] == "unknown_key"
        assert KEY[:-1] not in answer.text


@pytest.mark.parametrize(("method", "path"), ENDPOINTS)
async def test_a_key_in_a_browser_is_refused(serve: Any, method: str, path: str) -> None:
    async with serve() as house, httpx2.AsyncClient(base_url=house.base_url) as http:
        headers = {"Authorization": f"ApiKey {KEY}", "Origin": "https://shop.example"}

        answer = await http.request(method, BASE + path, headers=headers)

        assert (answer.status_code, answer.json()["code"]) == (403, "browser_refused")
        assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b'{"type": "a", "type": "b"}',
        b"[]",
        b"7",
        b"\xff",
        _CONTEXT % b"NaN",
        _CONTEXT % b'"\\ud800"',
        b"[" * 100_000,
        b'{"a":' * 50_000,
    ],
)
async def test_a_body_that_is_no_json_object_is_refused(serve: Any, body: bytes) -> None:
    async with serve() as house, httpx2.AsyncClient(base_url=house.base_url) as http:
        answer = await http.post(f"{BASE}/process/", content=body, headers={"Authorization": f"ApiKey {KEY}"})

        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")
        assert answer.json()["message"].startswith("The request's body is not")


async def test_a_body_that_is_too_large_is_refused(serve: Any) -> None:
    async with serve() as house, httpx2.AsyncClient(base_url=house.base_url) as http:
        body = b'{"type": "' + b"x" * (1 << 20) + b'"}'

        answer = await http.post(f"{BASE}/process/", content=body, headers={"Authorization": f"ApiKey {KEY}"})

        assert (answer.status_code, answer.json()["code"]) == (413, "too_large")


async def test_no_answer_is_cached(serve: Any) -> None:
    async with serve() as house, httpx2.AsyncClient(base_url=house.base_url) as http:
        house.connect("ada")
        headers = {"Authorization": f"ApiKey {KEY}"}

        answers = [await http.get(f"{BASE}/oauth/tokens/hubspot/{user}/", headers=headers) for user in ("ada", "bob")]

        assert [answer.status_code for answer in answers] == [200, 404]
        assert [answer.headers["cache-control"] for answer in answers] == ["no-store", "no-store"]


async def test_what_is_not_served_says_so(serve: Any) -> None:
    async with serve() as house, httpx2.AsyncClient(base_url=house.base_url) as http:
        answer = await http.get(f"{BASE}/no/such/path", headers={"Authorization": f"ApiKey {KEY}"})

        assert (answer.status_code, answer.json()["code"]) == (404, "not_served")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/process/", "POST"),
        ("OPTIONS", "/webhooks/w/delete/", "DELETE, GET"),
        ("POST", "/store/toolkits/crm/", "GET"),
    ],
)
async def test_a_path_that_is_used_in_another_way_says_in_which(
    serve: Any, method: str, path: str, allowed: str
) -> None:
    async with serve() as house, httpx2.AsyncClient(base_url=house.base_url) as http:
        answer = await http.request(method, BASE + path, headers={"Authorization": f"ApiKey {KEY}"})

        assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed")
        assert answer.headers["allow"] == allowed

"""Each fault of the hostile twin, over a real socket."""

from __future__ import annotations

import gzip
import re
from email.utils import parsedate_to_datetime

import httpx2
import pytest

from gateway.testing.faults import FAULTS, INSTEAD, SPOILT
from tests.testing.twins.conftest import PATIENCE, App

OF_REDIRECTS = {"wrong_iss", "no_iss", "wrong_state", "no_state", "error_redirect"}
NEVER_END = ("timeout", "timeout_after", "slow_headers", "slow_body")
NO_ANSWER = {
    "reset": httpx2.ReadError, "reset_after": httpx2.ReadError, "cut_body": httpx2.RemoteProtocolError,
    "not_http": httpx2.RemoteProtocolError, "gzip_not": httpx2.DecodingError,
    **dict.fromkeys(NEVER_END, httpx2.ReadTimeout),
}  # fmt: skip


async def hit(app: App, fault: str, *, seconds: float = 0.2) -> httpx2.Response:
    """The answer to a refresh under this fault."""
    tokens = await app.tokens()
    app.twin.script.add({"on": "refresh", "fault": fault, "seconds": seconds})
    return await app.refresh(tokens["refresh_token"])


@pytest.mark.parametrize("fault", sorted(FAULTS.keys() - OF_REDIRECTS - NO_ANSWER.keys() - {"clock_skew"}))
async def test_no_answer_under_a_fault_is_like_the_honest_one(app: App, fault: str) -> None:
    honest = await app.refresh((await app.tokens())["refresh_token"])

    assert seen(await hit(app, fault)) != seen(honest)
    assert app.twin.script.steps() == []


def seen(answer: httpx2.Response) -> tuple[int, str | None, bytes]:
    """An answer in which all tokens are alike."""
    plain = re.sub(rb"fake-CNRY-[\w-]{43}", b"TOKEN", answer.content)
    return answer.status_code, answer.headers.get("content-type"), re.sub(rb"eyJ[\w.-]{99,}", b"JWT", plain)


@pytest.mark.parametrize(("fault", "error"), NO_ANSWER.items())
async def test_some_faults_leave_a_client_without_an_answer(app: App, fault: str, error: type[Exception]) -> None:
    app.http.timeout = httpx2.Timeout(PATIENCE if fault not in NEVER_END else 0.3)

    with pytest.raises(error):
        await hit(app, fault, seconds=60)


@pytest.mark.parametrize("fault", sorted(SPOILT.keys() - OF_REDIRECTS))
async def test_a_spoilt_answer_is_one_to_a_request_that_was_carried_out(app: App, fault: str) -> None:
    app.http.timeout = httpx2.Timeout(0.3 if fault in NEVER_END else PATIENCE)
    tokens = await app.tokens()
    app.twin.script.add({"on": "refresh", "fault": fault, "seconds": 60})
    try:
        await app.refresh(tokens["refresh_token"])
    except httpx2.HTTPError as error:
        assert type(error) is NO_ANSWER[fault]  # noqa: PT017 - some answer, some do not

    [line] = [hit for hit in app.twin.log if hit.what == "refresh"]
    assert (line.outcome, line.fault, line.gave) == ("ok", fault, 2)
    assert (await app.refresh(tokens["refresh_token"])).json()["error"] == "invalid_grant"
    assert [found.number for found in app.twin.log.replays()] == [line.number + 1]


@pytest.mark.parametrize("fault", sorted(INSTEAD))
async def test_a_fault_in_the_place_of_an_answer_changes_nothing(app: App, fault: str) -> None:
    app.http.timeout = httpx2.Timeout(0.3 if fault in NEVER_END else PATIENCE)
    tokens = await app.tokens()
    app.twin.script.add({"on": "refresh", "fault": fault})
    try:
        await app.refresh(tokens["refresh_token"])
    except httpx2.HTTPError as error:
        assert type(error) is NO_ANSWER[fault]  # noqa: PT017 - some answer, some do not

    [line] = [hit for hit in app.twin.log if hit.what == "refresh"]
    assert (line.outcome, line.fault, line.gave) == (fault, None, None)
    assert (await app.refresh(tokens["refresh_token"])).status_code == 200
    assert app.twin.log.replays() == []


@pytest.mark.parametrize(
    ("fault", "changes"),
    [
        ("wrong_iss", {"iss": "https://evil.example"}),
        ("no_iss", {"iss": None}),
        ("wrong_state", {"state": "another"}),
        ("no_state", {"state": None}),
        ("error_redirect", {"error": "server_error"}),
    ],
)
async def test_a_redirect_can_be_spoilt(app: App, fault: str, changes: dict[str, str | None]) -> None:
    app.twin.script.add({"on": "consent", "fault": fault})

    back = await app.consent()

    honest = {"iss": app.twin.url, "state": "the-state", "error": None}
    assert {name: back.get(name) for name in honest} == honest | changes
    assert back["code"]


async def test_a_bomb_is_small_on_the_wire_and_large_behind_it(app: App) -> None:
    tokens = await app.tokens()
    app.twin.script.add({"on": "refresh", "fault": "gzip_bomb"})
    form = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
    own = {"client_id": app.twin.client.id, "client_secret": app.twin.client.secret or ""}

    async with app.http.stream("POST", f"{app.twin.url}/token", data=form | own) as answer:
        raw = b"".join([chunk async for chunk in answer.aiter_raw()])

    assert len(raw) < 100_000
    assert len(gzip.decompress(raw)) > 50 << 20


async def test_fifty_megabytes_are_fifty_megabytes(app: App) -> None:
    answer = await hit(app, "fifty_megabytes")

    assert len(answer.content) > 50 << 20


async def test_retry_after_comes_in_seconds_or_as_a_date(app: App) -> None:
    seconds = await hit(app, "retry_after")
    date = await hit(app, "retry_after_date", seconds=60)

    assert seconds.headers["retry-after"] == "7"
    left = parsedate_to_datetime(date.headers["retry-after"]) - app.twin.clock.now()
    assert 59 <= left.total_seconds() <= 60


async def test_a_skewed_clock_shows_in_the_date(app: App) -> None:
    skewed = await hit(app, "clock_skew", seconds=3600)

    assert skewed.json()["access_token"]
    ahead = parsedate_to_datetime(skewed.headers["date"]) - app.twin.clock.now()
    assert 3599 <= ahead.total_seconds() <= 3600


async def test_a_fault_can_be_told_what_to_say(app: App) -> None:
    app.twin.script.add(
        {"on": "refresh", "fault": "error", "status": 418, "body": {"error": "teapot"}, "headers": {"Retry-After": "9"}}
    )
    tokens = await app.tokens()

    answer = await app.refresh(tokens["refresh_token"])

    assert (answer.status_code, answer.json(), answer.headers["retry-after"]) == (418, {"error": "teapot"}, "9")


async def test_a_fault_that_needs_a_socket_says_so_where_there_is_none(app: App) -> None:
    app.twin.script.add({"on": "metadata", "fault": "reset"})
    transport = httpx2.ASGITransport(app.twin)

    async with httpx2.AsyncClient(transport=transport) as http:
        with pytest.raises(RuntimeError, match=r"gateway\.testing\.serving"):
            await http.get("https://vendor.example/.well-known/openid-configuration")

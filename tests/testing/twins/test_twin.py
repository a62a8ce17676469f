"""A twin's clock, log and script: in this process, and from another one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import anyio
import httpx2
import pytest

from gateway.testing.clocks import RunningClock, SharedClock
from gateway.testing.log import Hit, Log, Shown
from gateway.testing.script import Script
from gateway.testing.twins.remote import RemoteTwin
from gateway.testing.twins.twin import make_twin
from tests.testing.twins.conftest import App


@pytest.fixture
def remote(app: App) -> Iterator[RemoteTwin]:
    with RemoteTwin(app.twin.url) as remote:
        yield remote


async def test_the_log_names_tokens_without_their_values(app: App) -> None:
    tokens = await app.tokens()
    await app.refresh(tokens["refresh_token"])
    await app.get("/api/me", tokens["access_token"])

    lines = [(hit.number, hit.what, hit.person, hit.outcome, hit.shown, hit.gave) for hit in app.twin.log]
    assert lines[-3:] == [
        (len(lines) - 2, "code", "alice", "ok", Shown("code", 1, 1), 1),
        (len(lines) - 1, "refresh", "alice", "ok", Shown("refresh_token", 1, 1), 2),
        (len(lines), "api", "alice", "ok", Shown("access_token", 1, 1), None),
    ]
    assert "fake-CNRY" not in repr(app.twin.log)


async def test_what_a_bad_client_does_is_in_the_log(app: App) -> None:
    tokens = await app.tokens()
    await app.refresh(tokens["refresh_token"])
    await app.refresh(tokens["refresh_token"])
    other = await app.tokens("bob")
    await app.revoke(other["refresh_token"])
    await app.get("/api/me", other["access_token"])

    assert [hit.shown for hit in app.twin.log.replays()] == [Shown("refresh_token", 1, 1)]
    assert app.twin.log.replays(window=timedelta(seconds=1)) == []
    assert [(hit.what, hit.person, hit.outcome) for hit in app.twin.log.after_revoke()] == [("api", "bob", "revoked")]


async def test_requests_for_one_grant_at_once_are_counted(app: App) -> None:
    app.twin.server.behaviour.reuse_window = timedelta(minutes=1)
    tokens = await app.tokens()
    app.twin.server.gate.close()

    async with anyio.create_task_group() as group:
        for _ in range(3):
            group.start_soon(app.refresh, tokens["refresh_token"])
        await app.twin.server.gate.arrival(3)
        app.twin.server.gate.open()

    assert app.twin.log.most_at_once() == 3


def test_steps_are_taken_in_order_by_the_requests_they_are_meant_for() -> None:
    script = Script()
    script.add(
        {"on": "refresh", "fault": "none"},
        {"on": "token", "fault": "html", "times": 2},
        {"on": "*", "fault": "reset", "person": "bob", "times": None},
    )

    taken = [script.take(what, who) for what, who in (("refresh", "alice"), ("api", "alice"), ("code", None))]
    assert [step and step.fault for step in taken] == [None, None, "html"]
    assert [step and step.fault for step in (script.take("api", "bob"), script.take("api", "bob"))] == ["reset"] * 2
    assert next(step.as_json() for step in script.steps()) == {
        "on": "token", "fault": "html", "times": 1, "person": None
    }  # fmt: skip


async def test_another_process_moves_the_clock(app: App, remote: RemoteTwin) -> None:
    before = await anyio.to_thread.run_sync(remote.now)
    await anyio.to_thread.run_sync(remote.advance, timedelta(hours=1))

    assert await anyio.to_thread.run_sync(remote.now) == before + timedelta(hours=1) == app.twin.clock.now()


async def test_another_process_reads_the_log(app: App, remote: RemoteTwin) -> None:
    await app.tokens()

    log = await anyio.to_thread.run_sync(remote.log)

    assert list(log) == list(app.twin.log)
    assert log.count("code", person="alice") == 1
    later = await anyio.to_thread.run_sync(remote.log, len(log) - 1)
    assert [hit.number for hit in later] == [len(log)]


async def test_another_process_writes_the_script(app: App, remote: RemoteTwin) -> None:
    step = {"on": "refresh", "fault": "error", "status": 500, "times": 2}
    left = await anyio.to_thread.run_sync(remote.script, step)
    assert left == [step | {"person": None}]
    tokens = await app.tokens()

    assert (await app.refresh(tokens["refresh_token"])).status_code == 500
    await anyio.to_thread.run_sync(remote.clear_script)
    assert (await app.refresh(tokens["refresh_token"])).status_code == 200


async def test_another_process_changes_behaviour_and_ends_tokens(app: App, remote: RemoteTwin) -> None:
    await anyio.to_thread.run_sync(lambda: remote.behave(reuse_window=30, auth_methods=["client_secret_post"]))
    tokens = await app.tokens()

    await anyio.to_thread.run_sync(remote.revoke_access, "alice")
    assert (await app.get("/api/me", tokens["access_token"])).status_code == 401
    assert (await app.refresh(tokens["refresh_token"])).status_code == 200
    assert (await app.refresh(tokens["refresh_token"])).status_code == 200
    await anyio.to_thread.run_sync(remote.revoke_all, "alice")
    assert (await app.refresh(tokens["refresh_token"])).json()["error"] == "invalid_grant"


@pytest.mark.parametrize(
    ("path", "body", "said"),
    [
        ("script", {"steps": [{"on": "refresh", "fault": "earthquake"}]}, "No fault is called earthquake"),
        ("behaviour", {"mood": "bad"}, "Behaviour has no mood"),
        ("people/mallory/revoke", None, "There is no mallory"),
        ("people/alice/promote", None, "no such way"),
    ],
)
async def test_what_it_does_not_know_is_refused_with_a_sentence(app: App, path: str, body: object, said: str) -> None:
    answer = await app.http.post(f"{app.twin.url}/twin/{path}", json=body)

    assert answer.status_code == 400
    assert said in answer.json()["error"]


async def test_only_this_machine_controls_it_and_under_its_own_name(app: App) -> None:
    answer = await app.http.get(f"{app.twin.url}/twin/log", headers={"Host": "rebound.example"})
    assert answer.status_code == 403

    stranger = httpx2.ASGITransport(app.twin, client=("192.0.2.7", 1234))
    async with httpx2.AsyncClient(transport=stranger) as http:
        assert (await http.get("http://127.0.0.1/twin/log")).status_code == 403


async def test_every_fault_explains_itself(app: App) -> None:
    faults = (await app.http.get(f"{app.twin.url}/twin/faults")).json()

    assert len(faults) > 80
    assert "rate_limited" in faults
    assert all(about.endswith(".") for about in faults.values())


def test_a_shared_clock_is_one_clock(tmp_path: Path) -> None:
    one, other = SharedClock(tmp_path / "clock"), SharedClock(tmp_path / "clock")

    one.advance(timedelta(days=1))
    one.advance(timedelta(hours=-1))

    ahead = other.now() - RunningClock().now()
    assert timedelta(hours=22, minutes=59) < ahead <= timedelta(hours=23)


def test_a_running_clock_goes_on_and_returns() -> None:
    clock = RunningClock()
    before = clock.now()
    clock.advance(timedelta(hours=1))
    assert clock.now() - before >= timedelta(hours=1)
    clock.return_to_now()
    assert timedelta(0) <= clock.now() - before < timedelta(minutes=1)


def test_a_hit_survives_the_journey_as_json() -> None:
    log = Log()
    log.note(RunningClock().now(), "refresh", "app", "alice", "ok", shown=Shown("refresh_token", 1, 1), gave=2)
    [hit] = log

    assert Hit.from_json(json.loads(json.dumps(hit.as_json()))) == hit


def test_there_is_no_twin_of_just_anybody() -> None:
    with pytest.raises(ValueError, match="there are hubspot"):
        make_twin("mycompany")

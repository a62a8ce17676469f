"""Whatever happens to a connection, in whatever order: the invariants of `connection_life` hold."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from gateway.store.store import Store
from tests.proofs.connection_life import ConnectionLife

AS_IT_IS = settings(
    deadline=None, database=None, print_blob=True, suppress_health_check=list(HealthCheck), stateful_step_count=50
)


@pytest.fixture
def template(tmp_path: Path) -> Path:
    async def make() -> None:
        await (await Store.open(f"sqlite:///{tmp_path}/template/gateway.db")).close()

    asyncio.run(make())
    return tmp_path / "template"


def test_the_invariants_hold_whatever_happens(template: Path, full: bool) -> None:
    class Here(ConnectionLife):
        pass

    Here.template = template
    run_state_machine_as_test(Here, settings=settings(AS_IT_IS, max_examples=300 if full else 5))

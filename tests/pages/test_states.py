"""Every page in every state: what the browser, a keyboard, a screen reader and a phone make of it, and its headers.

U1 to U4, and WCAG 2.2 AA: in light and in dark, 0 findings of axe-core.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import pytest
from starlette.routing import Route

from gateway.surfaces.doors import Entrance
from tests.journeys.chromium import PATIENCE, chromium
from tests.pages.contents import furnish
from tests.pages.examination import BESIDE, DESKTOP, examine
from tests.pages.hall import Hall, hall
from tests.pages.states import STATES
from tests.pages.visit import Visit


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def full_hall(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Hall]:
    async with hall(tmp_path_factory.mktemp("hall")) as made:
        await furnish(made)
        yield made


async def test_every_page_is_as_it_should_be_in_every_state(full_hall: Hall) -> None:
    found: list[str] = []
    async with chromium() as browser:
        context = await browser.new_context(locale="en-GB", timezone_id="UTC", viewport=DESKTOP)
        context.set_default_timeout(PATIENCE)
        await context.add_init_script(BESIDE)
        visit = Visit(full_hall, await context.new_page())
        for state in STATES:
            await visit.look_as("light", DESKTOP)
            await state.way(visit)
            found += [f"{state.name}: {each}" for each in await examine(visit, state, full_hall.porch.page)]
        await context.close()

    assert not found, "\n".join(found)
    seen = full_hall.porch.seen
    assert pages_of(full_hall) - {(each.method, each.route) for each in seen} == set()
    assert {f"{each.method} {each.route}" for each in seen if each.media_type == "text/html"} == {
        s.route for s in STATES
    }


def pages_of(hall: Hall) -> set[tuple[str, str]]:
    """Which routes answer a person, by method: those behind doors for people, and the one that sees to its own."""
    found: set[tuple[str, str]] = set()
    for route in hall.routes:
        if isinstance(route, Route):
            door = hall.doors.find(re.sub(r"{.*?}", "x", route.path))
            is_for_people = door and (
                door.entrance in (Entrance.BROWSER, Entrance.VISITOR) or route.path == "/authorize"
            )
            found |= {(method, route.path) for method in route.methods or () if is_for_people and method != "HEAD"}
    return found

"""The site of site.py, running, and two people's browsers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest

from gateway.authorization.server import Admission, configured_client
from gateway.secret import Secret
from gateway.store.store import Store
from gateway.surfaces.instance import Instance
from gateway.surfaces.listener import Listener
from tests.authorization.house import CALLBACK, SECRET, Documents, make_house
from tests.surfaces.authorization.site import Site


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    folder: Path = tmp_path_factory.mktemp("authorization")
    store = await Store.open(f"sqlite:///{folder}/gateway.db")
    documents = Documents()
    house = await make_house(store, documents)
    clients = (
        configured_client("intranet", "Intranet", [CALLBACK], Secret(SECRET)),
        configured_client("robot", "Robot", [], Secret(SECRET)),
    )
    site = Site(house, documents, Admission(clients, registration=True, fetch=documents.fetch))
    listener = Listener(site.app, Instance(b"i" * 32), port=0)
    site.url = await listener.base_url()
    yield site
    await listener.aclose()
    await house.audit.close()
    await store.close()


@pytest.fixture
async def site(running: Site) -> Site:
    await running.house.begin_anew()
    running.documents.asked.clear()
    running.documents.answers.clear()
    running.forget_registrations()
    return running


@pytest.fixture
async def alice(site: Site) -> AsyncIterator[httpx2.AsyncClient]:
    async with site.browser("alice") as browser:
        yield browser


@pytest.fixture
async def bob(site: Site) -> AsyncIterator[httpx2.AsyncClient]:
    async with site.browser("bob") as browser:
        yield browser

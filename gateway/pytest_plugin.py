"""For the tests of toolkits: twins of providers as fixtures, and a gateway that calls a toolkit's tools.

    # conftest.py
    pytest_plugins = ["gateway.pytest_plugin"]

Fixtures: `hubspot_twin`, `google_twin`, `salesforce_twin`, `microsoft_twin`, `hostile_twin`; `gateway_client`, which
connects people and calls tools; `gateway_clock`, which all of them follow. The author's own fixture `toolkit` says what
is loaded. Everything runs in a thread of its own, so tests are plain functions; a coroutine may use it as well. While a
twin is up, `HUBSPOT_API_URL` and its like say where.

Nothing heavy is imported before a fixture is used. Below: the app, `gateway.testing`. See docs/twins.md.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from anyio.from_thread import BlockingPortal

    from gateway.app import Gateway
    from gateway.clock import MovableClock
    from gateway.settings import Settings
    from gateway.testing.twins.twin import Twin
    from gateway.toolkit.content import ToolResult
    from gateway.types import Outcome


class NotConnectedError(Exception):
    """The tool needs an account that nobody has connected, or a scope that nobody granted: the message says which."""


@dataclass(slots=True)
class Stage:
    """What the fixtures of one test share: their thread, their clock, the twins that are up, the gateway that runs."""

    portal: BlockingPortal
    clock: MovableClock
    twins: list[Twin] = field(default_factory=list)
    running: ExitStack = field(default_factory=ExitStack)


class GatewayClient:
    """A gateway for one test, and the person who uses it.

    It starts with the first call or consent, and knows the twins that are up by then.
    """

    def __init__(self, stage: Stage, folder: Path, toolkit: str) -> None:
        self._stage = stage
        self._folder = folder
        self._toolkit = toolkit
        self._gateway: Gateway | None = None

    def call(self, tool: str, **arguments: Any) -> Any:
        """What the tool answers: its value, or its text.

        Raises NotConnectedError, the GatewayError that the call ended with, or a ToolError with what the tool itself
        told of an error.
        """
        return _value(self._stage.portal.call(_call, self._started(), tool, arguments))

    def connect(
        self, provider: str, user: str = "alice", *, scopes: Collection[str] = (), untick: Collection[str] = ()
    ) -> None:
        """Let a person consent, through the real pages. `untick` are scopes that they refuse.

        Raises NotConnectedError with what the last page says, where it did not end well.
        """
        person = (user, {f"scope:{scope}": "" for scope in untick})
        self._stage.portal.call(_connect, self._started(), provider, frozenset(scopes), person)

    def disconnect(self, provider: str) -> None:
        """End the person's connections to a provider, here and there."""
        self._stage.portal.call(_disconnect, self._started(), provider)

    def advance(self, by: timedelta) -> None:
        """Let time pass, for the gateway and for the twins."""
        self._stage.clock.advance(by)

    def _started(self) -> Gateway:
        from gateway import app

        if self._gateway is None:
            serving = app.serving(self._settings(), [self._toolkit], clock=self._stage.clock)
            running = self._stage.portal.wrap_async_context_manager(serving)
            self._gateway = self._stage.running.enter_context(running)
        return self._gateway

    def _settings(self) -> Settings:
        from gateway.settings import Database, OwnCatalogue, Server, Settings, Toolkits, VaultKey
        from gateway.vault.key_sources import new_key

        for twin in self._stage.twins:
            twin.write_provider(self._folder)
        return Settings(
            server=Server(port=0),
            database=Database(url=f"sqlite:///{(self._folder / 'gateway.db').as_posix()}"),
            vault=VaultKey(key=new_key()),
            toolkits=Toolkits(strict=True),
            catalogue=OwnCatalogue(folder=self._folder),
            providers={twin.id: twin.settings() for twin in self._stage.twins},
        )


async def _call(gateway: Gateway, tool: str, arguments: dict[str, Any]) -> Outcome:
    from gateway.toolkit.context import NullChannel
    from gateway.types import Call, Client

    call = Call(gateway.principal, Client("gateway_client"), tool, arguments, secrets.token_hex(8), NullChannel())
    return await gateway.executor.call(call)


def _value(outcome: Outcome) -> Any:
    from gateway.errors import ToolError
    from gateway.types import Done, Failed, NeedsConnection

    match outcome:
        case Done(result) if result.is_error:
            raise ToolError(_text(result))
        case Done(result):
            return result.structured if result.has_structured else _text(result)
        case Failed(error):
            raise error
        case NeedsConnection(message=message):
            raise NotConnectedError(message)
    raise RuntimeError("The tool asks its host something, which gateway_client does not answer.")


def _text(result: ToolResult) -> str:
    from gateway.toolkit.content import Text

    return "\n".join(part.text for part in result.content if isinstance(part, Text))


async def _connect(gateway: Gateway, provider: str, scopes: frozenset[str], person: tuple[str, dict[str, str]]) -> None:
    from gateway.testing.browser import Browser
    from gateway.types import FlowStatus, Requirement

    flows = (await gateway.accounts.open()).flows
    flow = await flows.begin(gateway.principal, "gateway_client", Requirement(provider, scopes=scopes), None)
    async with Browser() as browser:
        user, boxes = person
        page = await browser.consent(await flows.url(flow), user, values=boxes)
    if await flows.wait(flow.id, gateway.principal, 0) is not FlowStatus.CONNECTED:
        raise NotConnectedError(f"The consent ended with: {page.title}. {page.text}")


async def _disconnect(gateway: Gateway, provider: str) -> None:
    connections = (await gateway.accounts.open()).connections
    for connection in await connections.list(gateway.principal):
        if connection.provider == provider:
            await connections.disconnect(gateway.principal, connection.id)


@pytest.fixture
def gateway_clock() -> MovableClock:
    """Stands still until it is moved."""
    from gateway.clock import MovableClock

    return MovableClock()


@pytest.fixture
def gateway_stage(gateway_clock: MovableClock) -> Iterator[Stage]:
    """The thread that gateway and twins run in."""
    from anyio.from_thread import start_blocking_portal

    with start_blocking_portal() as portal:
        yield Stage(portal, gateway_clock)


@pytest.fixture
def toolkit() -> str:
    """The toolkit under test: a file, a folder or a dotted module. Yours takes the place of this one."""
    pytest.fail("gateway_client needs a fixture `toolkit` that returns the path of the toolkit to load.")


@pytest.fixture
def gateway_client(
    gateway_stage: Stage, toolkit: str | Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GatewayClient]:
    """Calls the toolkit's tools as a person who has connected, or not yet."""
    yield GatewayClient(gateway_stage, tmp_path_factory.mktemp("gateway"), str(toolkit))
    gateway_stage.running.close()


def _twin_fixture(name: str) -> Callable[..., Iterator[Twin]]:
    @pytest.fixture(name=f"{name}_twin")
    def twin(gateway_stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Iterator[Twin]:
        from gateway.testing.twins.twin import make_twin

        twin = make_twin(name, gateway_stage.clock)
        with gateway_stage.portal.wrap_async_context_manager(twin.served()) as url:
            monkeypatch.setenv(f"{name.upper()}_API_URL", url)
            monkeypatch.setenv("NO_PROXY", "127.0.0.1")
            gateway_stage.twins.append(twin)
            yield twin
            gateway_stage.running.close()  # before the twin goes: what is under way there is finished

    return twin


hubspot_twin = _twin_fixture("hubspot")
google_twin = _twin_fixture("google")
salesforce_twin = _twin_fixture("salesforce")
microsoft_twin = _twin_fixture("microsoft")
hostile_twin = _twin_fixture("hostile")

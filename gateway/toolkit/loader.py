"""Imports toolkits: a `.py` file, a folder, or a dotted module. What they register goes into the registry.

Each file is all or nothing: one that breaks half-way leaves no tool behind, is named with file and line in the report,
and does not keep the others from loading. Loading a file again replaces its tools; if it fails, the earlier ones stay.

A file is imported under a private name, so that two called `tools.py` do not meet, with its folder on `sys.path`, so
that it finds its siblings. Nothing it prints reaches stdout, which may be a protocol's.

A toolkit that runs in processes of its own is not imported here at all: `Isolation`, where there is one, says which
those are and brings their tools.

Below: `sources` (what to import), `imports` (how), `registry`, `shim`. Above: the command line, the app.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Protocol

from gateway.errors import LoadError, RegistrationError, ToolkitError
from gateway.toolkit.breakage import breakage
from gateway.toolkit.imports import Imports
from gateway.toolkit.pool import Pool
from gateway.toolkit.registry import Registry, clash
from gateway.toolkit.shim import sdk_importable
from gateway.toolkit.sink import loading_into
from gateway.toolkit.sources import Source, sources
from gateway.toolkit.tool import Tool


@dataclass(frozen=True, slots=True)
class LoadReport:
    """The tools that were added, and an error for each file that was not: its text begins with file and line."""

    tools: tuple[Tool, ...] = ()
    errors: tuple[ToolkitError, ...] = ()

    def plus(self, other: LoadReport) -> LoadReport:
        return LoadReport(self.tools + other.tools, self.errors + other.errors)


class Isolated(Protocol):
    """A toolkit that runs in processes of its own, which have been started."""

    def tools(self) -> Sequence[Tool]:
        """What it registers: waits until it is loaded. LoadError or RegistrationError, as it broke there."""
        ...

    def retire(self) -> None:
        """End its processes, as soon as their calls have ended."""
        ...


class Isolation(Protocol):
    """Which toolkits run in processes of their own, and the starting of those."""

    def covers(self, source: Source) -> bool: ...

    def start(self, source: Source) -> Isolated:
        """Have its first process started, and wait for nothing."""
        ...


class Loader:
    """Loads toolkits into `registry`; plain `def` tools run in `pool`. `isolation` of None: all run in this process."""

    def __init__(self, registry: Registry, pool: Pool | None = None, isolation: Isolation | None = None) -> None:
        self._registry = registry
        self._pool = pool or Pool()
        self._isolation = isolation
        self._imports = Imports()
        self._loaded: dict[Source, Intake | _Elsewhere] = {}
        self._lock = threading.Lock()

    def load(self, *targets: str) -> LoadReport:
        """Load paths or dotted modules. Never raises for what is wrong with a toolkit: the report says it."""
        with self._lock:
            found: list[tuple[str, list[Source] | LoadError]] = [(target, _found(target)) for target in targets]
            started = self._start([each for _, many in found if isinstance(many, list) for each in many])
            report = LoadReport()
            for target, many in found:
                one = LoadReport(errors=(many,)) if isinstance(many, LoadError) else self._load(target, many, started)
                report = report.plus(one)
            return report

    def load_source(self, source: Source) -> LoadReport:
        """Load one toolkit here, in this process."""
        with self._lock:
            return self._import(source)

    def _start(self, found: Sequence[Source]) -> Mapping[Source, Isolated]:
        """All at once: each takes a moment."""
        isolation = self._isolation
        if isolation is None:
            return {}
        return {source: isolation.start(source) for source in dict.fromkeys(found) if isolation.covers(source)}

    def _load(self, target: str, found: Sequence[Source], started: Mapping[Source, Isolated]) -> LoadReport:
        if any(source in self._loaded for source in found):
            self._imports.renew()
        report = LoadReport()
        for source in found:
            isolated = started.get(source)
            report = report.plus(self._take_in(source, isolated) if isolated else self._import(source))
        if report.errors or any(self._loaded[source].has_tools for source in found):
            return report
        return LoadReport(errors=(LoadError(f"{target}: {_NO_TOOLS}"),))

    def _import(self, source: Source) -> LoadReport:
        intake = Intake(self._registry, self._pool, source.name, self._replaced(source))
        try:
            with loading_into(intake), sdk_importable():
                self._imports.run(source)
            tools = intake.commit()
        except (Exception, SystemExit) as error:  # noqa: BLE001 - a toolkit may raise anything; the rest still loads
            self._imports.forget(source)
            return LoadReport(errors=(breakage(error, source),))
        self._settle(source, intake)
        return LoadReport(tools)

    def _take_in(self, source: Source, isolated: Isolated) -> LoadReport:
        """The same for a toolkit in processes of its own."""
        try:
            tools = tuple(isolated.tools())
        except ToolkitError as error:
            isolated.retire()
            return LoadReport(errors=(error,))
        try:
            self._registry.replace(self._replaced(source), tools)
        except RegistrationError as error:
            isolated.retire()
            return LoadReport(errors=(breakage(error, source),))
        self._settle(source, _Elsewhere(frozenset(tool.name for tool in tools), isolated))
        return LoadReport(tools)

    def _replaced(self, source: Source) -> AbstractSet[str]:
        """The names that an earlier loading of the same toolkit has put into the registry."""
        former = self._loaded.get(source)
        return former.names if former else frozenset()

    def _settle(self, source: Source, loaded: Intake | _Elsewhere) -> None:
        former = self._loaded.get(source)
        self._loaded[source] = loaded
        if isinstance(former, _Elsewhere) and former != loaded:  # the same, if it was named twice
            former.isolated.retire()


def _found(target: str) -> list[Source] | LoadError:
    try:
        return sources(target)
    except LoadError as error:
        return error


@dataclass(frozen=True, slots=True)
class _Elsewhere:
    """What was loaded of a toolkit that runs in processes of its own."""

    names: frozenset[str]
    isolated: Isolated

    @property
    def has_tools(self) -> bool:
        return bool(self.names)


class Intake:
    """The Sink of one file: holds its tools back until the file has been imported whole; later ones go through.

    `replaces` names the tools of an earlier loading of the file.
    """

    def __init__(self, registry: Registry, pool: Pool, toolkit: str, replaces: AbstractSet[str] | None = None) -> None:
        self.toolkit = toolkit
        self.pool = pool
        self.has_tools = False
        self._registry = registry
        self._replaces = replaces or frozenset()
        self._names: set[str] = set()
        self._held: dict[str, Tool] | None = {}

    @property
    def is_loading(self) -> bool:
        return self._held is not None

    @property
    def names(self) -> frozenset[str]:
        """The tools that are in the registry because of this file."""
        return frozenset(self._names)

    def add(self, tool: Tool) -> None:
        self.has_tools = True
        if self._held is None:
            self._registry.add(tool)
            self._names.add(tool.name)
            return
        taken = self._held.get(tool.name) or self._elsewhere(tool.name)
        if taken is None:
            self._held[tool.name] = tool
        elif taken.origin != tool.origin:  # else it is the same line, in a module that two others import
            raise RegistrationError(clash(tool, taken))

    def drop(self, name: str) -> bool:
        if self._held is not None:
            return self._held.pop(name, None) is not None
        self._names.discard(name)
        return self._registry.drop(name)

    def commit(self) -> tuple[Tool, ...]:
        """Put the file's tools into the registry, in the place of those it replaces."""
        tools = tuple((self._held or {}).values())
        self._registry.replace(self._replaces, tools)
        self._names = {tool.name for tool in tools}
        self._held = None
        return tools

    def _elsewhere(self, name: str) -> Tool | None:
        return None if name in self._replaces else self._registry.find(name)


_NO_TOOLS = (
    "it registers no tools. Decorate a function with @client.register_tool at the top level of the file, outside "
    '`if __name__ == "__main__":`.'
)

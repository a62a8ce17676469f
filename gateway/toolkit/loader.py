"""Imports toolkits: a `.py` file, a folder, or a dotted module. What they register goes into the registry.

Each file is all or nothing: one that breaks half-way leaves no tool behind, is named with file and line in the report,
and does not keep the others from loading. Loading a file again replaces its tools; if it fails, the earlier ones stay.

A file is imported under a private name, so that two called `tools.py` do not meet, with its folder on `sys.path`, so
that it finds its siblings. Nothing it prints reaches stdout, which may be a protocol's.

Below: `sources` (what to import), `imports` (how), `registry`, `shim`. Above: the command line, the app.
"""

from __future__ import annotations

import threading
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

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


class Loader:
    """Loads toolkits into `registry`; plain `def` tools run in `pool`."""

    def __init__(self, registry: Registry, pool: Pool | None = None) -> None:
        self._registry = registry
        self._pool = pool or Pool()
        self._imports = Imports()
        self._loaded: dict[Source, Intake] = {}
        self._lock = threading.Lock()

    def load(self, target: str) -> LoadReport:
        """Load a path or a dotted module. Never raises for what is wrong with a toolkit: the report says it."""
        with self._lock:
            try:
                found = sources(target)
            except LoadError as error:
                return LoadReport(errors=(error,))
            if any(source in self._loaded for source in found):
                self._imports.renew()
            report = LoadReport()
            for source in found:
                report = report.plus(self._load(source))
            if report.errors or any(self._loaded[source].has_tools for source in found):
                return report
            return LoadReport(errors=(LoadError(f"{target}: {_NO_TOOLS}"),))

    def _load(self, source: Source) -> LoadReport:
        former = self._loaded.get(source)
        intake = Intake(self._registry, self._pool, source.name, former.names if former else None)
        try:
            with loading_into(intake), sdk_importable():
                self._imports.run(source)
            tools = intake.commit()
        except (Exception, SystemExit) as error:  # noqa: BLE001 - a toolkit may raise anything; the rest still loads
            self._imports.forget(source)
            return LoadReport(errors=(breakage(error, source),))
        self._loaded[source] = intake
        return LoadReport(tools)


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

"""The tools that there are. Surfaces list them, the executor finds them, loaders and running tools change them.

Safe to use from any thread. A change is all or nothing and tells the subscribers once. The list is kept in the order
of toolkits, then of registration, so that it is the same after every start.

Below: `Tool`. Not here: who may see or call a tool (`gateway.access.policy`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable, Sequence

from gateway.errors import RegistrationError
from gateway.toolkit.tool import Tool

Changed = Callable[[], None]


class Registry:
    """Tools by name. Names are unique across all toolkits: they are what a host calls."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tools: dict[str, Tool] = {}
        self._order: dict[str, int] = {}
        self._listed: tuple[Tool, ...] = ()
        self._subscribers: list[Changed] = []

    def add(self, tool: Tool) -> None:
        """RegistrationError when another tool has the name."""
        self.replace((), [tool])

    def drop(self, name: str) -> bool:
        """Take a tool away; False when there is none of that name."""
        with self._lock:
            found = self._tools.pop(name, None)
            self._list()
        if found is not None:
            self._tell()
        return found is not None

    def replace(self, names: Collection[str], tools: Iterable[Tool]) -> None:
        """Put `tools` in the place of those called `names`: both, or neither and a RegistrationError."""
        with self._lock:
            wanted = {name: tool for name, tool in self._tools.items() if name not in names}
            for tool in tools:
                if taken := wanted.get(tool.name):
                    raise RegistrationError(clash(tool, taken))
                wanted[tool.name] = tool
            changed = wanted != self._tools
            self._tools = wanted
            self._list()
        if changed:
            self._tell()

    def find(self, name: str) -> Tool | None:
        return self._tools.get(name)

    def tools(self) -> Sequence[Tool]:
        """All of them, in order. The same tuple until something changes."""
        return self._listed

    def subscribe(self, changed: Changed) -> Changed:
        """Have `changed` called after every change, in whatever thread made it. The answer ends that."""
        with self._lock:
            self._subscribers.append(changed)

        def unsubscribe() -> None:
            with self._lock:
                if changed in self._subscribers:
                    self._subscribers.remove(changed)

        return unsubscribe

    def _list(self) -> None:
        for tool in self._tools.values():
            self._order.setdefault(tool.toolkit, len(self._order))
        self._listed = tuple(sorted(self._tools.values(), key=lambda tool: self._order[tool.toolkit]))

    def _tell(self) -> None:
        with self._lock:
            subscribers = tuple(self._subscribers)
        for changed in subscribers:
            changed()


def clash(tool: Tool, taken: Tool) -> str:
    """The sentence for two tools of one name, with where both are declared."""
    if tool.origin == taken.origin:
        return f"{tool.name} is registered twice, at {tool.origin or 'one place'}. Give one of the two another name."
    return (
        f"{tool.name} is registered at {tool.origin or tool.toolkit}, and at {taken.origin or taken.toolkit} already. "
        "Tool names are unique across all toolkits: give one of the two another name."
    )

"""Which set of tools a toolkit has, worked out from what the published SDK says while it starts.

It never says what it no longer has. What it does say, in this order:

    for each tool i:   verify_hash(H_i)     H_i: SHA-256 of the sources of tools 1 … i, in the order of their names
                       register(tool i, H_i), unless the answer was true
    start():           verify_hash(H_n)
                       if the answer was false, for each tool: verify_tool_hash, and register(tool, H_n) if false

So the first tool of a process is known by its toolkit_hash, which is its own code_hash. And since each registration
brings the source, it can be worked out here which set has which hash: `registered` does, and a verify_hash that names a
set just registered whole is start() speaking. Then the set is complete, and what it does not hold is gone. Where some
source is not known (the gateway has just been started, or an answer was true), start() is answered false, and its tools
are asked for one by one, by answering false for those whose source is missing, until their hash is H_n.

Several workers may start at once with the same tools. Then one may ask for its first tools just when another has
registered no more than those, and is taken for start(); so nothing is removed until the toolkit has been quiet for a
moment (`registration`), and each tool that is registered in it is kept. A tool that was refused still belongs to the
set. Sources are in memory only, bounded, and only until the set is committed. Pure.

Source: AgentToolProtocol 0.2.5, `register_tool`, `verify_and_register_tools`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import NamedTuple

MOST_SOURCE = 4 << 20  # characters of a round's sources, all together
MOST_NAMES = 400


def hash_of(sources: Mapping[str, str]) -> str:
    """The SDK's toolkit_hash of tools with these sources, by name."""
    return hashlib.sha256("".join(sources[name] for name in sorted(sources)).encode("utf-8", "replace")).hexdigest()


class WholeSet(NamedTuple):
    """All the tools of a toolkit, and their hash."""

    toolkit_hash: str
    names: frozenset[str]


class Round:
    """What one toolkit has said since its last worker began to register."""

    def __init__(self) -> None:
        self._sources: dict[str, str] = {}
        self._whole: dict[str, frozenset[str]] = {}
        self._listed_hash = ""
        self._listed: set[str] = set()

    def registered(self, name: str, source: str, code_hash: str, toolkit_hash: str) -> WholeSet | None:
        """A tool was registered. The set if it is complete thereby, which is at the end of start()."""
        if self._sources.get(name) == source and name in self._whole.get(toolkit_hash, ()):
            return None
        if toolkit_hash == code_hash and name not in self._listed:
            self._begin()
        self._sources[name] = source
        if self._is_too_much():
            self._begin()
            return None
        if hash_of(self._sources) == toolkit_hash:
            self._whole[toolkit_hash] = frozenset(self._sources)
        return self.proven() if toolkit_hash == self._listed_hash else None

    def asked(self, toolkit_hash: str) -> WholeSet | None:
        """verify_hash: the set with this hash, if it was registered whole, and nothing beside it."""
        names = self._whole.get(toolkit_hash)
        if names is not None and names == self._sources.keys():
            return WholeSet(toolkit_hash, names)
        self._listed_hash, self._listed = toolkit_hash, set()
        return None

    def is_listing(self) -> bool:
        """Whether start() may be asking for its tools one by one."""
        return bool(self._listed_hash)

    def listed(self, name: str) -> bool:
        """verify_tool_hash: start() has this tool. False where its source is wanted to work out the hash of the set."""
        self._listed.add(name)
        return name in self._sources

    def proven(self) -> WholeSet | None:
        """The set that was asked for one by one, if it is complete."""
        if not self._listed or not self._listed <= self._sources.keys():
            return None
        if hash_of({name: self._sources[name] for name in self._listed}) != self._listed_hash:
            return None
        whole = WholeSet(self._listed_hash, frozenset(self._listed))
        self._whole[whole.toolkit_hash] = whole.names
        self._listed_hash, self._listed = "", set()
        return whole

    def _begin(self) -> None:
        self._sources.clear()
        self._whole.clear()
        self._listed_hash, self._listed = "", set()

    def _is_too_much(self) -> bool:
        return len(self._sources) > MOST_NAMES or sum(map(len, self._sources.values())) > MOST_SOURCE

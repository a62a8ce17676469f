"""Which paths exist, and through which door one enters each. What is not listed here is not reachable.

A listed path is exact (`/mcp`), or everything below a folder (`/connect/*`). It doubles as the name of the route in
the access log, so that no key, flow or code that a path carries is ever written down.

Below: nothing. Above: the edge, which asks; the app, which lists.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import NamedTuple

from gateway.errors import SettingsError


class Entrance(StrEnum):
    """Who must be known before the route is entered.

    A visitor may be: whoever is signed in is known to the route, and it decides about the others by itself.

    Everybody may enter both by a public and by an open door; by an open one, pages of other sites too. What is behind
    an open door takes no cookie into account and says nothing about a person who did not prove who they are.

    By a replica's door comes another gateway of the same database, at the address that only those use. No key, cookie
    or token opens it: the route takes what such a gateway has sealed, and says to everybody else that it is not there.
    """

    PROGRAM = "program"
    BROWSER = "browser"
    VISITOR = "visitor"
    PUBLIC = "public"
    OPEN = "open"
    REPLICA = "replica"


class Door(NamedTuple):
    path: str
    entrance: Entrance


class Doors:
    """The list. Raises SettingsError for a path that is listed twice or would open everything."""

    def __init__(
        self,
        *,
        program: Iterable[str] = (),
        browser: Iterable[str] = (),
        visitor: Iterable[str] = (),
        public: Iterable[str] = (),
        open_to_all: Iterable[str] = (),
        replica: Iterable[str] = (),
        sign_in: str | None = None,
    ) -> None:
        self.sign_in = sign_in
        """Where somebody is led who comes to a browser's door and is nobody. None where nobody can sign in."""
        listed = [Door(path, Entrance.PROGRAM) for path in program]
        listed += [Door(path, Entrance.BROWSER) for path in browser]
        listed += [Door(path, Entrance.VISITOR) for path in visitor]
        listed += [Door(path, Entrance.PUBLIC) for path in public]
        listed += [Door(path, Entrance.OPEN) for path in open_to_all]
        listed += [Door(path, Entrance.REPLICA) for path in replica]
        for door in listed:
            _check(door, listed)
        self._exact = {door.path: door for door in listed if not door.path.endswith("/*")}
        folders = sorted((door for door in listed if door.path.endswith("/*")), key=lambda door: -len(door.path))
        self._folders = [(door.path[:-1], door) for door in folders]

    def find(self, path: str) -> Door | None:
        """The door for a routed path; the longest match wins. None: there is no such path."""
        found = self._exact.get(path)
        if found is not None:
            return found
        return next((door for folder, door in self._folders if path.startswith(folder) and path != folder), None)

    def __iter__(self) -> Iterator[Door]:
        yield from self._exact.values()
        yield from (door for _, door in self._folders)


def _check(door: Door, listed: list[Door]) -> None:
    if not door.path.startswith("/") or door.path == "/*" or "*" in door.path[:-1]:
        raise SettingsError(f"{door.path!r} is no path for a door: write it as /name or /folder/*.")
    if sum(door.path == other.path for other in listed) > 1:
        raise SettingsError(f"{door.path} is listed at two doors: keep one.")

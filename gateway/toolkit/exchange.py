"""What one run of a tool exchanges over HTTP, as far as it bears on its token and on running it a second time.

    watch = Watch(redactor.finds)
    with watching(watch):
        …                                    # the tool; hooks in the HTTP libraries report here
    watch.last_with_token.status             # 401

Known of an exchange are its method, host and path, its status, whether it carried the token, and what a refusal says
of itself in `WWW-Authenticate`. Bodies, queries and header values are never kept. The watch follows the call into its
thread and its tasks. Threads that a tool starts by itself do not know whose they are: a request of theirs is counted
to every run whose token it carries.

Above: `http_hooks`, which report, and the rooms that judge. Source: RFC 6750 section 3, RFC 9110 section 9.2.1.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

_READING = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
_TURNED_DOWN = range(400, 500)
_REMEMBERED = 50  # requests that may have acted; more of them change nothing
_PARAMETER = re.compile(r'(\w+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))')


@dataclass(slots=True, eq=False)
class Exchange:
    """One request and its answer. `where` is host and path; a `status` of None means that no answer is known."""

    method: str
    where: str
    carries_token: bool
    status: int | None = None
    challenge: Mapping[str, str] = field(default_factory=dict)

    @property
    def may_have_acted(self) -> bool:
        """Whether it may have changed something over there: it did not only read, and was not turned down."""
        return self.method not in _READING and self.status not in _TURNED_DOWN

    def __str__(self) -> str:
        return f"{self.method} {self.where} ({self.status or 'no answer'})"


class Watch:
    """What is known of one run's exchanges: a fixed amount, however many there are.

    `carries` says whether text holds the token in any of the forms it may travel in.
    """

    def __init__(self, carries: Callable[[str], bool]) -> None:
        self.carries = carries
        self.last: Exchange | None = None
        """The latest that was answered."""
        self.last_with_token: Exchange | None = None
        self.token_worked = False
        self._acting: list[Exchange] = []

    @property
    def acted(self) -> list[Exchange]:
        """The requests that may have changed something."""
        return [exchange for exchange in self._acting if exchange.may_have_acted]

    def sent(self, method: str, where: str, *, carries_token: bool) -> Exchange:
        """A request is about to leave."""
        exchange = Exchange(method.upper(), where, carries_token)
        if exchange.may_have_acted and len(self._acting) < _REMEMBERED:
            self._acting.append(exchange)
        return exchange

    def answered(self, exchange: Exchange, status: int, challenges: Sequence[str]) -> None:
        """Its answer's status is there, and its `WWW-Authenticate` headers if it was refused."""
        exchange.status = status
        exchange.challenge = parameters(challenges) if status in (401, 403) else {}
        self.last = exchange
        if exchange.carries_token:
            self.last_with_token = exchange
            self.token_worked = self.token_worked or status < 400
        if not exchange.may_have_acted and exchange in self._acting:
            self._acting.remove(exchange)

    def as_json(self) -> dict[str, Any]:
        """All of it, for another process to `take_over`."""
        marked = [each for each in (self.last, self.last_with_token) if each is not None]
        known = list(dict.fromkeys([*self._acting, *marked]))  # each once: that two of them are one is told, too
        return {
            "exchanges": [[it.method, it.where, it.carries_token, it.status, dict(it.challenge)] for it in known],
            "acting": [known.index(each) for each in self._acting],
            "last": None if self.last is None else known.index(self.last),
            "last_with_token": None if self.last_with_token is None else known.index(self.last_with_token),
            "token_worked": self.token_worked,
        }

    def take_over(self, told: Mapping[str, Any]) -> None:
        """Know what a watch in another process knew of the same run."""
        known = [Exchange(*each) for each in told["exchanges"]]
        self._acting = [known[number] for number in told["acting"]]
        self.last = None if told["last"] is None else known[told["last"]]
        self.last_with_token = None if told["last_with_token"] is None else known[told["last_with_token"]]
        self.token_worked = told["token_worked"]


_current: ContextVar[Watch | None] = ContextVar("atp_gateway_watch", default=None)
_open: set[Watch] = set()


class watching:  # noqa: N801 - used as the word it is
    """Whatever runs inside the block, and all that it starts, reports to `watch`. None: nobody watches."""

    __slots__ = ("_token", "_watch")

    def __init__(self, watch: Watch | None) -> None:
        self._watch = watch

    def __enter__(self) -> None:
        self._token = _current.set(self._watch)
        if self._watch is not None:
            _open.add(self._watch)

    def __exit__(self, *_: object) -> None:
        _current.reset(self._token)
        if self._watch is not None:
            _open.discard(self._watch)


def current_watch() -> Watch | None:
    """Who watches this run: for whoever runs it elsewhere and brings back what was seen there."""
    return _current.get()


def is_watched() -> bool:
    """Whether anybody may want to hear of a request made here and now. Asked first: it costs next to nothing."""
    return _current.get() is not None or bool(_open)


Reports = list[tuple[Watch, Exchange]]


def sent(method: str, where: str, head: str) -> Reports:
    """Report a request about to leave, to everyone it concerns. `head` is its address and headers, as text."""
    where = where.partition("?")[0]
    watch = _current.get()
    if watch is not None:
        return [(watch, watch.sent(method, where, carries_token=watch.carries(head)))]
    return [(each, each.sent(method, where, carries_token=True)) for each in tuple(_open) if each.carries(head)]


def answered(reports: Reports, status: int, challenges: Sequence[str]) -> None:
    """Report the answer to what `sent` gave."""
    for watch, exchange in reports:
        watch.answered(exchange, status, challenges)


def parameters(challenges: Sequence[str]) -> dict[str, str]:
    """The parameters of `WWW-Authenticate` headers, such as `error` and `scope`: the first of each name."""
    found: dict[str, str] = {}
    for challenge in challenges:
        for name, quoted, bare in _PARAMETER.findall(challenge[:2000]):
            found.setdefault(name.lower(), re.sub(r"\\(.)", r"\1", quoted) or bare)
    return found

"""Which set of tools a toolkit has, from what the published SDK says while it starts."""

from __future__ import annotations

import hashlib
import random
import subprocess
import sys

import pytest

from gateway.remote import rounds
from gateway.remote.rounds import Round, hash_of

SOURCES = {f"tool_{letter}": f"def tool_{letter}(): ...\n" for letter in "dabec"}


def digest(source):
    return hashlib.sha256(source.encode()).hexdigest()


class Sdk:
    """What a process with these tools says, one word at a time, to a gateway that keeps `committed`."""

    def __init__(self, sources, gateway):
        self.sources, self.gateway = sources, gateway

    def words(self):
        """Run it: `yield`s between two requests, where another process may come in between."""
        declared = {}
        for name, source in self.sources.items():
            declared[name] = source
            if not self.gateway.verify_hash(hash_of(declared)):
                yield
                self.gateway.register(name, source, hash_of(declared))
            yield
        whole = hash_of(declared)
        if self.gateway.verify_hash(whole):
            return
        for name, source in self.sources.items():
            yield
            if not self.gateway.verify_tool_hash(name, digest(source)):
                yield
                self.gateway.register(name, source, whole)

    def run(self, steps=None):
        for number, _ in enumerate(self.words()):
            if number == steps:
                return
        self.gateway.quiet()


class Gateway:
    """What `registration` makes of a Round, without the database."""

    def __init__(self):
        self.round = Round()
        self.tools, self.committed, self.complete = {}, None, None

    def verify_hash(self, toolkit_hash):
        if toolkit_hash == self.committed:
            return True
        whole = self.round.asked(toolkit_hash)
        self.completed(whole)
        return whole is not None

    def verify_tool_hash(self, name, code_hash):
        answer = self.tools.get(name) == code_hash
        if self.round.is_listing():
            answer = self.round.listed(name) and answer
            self.completed(self.round.proven())
        return answer

    def register(self, name, source, toolkit_hash):
        self.tools[name] = digest(source)
        if self.complete:
            self.complete = self.complete._replace(names=self.complete.names | {name})
        self.completed(self.round.registered(name, source, digest(source), toolkit_hash))

    def completed(self, whole):
        self.complete = whole or self.complete

    def quiet(self):
        if self.complete:
            self.committed, names = self.complete
            self.tools = {name: code for name, code in self.tools.items() if name in names}
            self.round, self.complete = Round(), None

    def restart(self):
        self.round, self.complete = Round(), None


@pytest.fixture
def gateway():
    return Gateway()


def without(*names):
    return {name: source for name, source in SOURCES.items() if name not in names}


def check(gateway, sources):
    assert gateway.tools == {name: digest(source) for name, source in sources.items()}
    assert gateway.committed == hash_of(sources)


def test_the_hash_is_that_of_the_published_sdk():
    program = f"""
from atp_sdk.clients import ToolKitClient
client = ToolKitClient.__new__(ToolKitClient)
client.registered_tools = {{name: {{"source_code": source}} for name, source in {SOURCES!r}.items()}}
print(client._compute_toolkit_hash())
"""
    finished = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)

    assert finished.stdout.strip() == hash_of(SOURCES)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_a_first_start_and_a_second_commit_to_the_same_set(gateway, count):
    sources = dict(list(SOURCES.items())[:count])
    Sdk(sources, gateway).run()
    check(gateway, sources)
    Sdk(sources, gateway).run()
    check(gateway, sources)


@pytest.mark.parametrize("gone", [*SOURCES, None])
def test_a_tool_that_is_gone_is_noticed_whichever_it_is(gateway, gone):
    Sdk(SOURCES, gateway).run()

    Sdk(without(gone), gateway).run()

    check(gateway, without(gone))


@pytest.mark.parametrize("changed", SOURCES)
def test_a_changed_tool_and_a_tool_at_each_place_that_is_new(gateway, changed):
    Sdk(without(changed), gateway).run()
    Sdk(SOURCES, gateway).run()
    check(gateway, SOURCES)

    again = SOURCES | {changed: "def changed(): ...\n"}
    Sdk(again, gateway).run()

    check(gateway, again)


@pytest.mark.parametrize("steps", range(9))
def test_a_gateway_that_is_restarted_in_the_middle_learns_the_set_all_the_same(gateway, steps):
    Sdk(SOURCES, gateway).run()
    gateway.restart()
    words = Sdk(without("tool_a"), gateway).words()
    for _ in range(steps):
        next(words, None)
    gateway.restart()
    for _ in words:
        pass
    gateway.quiet()

    check(gateway, without("tool_a"))


@pytest.mark.parametrize("steps", range(1, 12))
def test_a_worker_that_dies_while_it_registers_removes_nothing(gateway, steps):
    Sdk(SOURCES, gateway).run()

    Sdk(SOURCES | {"tool_d": "def changed(): ...\n"}, gateway).run(steps=steps)

    assert gateway.tools.keys() == SOURCES.keys()


def test_workers_that_start_together_commit_to_the_whole_set(gateway, full):
    for seed in range(500 if full else 60):
        dice, gateway = random.Random(seed), Gateway()
        Sdk(SOURCES | {"tool_old": "def old(): ...\n"}, gateway).run()
        crew = [Sdk(SOURCES, gateway).words() for _ in range(3)]
        while crew:
            one = dice.choice(crew)
            if next(one, "done") == "done":
                crew.remove(one)
        gateway.quiet()

        check(gateway, SOURCES)


def test_a_round_forgets_when_it_would_grow_too_large():
    mine = Round()
    for number in range(6):
        mine.registered(f"t{number}", "x" * (rounds.MOST_SOURCE // 5), "c", "h")
    for number in range(2 * rounds.MOST_NAMES):
        mine.registered(f"u{number}", "", "c", "h")

    assert sum(map(len, mine._sources.values())) <= rounds.MOST_SOURCE
    assert len(mine._sources) <= rounds.MOST_NAMES

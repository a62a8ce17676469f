"""Processes that contend for a database."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.warm import python

Contend = Callable[..., list[Any]]


@pytest.fixture
def spawn() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts `contender.py` with arguments; ends it with the test."""
    processes = []

    def start(*arguments: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            python(Path(__file__).with_name("contender.py"), *arguments),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        )
        processes.append(process)
        return process

    yield start
    for process in processes:
        process.kill()
        process.communicate()


@pytest.fixture
def contend(spawn: Callable[..., subprocess.Popen[str]]) -> Contend:
    """Runs `contender.py` in several processes, lets them go at the same moment, and gives what each answers."""

    def run(processes: int, *arguments: str) -> list[Any]:
        started = [spawn(*arguments) for _ in range(processes)]
        for process in started:
            assert process.stdout
            assert process.stdout.readline() == "ready\n"
        for process in started:
            assert process.stdin
            process.stdin.write("go\n")
            process.stdin.flush()
        return [json.loads(process.communicate(timeout=60)[0]) for process in started]

    return run

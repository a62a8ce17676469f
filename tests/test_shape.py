"""The house rules that a machine can hold: sizes, names, who imports whom, and what must not be written anywhere.

The numbers are limits at which to think again. Raising one is a commit of its own, with the reason.
"""

from __future__ import annotations

import ast
import dataclasses
import os
import re
import statistics
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from itertools import chain
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

MOST_LINES_A_FILE = 400
MOST_LINES_A_FUNCTION = 60
MEDIAN_LINES_A_FUNCTION = 10
MOST_CONSTRUCTOR_PARAMETERS = 8
MOST_SETTINGS = 64
MOST_PATCHES_IN_TESTS = 3

TEXT = {
    ".py",
    ".mjs",
    ".toml",
    ".md",
    ".html",
    ".css",
    ".js",
    ".json",
    ".lock",
    ".in",
    ".tsv",
    ".yml",
    ".yaml",
    ".txt",
    "",
}
NOT_OURS = {"node_modules", "__pycache__", "dist", "build"}


def files(*folders: str, suffix: str | None = None) -> list[Path]:
    """The project's files: what an installation or a run leaves behind is not among them."""
    found = []
    for top in folders:
        for folder, below, names in os.walk(ROOT / top):
            below[:] = [name for name in below if name not in NOT_OURS and (name == ".ci" or name[0] != ".")]
            paths = [Path(folder, name) for name in names if name[0] != "."]
            found += [path for path in paths if (path.suffix == suffix if suffix else path.suffix in TEXT)]
    return sorted(found)


SOURCES = files("gateway", "toolkits", "benchmarks", suffix=".py")
TESTS = [path for path in files("tests", suffix=".py") if path != Path(__file__)]


@cache
def trees() -> dict[Path, ast.Module]:
    return {path: ast.parse(path.read_text(), str(path)) for path in SOURCES}


def where(path: Path, line: int) -> str:
    return f"{path.relative_to(ROOT)}:{line}"


def functions() -> Iterator[tuple[Path, ast.FunctionDef | ast.AsyncFunctionDef, int]]:
    """Every function of ours, with its length in lines."""
    for path, tree in trees().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield path, node, (node.end_lineno or node.lineno) - node.lineno + 1


def lines_matching(pattern: str, paths: list[Path]) -> list[str]:
    expression = re.compile(pattern)
    return [
        f"{where(path, number)} {line.strip()}"
        for path in paths
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if expression.search(line)
    ]


def test_a_file_fits_in_a_head():
    lengths = {path: len(path.read_text().splitlines()) for path in SOURCES}

    assert [(where(path, 1), n) for path, n in lengths.items() if n > MOST_LINES_A_FILE] == []


def test_a_function_fits_on_a_screen():
    """But for a migration, which is a list of statements, written once."""
    long = [(where(path, f.lineno), f.name, n) for path, f, n in functions() if n > MOST_LINES_A_FUNCTION]

    assert [found for found in long if "/migrations/versions/" not in found[0]] == []


def test_most_functions_are_short():
    assert statistics.median(n for _, _, n in functions()) <= MEDIAN_LINES_A_FUNCTION


def test_a_constructor_takes_few_collaborators():
    crowded = [
        (where(path, f.lineno), count)
        for path, f, _ in functions()
        if f.name == "__init__"
        and (count := len([*f.args.posonlyargs, *f.args.args, *f.args.kwonlyargs]) - 1) > MOST_CONSTRUCTOR_PARAMETERS
    ]

    assert crowded == []


def test_the_settings_are_few():
    from gateway.oauth.apps import ProviderSettings
    from gateway.settings import Settings

    made = [field.default_factory for field in dataclasses.fields(Settings)]
    sections = [section for section in made if dataclasses.is_dataclass(section)]
    count = sum(len(dataclasses.fields(section)) for section in [*sections, ProviderSettings])

    assert count <= MOST_SETTINGS


def test_every_module_of_the_gateway_says_what_it_is():
    silent = [
        where(path, 1)
        for path, tree in trees().items()
        if path.is_relative_to(ROOT / "gateway") and not ast.get_docstring(tree)
    ]

    assert silent == []


def test_no_module_is_named_for_nothing_in_particular():
    empty_words = {"utils", "util", "helpers", "helper", "common", "misc", "core", "manager", "service", "base"}

    assert [where(path, 1) for path in SOURCES if empty_words & set(path.stem.split("_"))] == []


def test_whoever_catches_everything_says_why_or_raises_again():
    """A comment on the line, or a bare `raise` as the last thing done."""
    wide = {"Exception", "BaseException"}
    silent = []
    for path, tree in trees().items():
        lines = path.read_text().splitlines()
        for node in ast.walk(tree):
            if not isinstance(node, ast.ExceptHandler):
                continue
            caught = {n.id for n in ast.walk(node.type) if isinstance(n, ast.Name)} if node.type else wide
            raises = isinstance(node.body[-1], ast.Raise) and node.body[-1].exc is None
            if caught & wide and not raises and "#" not in lines[node.lineno - 1]:
                silent.append(f"{where(path, node.lineno)} {lines[node.lineno - 1].strip()}")

    assert silent == []


def test_every_exception_to_the_lint_carries_its_reason():
    assert lines_matching(r"#\s*(ruff: )?noqa(?!: [A-Z0-9, ]+ - \w)", [*SOURCES, *TESTS]) == []


def test_nothing_is_left_unfinished():
    assert lines_matching(r"\b(TODO|FIXME|XXX|HACK)\b|raise NotImplemented", SOURCES) == []


def test_only_the_top_reads_the_environment():
    top = {"settings.py", "app.py", "cli", "testing"}
    below = [path for path in SOURCES if path.is_relative_to(ROOT / "gateway")]
    below = [path for path in below if path.relative_to(ROOT / "gateway").parts[0] not in top]

    assert lines_matching(r"\bos\.(environ|getenv)\b|\bfrom os import .*environ", below) == []


def test_tests_use_the_real_thing():
    assert lines_matching(r"\b(MagicMock|AsyncMock|Mock\(|mocker|unittest\.mock|create_autospec)\b", TESTS) == []
    assert len(lines_matching(r"\bmonkeypatch\.(set|del)(attr|item)", TESTS)) <= MOST_PATCHES_IN_TESTS


def test_tests_wait_for_events_and_never_for_time():
    assert lines_matching(r"\b(time|asyncio|anyio|trio)\.sleep\((?!0\))", TESTS) == []


def test_tests_neither_skip_nor_expect_to_fail():
    """But for the want of a browser on a developer's machine: CI installs one, and lets no skipped test pass."""
    found = lines_matching(r"pytest\.(mark\.)?(skip|skipif|xfail|importorskip)\b", TESTS)

    assert [line.partition(" ")[2] for line in found] == ["pytest.skip(MISSING)"]


def test_the_files_that_begin_a_run_are_there():
    tests = ROOT / "tests"
    assert [line for line in (tests / "slowest.txt").read_text().split() if not (tests / line).is_file()] == []


def test_rooms_import_only_downward():
    """The contracts stand in pyproject.toml; `lint-imports` draws the chain that breaks one."""
    linter = Path(sys.executable).parent / "lint-imports"
    finished = subprocess.run(
        [linter, "--no-cache"], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )

    assert finished.returncode == 0, finished.stdout + finished.stderr


def test_importing_the_package_loads_nothing_heavy():
    heavy = {"sqlalchemy", "sqlmodel", "starlette", "uvicorn", "mcp", "authlib", "cryptography", "httpx2", "pydantic"}
    program = f"import sys, gateway; print(*({heavy!r} & sys.modules.keys()))"
    finished = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)

    assert finished.stdout.split() == []


def test_the_project_names_no_machine_and_no_registry():
    """Whoever installs brings their own index; whoever reads has their own home folder."""
    ours = [path for path in [*files("."), ROOT / "Makefile", ROOT / "Dockerfile"] if path != Path(__file__)]
    hosts = r"\b(pypi\.org|pythonhosted\.org|npmjs\.(org|com)|yarnpkg\.com)\b"

    assert lines_matching(hosts, ours) == []
    assert lines_matching(r"(?<![\w.}])/(root|home|Users|work)/(?!(you|me|user|someone)\b)\w+", ours) == []
    assert lines_matching(r"^--|^-[ief] |--(extra-)?index-url|--find-links| @ (https?|file):", lock_files()) == []


def lock_files() -> list[Path]:
    return sorted([*ROOT.glob("*.lock"), *ROOT.glob("tests/*.lock")])


def test_everything_locked_has_a_hash():
    requirements = "\n".join(path.read_text() for path in lock_files()).replace("\\\n", " ").splitlines()
    pinned = [line for line in requirements if re.match(r"[\w.-]+(\[[\w,]+\])?==", line)]

    assert len(pinned) > 50
    assert [line for line in pinned if "--hash=sha256:" not in line] == []


def test_the_lock_holds_what_the_project_asks_for():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    asked = [
        *project["project"]["dependencies"],
        *project["project"]["optional-dependencies"]["postgres"],
        *project["dependency-groups"]["dev"],
        *project["build-system"]["requires"],
    ]
    locked = set(re.findall(r"^([\w.-]+)==", (ROOT / "requirements.lock").read_text(), re.MULTILINE))

    assert {normal(name) for name in asked} - locked == set(), "run: make lock"


def test_the_oldest_lock_holds_the_oldest_versions_that_may_be_installed():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    asked = [*project["dependencies"], *chain.from_iterable(project["optional-dependencies"].values())]
    locked = dict(re.findall(r"^([\w.-]+)==([\d.]+)", (ROOT / "tests" / "lowest.lock").read_text(), re.MULTILINE))

    for requirement in asked:
        oldest = requirement.partition(">=")[2].partition(",")[0].split(".")
        assert locked[normal(requirement)].split(".")[: len(oldest)] == oldest, f"{requirement}: run make lock"


def normal(requirement: str) -> str:
    name = re.match(r"[\w.-]+", requirement)
    assert name
    return re.sub(r"[-_.]+", "-", name[0]).lower()


@pytest.fixture
def dockerfile() -> list[str]:
    return (ROOT / "Dockerfile").read_text().replace("\\\n", " ").splitlines()


def test_the_dockerfile_copies_files_that_exist(dockerfile):
    copied = [line.split()[1:-1] for line in dockerfile if line.startswith("COPY ") and "--from" not in line]

    assert copied
    assert [source for sources in copied for source in sources if not (ROOT / source).exists()] == []


def test_the_dockerfile_starts_a_command_that_exists(dockerfile):
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    entry = next(line for line in dockerfile if line.startswith("ENTRYPOINT"))

    assert re.findall(r'"([^"]+)"', entry)[0] in scripts
    assert any(line.startswith("USER ") and "root" not in line for line in dockerfile)

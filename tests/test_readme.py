"""What the README tells a newcomer is true: its code loads, its commands and settings exist."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from gateway.cli import COMMANDS
from gateway.settings import load_settings
from gateway.toolkit.loader import Loader
from gateway.toolkit.registry import Registry

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
PYTHON = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
SHELL = "\n".join(re.findall(r"```sh\n(.*?)```", README, re.DOTALL)) + "\n".join(
    re.findall(r"   ```sh\n(.*?)```", README, re.DOTALL)
)


@pytest.mark.parametrize("code", PYTHON, ids=lambda code: re.search(r"def (\w+)", code)[1])
def test_the_code_in_the_readme_is_a_toolkit_that_loads(code, tmp_path):
    path = tmp_path / "crm.py"
    path.write_text(code)
    report = Loader(Registry()).load(str(path))
    assert (len(report.tools), report.errors) == (1, ())


def test_every_command_in_the_readme_exists_and_every_command_is_in_it():
    named = set(re.findall(r"atp-gateway (\w+)", README)) | set(re.findall(r"^\| `(\w+)", README, re.MULTILINE))
    assert named == set(COMMANDS)


def test_every_make_target_in_the_readme_exists():
    targets = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)[1].split()
    lines = re.findall(r"make ((?:[a-z]+ ?)+)", SHELL)
    assert lines
    assert {name for line in lines for name in line.split()} <= set(targets)


def test_every_extra_in_the_readme_exists():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert set(re.findall(r"\.\[(\w+)\]", README)) <= set(extras)


def test_every_setting_in_the_readme_is_one():
    variables = set(re.findall(r"ATP_GATEWAY_\w+", README))
    assert variables
    assert load_settings(None, dict.fromkeys(variables, "x")).providers


@pytest.mark.parametrize("path", re.findall(r"\]\((?!http)([^)#]+)\)", README))
def test_every_file_the_readme_links_to_is_there(path):
    assert (ROOT / path).exists()

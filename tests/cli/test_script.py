"""A file run as the program that it is."""

from __future__ import annotations

import sys
from pathlib import Path
from textwrap import dedent

import pytest

from gateway.cli.script import as_main, execute


@pytest.fixture
def run(tmp_path: Path) -> object:
    """Runs some code as a script; gives its exit code."""

    def run_it(code: str, *arguments: str) -> int:
        script = tmp_path / "crm.py"
        script.write_text(dedent(code))
        with as_main(script, arguments) as module:
            return execute(module)

    return run_it


def test_a_script_is_main_with_its_own_arguments_folder_and_name(run, tmp_path, capsys) -> None:
    (tmp_path / "beside.py").write_text("VALUE = 7")

    code = run(
        """
        import sys, beside
        assert __name__ == "__main__" and sys.modules["__main__"].beside is beside
        print(beside.VALUE, sys.argv[1:], __file__)
        """,
        "--now",
        "x y",
    )

    assert code == 0
    assert capsys.readouterr().out == f"7 ['--now', 'x y'] {tmp_path / 'crm.py'}\n"


def test_the_process_is_as_before_afterwards(run) -> None:
    before = sys.modules["__main__"], list(sys.argv), list(sys.path)

    run("import sys; sys.path.append('/somewhere'); sys.argv.clear(); sys.argv.append('x')")

    assert (sys.modules["__main__"], sys.argv, sys.path) == before


def test_a_script_does_not_inherit_our_language_options(run, capsys) -> None:
    """`from __future__ import annotations` here would turn its annotations into strings."""
    run("def f(a: int): ...\nprint(f.__annotations__)")

    assert capsys.readouterr().out == "{'a': <class 'int'>}\n"


@pytest.mark.parametrize(
    ("code", "status", "said"),
    [("pass", 0, ""), ("exit()", 0, ""), ("exit(3)", 3, ""), ("exit('no key')", 1, "no key\n"), ("exit(True)", 1, "")],
)
def test_a_script_ends_with_its_own_exit_code(run, capsys, code: str, status: int, said: str) -> None:
    assert run(code.replace("exit", "import sys; sys.exit")) == status
    assert capsys.readouterr().err == said


def test_an_error_is_shown_as_python_would_without_our_frames(run, capsys) -> None:
    status = run(
        """
        from gateway import LLMClient

        def connect():
            LLMClient().list_my_toolkits()

        try:
            connect()
        except Exception as error:
            raise RuntimeError("no toolkits") from error
        """
    )

    told = capsys.readouterr().err
    assert status == 1
    assert told.count("Traceback (most recent call last)") == 2
    assert 'crm.py", line 5, in connect' in told
    assert "RuntimeError: no toolkits" in told
    assert "GatewayError: This LLMClient does not know" in told
    assert "/gateway/" not in told


def test_a_syntax_error_names_the_line(run, capsys) -> None:
    assert run("x = 1\ny = = 2") == 1
    told = capsys.readouterr().err
    assert 'crm.py", line 2' in told
    assert "SyntaxError" in told
    assert "/gateway/" not in told


def test_an_error_does_not_show_a_secret(run, capsys) -> None:
    run("raise ValueError('Authorization: Bearer token-0123456789')")

    told = capsys.readouterr().err
    assert "ValueError" in told
    assert "token-0123456789" not in told


def test_an_interruption_is_not_an_error_of_the_script(run) -> None:
    with pytest.raises(KeyboardInterrupt):
        run("raise KeyboardInterrupt")

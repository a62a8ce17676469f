"""Which files a name means, how they are imported, and what a broken one leaves behind: nothing but a sentence."""

from __future__ import annotations

import io
import os
import sys
import threading
from pathlib import Path

import pytest

from gateway.errors import LoadError, RegistrationError
from gateway.secret import Secret
from gateway.toolkit.loader import LoadReport

CLIENT = """\
from gateway import ToolKitClient
client = ToolKitClient(app_name="{app}")

@client.tool(function_name="{tool}")
def function():
    return "{tool} of {app}"
"""


@pytest.fixture
def toolkit(write):
    """Write a toolkit with one tool."""

    def toolkit(name, tool, app="", more=""):
        return write(name, CLIENT.format(app=app, tool=tool) + more)

    return toolkit


@pytest.fixture(autouse=True)
def process_as_before():
    """Loading changes the process: a test leaves it as it was."""
    modules, path = dict(sys.modules), list(sys.path)
    yield
    sys.path[:] = path
    for name in sys.modules.keys() - modules.keys():
        if not name.startswith(("gateway", "pydantic", "jsonschema", "docstring")):
            del sys.modules[name]


def names(report_or_registry):
    tools = report_or_registry.tools
    return [tool.name for tool in (tools() if callable(tools) else tools)]


def test_a_file_is_loaded(loader, registry, toolkit):
    report = loader.load(str(toolkit("crm.py", "find")))

    assert names(report) == names(registry) == ["find"]
    assert report.errors == ()
    assert registry.find("find").toolkit == "crm"


def test_a_folder_s_files_are_loaded_in_order_without_private_ones(loader, toolkit, tmp_path):
    for name, tool in [("b.py", "b"), ("a.py", "a"), ("_private.py", "p")]:
        toolkit(name, tool)
    (tmp_path / "notes.txt").write_text("not a toolkit")

    assert names(loader.load(str(tmp_path))) == ["a", "b"]


def test_a_folder_with_a_toolkit_py_is_that_file(loader, registry, toolkit, tmp_path):
    toolkit("crm/toolkit.py", "find", more="import sibling\n")
    toolkit("crm/sibling.py", "helper_tool").write_text("VALUE = 1\n")

    assert names(loader.load(str(tmp_path / "crm"))) == ["find"]
    assert registry.find("find").toolkit == "crm"


def test_a_folder_of_toolkits_loads_each_of_them(loader, registry, toolkit, tmp_path):
    toolkit("mail/toolkit.py", "send", more="import shared\nassert shared.WHOSE == 'mail'\n")
    toolkit("crm/toolkit.py", "find", more="import shared\nassert shared.WHOSE == 'crm'\n")
    for whose in ("mail", "crm"):
        (tmp_path / whose / "shared.py").write_text(f"WHOSE = {whose!r}\n")

    report = loader.load(str(tmp_path))

    assert report.errors == ()
    assert [(tool.toolkit, tool.name) for tool in report.tools] == [("crm", "find"), ("mail", "send")]


def test_a_package_is_imported_as_one(loader, registry, write, tmp_path):
    write("crm/__init__.py", "from . import tools\n")
    write("crm/tools.py", CLIENT.format(app="", tool="find") + "from .names import NAME\n")
    write("crm/names.py", "NAME = 1\n")

    assert names(loader.load(str(tmp_path / "crm"))) == ["find"]
    assert registry.find("find").toolkit == "crm"


def test_a_package_may_import_itself_by_its_own_name(loader, write, tmp_path):
    write("crm_package/__init__.py", "from . import tools\n")
    write("crm_package/tools.py", "from crm_package.shared import client\n@client.tool\ndef find(): ...\n")
    write("crm_package/shared.py", "from gateway import ToolKitClient\nclient = ToolKitClient(app_name='crm')\n")

    report = loader.load(str(tmp_path / "crm_package"))

    assert report.errors == ()
    assert names(report) == ["find"]


def test_a_package_does_not_hide_the_library_of_its_name(loader, write, tmp_path):
    sys.modules.pop("colorsys", None)
    write(
        "colorsys/__init__.py", CLIENT.format(app="j", tool="find") + "import colorsys\ncolorsys.rgb_to_hls(1, 1, 1)\n"
    )

    assert loader.load(str(tmp_path / "colorsys")).errors == ()


def test_a_package_s_toolkit_py_is_loaded_too(loader, write, tmp_path):
    write("crm/__init__.py", "")
    write("crm/toolkit.py", CLIENT.format(app="", tool="find") + "from . import shared\n")
    write("crm/shared.py", "")

    assert names(loader.load(str(tmp_path / "crm"))) == ["find"]


def test_a_dotted_module_is_found_in_the_working_folder(loader, registry, write, tmp_path, in_folder):
    write("acme_tools/__init__.py", "")
    write("acme_tools/crm.py", CLIENT.format(app="", tool="find"))

    assert names(loader.load("acme_tools.crm")) == ["find"]
    assert registry.find("find").toolkit == "crm"


def test_a_dotted_module_that_was_imported_before_is_imported_anew(loader, write, in_folder):
    write("acme_before.py", CLIENT.format(app="", tool="find"))
    sys.path.insert(0, str(in_folder))
    __import__("acme_before")

    assert names(loader.load("acme_before")) == ["find"]


@pytest.fixture
def in_folder(tmp_path):
    before = Path.cwd()
    os.chdir(tmp_path)
    yield tmp_path
    os.chdir(before)


def test_siblings_are_found_and_shared(loader, registry, write, tmp_path):
    write("common/__init__.py", "from gateway import ToolKitClient\nclient = ToolKitClient(app_name='shared')\n")
    write("a.py", "from common import client\n@client.tool\ndef a(): ...\n")
    write("b.py", "from common import client\n@client.tool\ndef b(): ...\n")

    report = loader.load(str(tmp_path))

    assert report.errors == ()
    assert [(tool.toolkit, tool.name) for tool in registry.tools()] == [("shared", "a"), ("shared", "b")]


async def test_a_sibling_may_be_imported_when_a_function_runs(loader, run, write, toolkit):
    write("late_sibling.py", "VALUE = 'late'\n")
    path = toolkit(
        "crm.py",
        "find",
        more="""
@client.tool
def late():
    import late_sibling
    return late_sibling.VALUE
""",
    )
    assert loader.load(str(path)).errors == ()

    assert await run("late") == "late"


def test_files_of_one_name_in_two_folders_do_not_meet(loader, registry, toolkit, tmp_path):
    for folder in ("one", "two"):
        toolkit(f"{folder}/crm.py", f"tool_{folder}", more="import shared\nassert shared.WHOSE in __file__\n")
        (tmp_path / folder / "shared.py").write_text(f"WHOSE = '/{folder}/'\n")
        assert loader.load(str(tmp_path / folder / "crm.py")).errors == ()

    assert names(registry) == ["tool_one", "tool_two"]


def test_a_toolkit_that_imports_another_of_its_folder_registers_nothing_twice(loader, toolkit, tmp_path):
    toolkit("contacts.py", "find")
    toolkit("deals.py", "close", more="import contacts\n")

    report = loader.load(str(tmp_path))

    assert report.errors == ()
    assert sorted(names(report)) == ["close", "find"]


def test_the_module_is_private_and_looks_like_a_module(loader, write):
    path = write(
        "crm.py",
        """
        from __future__ import annotations
        import dataclasses, pickle, sys
        from gateway import ToolKitClient

        @dataclasses.dataclass
        class Contact:
            name: str

        client = ToolKitClient()

        @client.tool
        def add(contact: Contact): ...

        assert sys.modules[__name__].Contact is Contact
        assert pickle.loads(pickle.dumps(Contact("Ada"))) == Contact("Ada")
        assert __name__ not in ("crm", "__main__")
    """,
    )

    assert loader.load(str(path)).errors == ()
    assert "crm" not in sys.modules


BROKEN = [
    (
        "import nothing_of_this_name\n",
        "No module named 'nothing_of_this_name'. Install it beside the gateway: pip install nothing_of_this_name",
    ),
    ("import yaml_missing.yaml\n", "pip install yaml_missing"),
    ("x = 1\nraise ValueError('no key set')\n", "ValueError: no key set"),
    ("raise KeyError\n", "KeyError"),
    ("def f(:\n", "SyntaxError: "),
    ("import json\njson.loads('{')\n", "JSONDecodeError: "),
    ("import sys\nsys.exit('no key')\n", "it called sys.exit('no key') while it was loaded"),
    ("input('Key? ')\n", "it asked for input while it was loaded. A toolkit has no keyboard"),
    ("client.tool(function_name='two words')(function)\n", "tool two words: a tool's name is"),
]


@pytest.mark.parametrize(("code", "sentence"), BROKEN)
def test_a_broken_toolkit_is_named_with_file_and_line_and_leaves_nothing(loader, registry, toolkit, code, sentence):
    path = toolkit("crm.py", "find", more=code)
    line = len(CLIENT.splitlines()) + len(code.splitlines())

    before = toolkit_modules()

    (error,) = loader.load(str(path)).errors

    assert str(error).startswith(f"{path}:{line}: ")
    assert sentence in str(error)
    assert "\n" not in str(error)
    assert registry.tools() == ()
    assert toolkit_modules() == before


def toolkit_modules() -> set[str]:
    return {name for name in sys.modules if name.startswith("atp_toolkit_")}


def test_a_fault_in_a_sibling_is_named_there(loader, write, toolkit, tmp_path):
    write("common_broken.py", "x = 1\n1 / 0\n")
    path = toolkit("crm.py", "find", more="import common_broken\n")

    (error,) = loader.load(str(path)).errors

    assert str(error) == f"{tmp_path}/common_broken.py:2: ZeroDivisionError: division by zero"


def test_a_well_known_library_is_asked_for_by_the_name_it_is_installed_by(loader, toolkit):
    path = toolkit("crm.py", "find", more="raise ModuleNotFoundError('No module named dotenv', name='dotenv')\n")

    assert str(loader.load(str(path)).errors[0]).endswith("pip install python-dotenv")


def test_the_others_still_load(loader, registry, toolkit, tmp_path):
    toolkit("a.py", "a")
    toolkit("b.py", "b", more="1 / 0\n")
    toolkit("c.py", "c")

    report = loader.load(str(tmp_path))

    assert names(registry) == ["a", "c"]
    assert len(report.errors) == 1


@pytest.mark.parametrize("raised", ["ValueError", "SystemExit", "RuntimeError"])
def test_secrets_and_long_texts_do_not_reach_the_report(loader, toolkit, raised):
    secret = Secret("CNRY-client-secret-77aa")
    path = toolkit("crm.py", "find", more=f"raise {raised}('{secret.reveal()} ' + 'x' * 10_000)\n")

    text = str(loader.load(str(path)).errors[0])

    assert "CNRY" not in text
    assert len(text) < 800


def test_two_toolkits_with_one_tool_name_are_both_named(loader, registry, toolkit, tmp_path):
    first, second = toolkit("a.py", "find"), toolkit("b.py", "find", more="client.tool(lambda: 1)\n")

    (error,) = loader.load(str(tmp_path)).errors

    assert isinstance(error, RegistrationError)
    assert f"find is registered at {second}:4, and at {first}:4 already" in str(error)
    assert str(error).startswith(f"{second}:4: ")
    assert registry.find("find").toolkit == "a"


def test_a_file_that_ends_with_exit_0_is_a_file_that_ends(loader, toolkit):
    assert names(loader.load(str(toolkit("crm.py", "find", more="import sys\nsys.exit()\n")))) == ["find"]


def test_a_file_without_tools_is_an_error_that_says_where_they_belong(loader, write):
    path = write("crm.py", "if __name__ == '__main__':\n    print('registering')\n")

    (error,) = loader.load(str(path)).errors

    assert isinstance(error, LoadError)
    assert str(error).startswith(f"{path}: it registers no tools. Decorate a function with @client.register_tool")


@pytest.mark.parametrize(
    ("target", "sentence"),
    [
        ("missing.py", "missing.py: there is no such file or folder. Check the path"),
        ("./missing", "./missing: there is no such file or folder"),
        ("no_such_module.tools", "No module named 'no_such_module'. Check the name; it is looked for in the working"),
        ("", "there is no"),
    ],
)
def test_a_target_that_is_nothing_is_a_sentence(loader, in_folder, target, sentence):
    (error,) = loader.load(target).errors

    assert isinstance(error, LoadError)
    assert sentence in str(error)


def test_a_file_of_another_kind_and_an_empty_folder_are_sentences(loader, write, tmp_path):
    other = write("crm.js", "")
    (tmp_path / "empty").mkdir()

    assert "a toolkit is a .py file, a folder or a dotted module" in str(loader.load(str(other)).errors[0])
    assert "there is no toolkit in this folder" in str(loader.load(str(tmp_path / "empty")).errors[0])


def test_what_a_toolkit_prints_goes_to_stderr(loader, toolkit, capsys):
    loader.load(str(toolkit("crm.py", "find", more="print('loading')\n")))

    assert capsys.readouterr() == ("", "loading\n")


def test_stdin_stays_with_the_protocol(loader, toolkit):
    before = sys.stdin
    try:
        sys.stdin = io.StringIO("protocol")
        loader.load(str(toolkit("crm.py", "find", more="import sys\nassert sys.stdin.read() == ''\n")))
        assert sys.stdin.read() == "protocol"
    finally:
        sys.stdin = before


def test_sys_path_keeps_the_folder_at_its_end_and_only_once(loader, toolkit, tmp_path):
    before = list(sys.path)
    for _ in range(2):
        loader.load(str(toolkit("crm.py", "find", more=f"import sys\nassert sys.path[0] == {str(tmp_path)!r}\n")))

    assert sys.path == [*before, str(tmp_path)]


async def test_loading_again_replaces_the_tools_with_one_change(loader, registry, run, toolkit, write):
    changes = []
    path = toolkit("crm.py", "find")
    loader.load(str(path))
    registry.subscribe(lambda: changes.append(names(registry)))

    path.write_text(CLIENT.format(app="", tool="find").replace("find of", "FIND of"))
    assert loader.load(str(path)).errors == ()
    assert await run("find") == "FIND of "
    toolkit("crm.py", "other")
    loader.load(str(path))

    assert changes == [["find"], ["other"]]


async def test_loading_again_reads_the_file_even_when_its_date_and_size_are_the_same(loader, run, toolkit):
    path = toolkit("crm.py", "find")
    writes_bytecode, sys.dont_write_bytecode = sys.dont_write_bytecode, False
    try:
        for said in ("one of", "two of"):
            path.write_text(CLIENT.format(app="", tool="find").replace("find of", said))
            os.utime(path, (1_700_000_000, 1_700_000_000))
            assert loader.load(str(path)).errors == ()
    finally:
        sys.dont_write_bytecode = writes_bytecode

    assert await run("find") == "two of "


async def test_loading_again_keeps_the_earlier_tools_when_it_fails(loader, registry, run, toolkit):
    path = toolkit("crm.py", "find")
    loader.load(str(path))

    toolkit("crm.py", "find", more="1 / 0\n")
    assert len(loader.load(str(path)).errors) == 1

    assert await run("find") == "find of "


def test_loading_again_reads_the_siblings_again(loader, registry, write, tmp_path):
    write("names_of_tools.py", "NAME = 'before'\n")
    path = write(
        "crm.py",
        CLIENT.format(app="", tool="x")
        .replace('"x"', "names_of_tools.NAME", 1)
        .replace("from gateway", "import names_of_tools\nfrom gateway", 1),
    )
    loader.load(str(path))
    write("names_of_tools.py", "NAME = 'after_it'\n")

    loader.load(str(path))

    assert names(registry) == ["after_it"]


def test_tools_registered_while_running_belong_to_the_file(loader, registry, write):
    path = write(
        "crm.py",
        """
        from gateway import ToolKitClient
        client = ToolKitClient()

        @client.tool
        def grow():
            client.tool(function_name="grown")(lambda: 1)
    """,
    )
    loader.load(str(path))

    registry_grow(registry)
    assert names(registry) == ["grow", "grown"]
    loader.load(str(path))
    assert names(registry) == ["grow"]


def registry_grow(registry):
    """Run the function of `grow`, as any thread might."""
    thread = threading.Thread(target=registry.find("grow").run._function)
    thread.start()
    thread.join(5)


def test_reports_add_up(loader, toolkit):
    one = loader.load(str(toolkit("a.py", "a")))
    two = loader.load("missing.py")

    assert LoadReport().plus(one).plus(two) == LoadReport(one.tools, two.errors)

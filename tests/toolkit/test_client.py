"""The decorator: what existing toolkits write, what new ones may leave out, and how it says no."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path

import pytest

from gateway import Context, Credential, ToolKitClient
from gateway.errors import RegistrationError
from gateway.toolkit.tool import Annotations
from gateway.types import CredentialKind, Requirement

CLOSED = {"type": "object", "additionalProperties": False}
NO_ARGUMENTS = ([], [], "d", None, None, None)


@pytest.fixture
def client(shelf):
    return ToolKitClient(api_key="key", app_name="crm")


def test_the_decorated_function_stays_as_it_is(client, registry):
    def double(n: int) -> int:
        return 2 * n

    assert client.tool(double) is double
    assert client.register_tool(function_name="twice", params=["n"], required_params=["n"])(double) is double
    assert double(4) == 8
    assert [tool.name for tool in registry.tools()] == ["double", "twice"]


def test_the_sdk_s_seven_parameters_may_be_positional(client, registry):
    @client.register_tool("find", ["name", "limit"], ["name"], "Finds.", "hubspot", "OAuth2", "access_token")
    def anything(**kwargs):
        return kwargs

    tool = registry.find("find")
    assert (tool.toolkit, tool.description) == ("crm", "Finds.")
    assert tool.requirement == Requirement("hubspot", CredentialKind.OAUTH2)
    assert tool.input_schema == CLOSED | {"properties": {"name": {}, "limit": {}}, "required": ["name"]}


def test_everything_may_be_left_out(client, registry):
    @client.tool
    def add(first: int, second: int = 1) -> int:
        """Adds two numbers.

        Args:
            first: the one
            second: the other
        """
        return first + second

    tool = registry.find("add")
    assert tool.description == "Adds two numbers."
    assert tool.requirement is None
    assert tool.input_schema == {
        "type": "object",
        "properties": {
            "first": {"type": "integer", "description": "the one"},
            "second": {"type": "integer", "default": 1, "description": "the other"},
        },
        "required": ["first"],
        "additionalProperties": False,
    }


@pytest.mark.parametrize("decorate", ["register_tool", "tool"])
def test_the_decorator_works_bare_and_called(client, registry, decorate):
    getattr(client, decorate)(lambda_named("bare"))
    getattr(client, decorate)()(lambda_named("called"))

    assert [tool.name for tool in registry.tools()] == ["bare", "called"]


def lambda_named(name):
    def function():
        return name

    function.__name__ = name
    return function


@pytest.mark.parametrize(
    ("spelled", "kind"),
    [
        ("OAuth2", CredentialKind.OAUTH2),
        ("oauth2", CredentialKind.OAUTH2),
        ("oauth", CredentialKind.OAUTH2),
        ("OAuth 2", CredentialKind.OAUTH2),
        (None, CredentialKind.OAUTH2),
        ("apiKey", CredentialKind.API_KEY),
        ("api_key", CredentialKind.API_KEY),
        ("api-key", CredentialKind.API_KEY),
        ("API Key", CredentialKind.API_KEY),
        ("basic", CredentialKind.BASIC),
        ("Basic Auth", CredentialKind.BASIC),
        ("client_credentials", CredentialKind.CLIENT_CREDENTIALS),
        ("clientCredentials", CredentialKind.CLIENT_CREDENTIALS),
        ("service_account", CredentialKind.SERVICE_ACCOUNT),
    ],
)
def test_auth_type_is_read_in_every_spelling(client, registry, spelled, kind):
    client.register_tool("t", [], [], "d", "HubSpot", spelled, "access_token")(lambda **kwargs: None)

    assert registry.find("t").requirement == Requirement("hubspot", kind)


@pytest.mark.parametrize("nothing", [None, "", "None", "none"])
def test_a_tool_may_need_no_account(client, registry, nothing):
    client.register_tool("t", [], [], "d", nothing, nothing, nothing)(lambda **kwargs: None)

    assert registry.find("t").requirement is None


def test_auth_with_api_key_alone_means_an_api_key(client, registry):
    client.register_tool("t", [], [], "d", "stripe", None, "api_key")(lambda **kwargs: None)

    assert registry.find("t").requirement.kind is CredentialKind.API_KEY


@pytest.mark.parametrize("scopes", [["a.read", "b.write"], "a.read b.write", {"a.read", "b.write"}])
def test_scopes_are_a_list_or_a_line(client, registry, scopes):
    client.tool(auth_provider="google", scopes=scopes)(lambda_named("t"))

    assert registry.find("t").requirement.scopes == {"a.read", "b.write"}


def test_hints_come_one_by_one_or_together(client, registry):
    client.tool(title="Delete it", destructive=True, idempotent=True)(lambda_named("one"))
    client.tool(annotations=Annotations(read_only=True))(lambda_named("two"))

    assert registry.find("one").annotations == Annotations("Delete it", destructive=True, idempotent=True)
    assert registry.find("two").annotations == Annotations(read_only=True)


def test_an_input_schema_is_used_word_for_word(client, registry):
    schema = {"type": "object", "properties": {"q": {"type": "string", "minLength": 2}}, "required": ["q"]}

    client.tool(function_name="search", input_schema=schema)(lambda **kwargs: kwargs)
    schema["required"].clear()

    assert registry.find("search").input_schema == schema | {"required": ["q"]}


def test_a_client_without_a_name_takes_that_of_its_sink(shelf, registry):
    ToolKitClient("", "").tool(lambda_named("t"))

    assert registry.find("t").toolkit == "crm"


@pytest.mark.parametrize(
    ("name", "better"), [("get contacts", "get_contacts"), ("", "my_tool"), ("a" * 129, "a" * 64), ("é!", "my_tool")]
)
def test_a_name_that_hosts_refuse_is_refused_with_a_better_one(client, name, better):
    function = lambda_named(name)
    with pytest.raises(RegistrationError, match=f'Register it as function_name="{better}"'):
        client.tool(function_name=name)(function)


def test_a_long_name_is_warned_about(client, registry, caplog):
    with caplog.at_level(logging.WARNING, "gateway"):
        client.tool(function_name="a" * 65)(lambda_named("t"))

    assert registry.find("a" * 65)
    assert "65 characters; some hosts allow 64" in caplog.text


@pytest.mark.parametrize("reserved", ["access_token", "api_key"])
def test_a_parameter_that_callers_could_fill_with_a_token_is_refused(client, reserved):
    scope = {}
    exec(f"def leak({reserved}): pass", scope)

    with pytest.raises(RegistrationError, match=f"tool leak: it declares a parameter named {reserved}.*auth_token"):
        client.register_tool("leak", *NO_ARGUMENTS)(scope["leak"])


@pytest.mark.parametrize("listed", [["name", "auth_token"], ["api_key"], ["access_token"]])
def test_a_list_of_params_may_not_name_what_the_gateway_supplies(client, listed):
    with pytest.raises(RegistrationError, match="which no caller may supply"):
        client.register_tool("t", listed, [], "d", None, None, None)(lambda **kwargs: None)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ({"params": "name"}, r"params is a list of parameter names"),
        ({"params": [{"name": "x"}]}, r"params is a list of parameter names"),
        ({"auth_type": "OAuth2"}, "auth_type says what to sign in with, but not where"),
        ({"scopes": ["a"]}, "scopes says what to sign in with, but not where"),
        ({"auth_provider": "x", "auth_type": "magic"}, 'auth_type="magic" is not known'),
        ({"auth_provider": 5}, "auth_provider is a name in quotes"),
        ({"auth_provider": "x", "scopes": [1]}, "scopes is a list of names"),
        ({"description": 5}, "description is a text"),
        ({"timeout": 0}, "timeout is a number of seconds above 0"),
        ({"timeout": "5"}, "timeout is a number of seconds above 0"),
        ({"timeout": True}, "timeout is a number of seconds above 0"),
        ({"input_schema": {"type": "string"}}, "input_schema has to describe an object"),
        ({"output_schema": {"type": "array"}}, "output_schema has to describe an object"),
        ({"output_schema": {"type": "object", "properties": {"a": {"type": "nothing"}}}}, "not valid JSON Schema"),
        ({"input_schema": {"type": "object", "properties": {"auth_token": {}}}}, "which the gateway supplies"),
        ({"input_schema": {"type": "object", "properties": {"b": {}}}}, "the function does not take"),
        ({"input_schema": {"type": "object"}}, "the function needs a"),
    ],
)
def test_a_wrong_declaration_is_refused_with_a_sentence(client, registry, words, sentence):
    def tool(a):
        return a

    with pytest.raises(RegistrationError, match=f"^tool tool: .*{sentence}"):
        client.tool(**words)(tool)
    assert registry.tools() == ()


def test_an_option_that_does_not_exist_is_named(client):
    with pytest.raises(RegistrationError, match=r"no option time_out. It has scopes, annotations"):
        client.tool(time_out=3)


def test_hints_and_annotations_together_are_refused(client):
    with pytest.raises(RegistrationError, match="title and annotations both"):
        client.tool(title="x", annotations=Annotations())


def test_a_credential_without_a_provider_is_refused(client):
    def tool(credential: Credential):
        return credential

    with pytest.raises(RegistrationError, match=r"wants a Credential.*add auth_provider"):
        client.tool(tool)


def test_a_method_without_its_object_is_refused_and_a_bound_one_works(client, registry):
    class Crm:
        def find(self, name: str) -> str:
            return name

    with pytest.raises(RegistrationError, match="method without its object"):
        client.tool(Crm.find)
    client.tool(Crm().find)

    assert list(registry.find("find").input_schema["properties"]) == ["name"]


def test_a_positional_only_parameter_is_refused(client):
    def tool(a, /):
        return a

    with pytest.raises(RegistrationError, match="positional-only"):
        client.tool(tool)


def test_listed_params_that_the_function_does_not_take_are_left_out_and_named(client, registry, caplog):
    def rename(contact_id):
        return contact_id

    with caplog.at_level(logging.WARNING, "gateway"):
        client.register_tool("rename", ["contactId"], ["contactId"], "d", None, None, None)(rename)

    assert registry.find("rename").input_schema["required"] == ["contact_id"]
    assert "Tool rename lists 'contactId'" in caplog.text


def test_the_gateway_s_own_parameters_are_not_the_caller_s(client, registry):
    @client.tool(auth_provider="hubspot")
    def tool(name: str, who: Credential, ctx: Context | None = None, auth_token: str = ""):
        return name

    assert list(registry.find("tool").input_schema["properties"]) == ["name"]


def test_tools_come_and_go_while_the_gateway_runs(client, registry):
    changes = []
    registry.subscribe(lambda: changes.append([tool.name for tool in registry.tools()]))

    client.tool(lambda_named("one"))
    client.tool(lambda_named("two"))
    assert client.unregister_tool("one")
    assert not client.unregister_tool("one")

    assert changes == [["one"], ["one", "two"], ["two"]]
    assert list(client.registered_tools) == ["two"]


def test_the_origin_says_where_the_function_is(client, registry):
    client.tool(lambda_named("t"))

    assert registry.find("t").origin.startswith("tests/toolkit/test_client.py:")


def test_what_was_registered_can_be_looked_up_as_in_the_sdk(client):
    @client.register_tool("find", ["name"], ["name"], "Finds.", "hubspot", "OAuth2", "access_token")
    def find(**kwargs):
        return kwargs

    assert client.registered_tools["find"] == {
        "function": find,
        "params": ["name"],
        "required_params": ["name"],
        "description": "Finds.",
        "auth_provider": "hubspot",
        "auth_type": "OAuth2",
        "auth_with": "access_token",
    }


def test_under_a_loader_the_sdk_s_other_methods_return_at_once(client, capsys):
    client.tool(lambda_named("t"))

    client.start()
    client.run_forever()
    client.stop()

    assert client.verify_and_register_tools() is True
    assert capsys.readouterr() == ("", "")


def test_under_a_loader_the_gateway_that_it_names_is_not_served(registry, shelf):
    client = ToolKitClient("key", "crm", "https://gateway.example.com", protocol="ws")

    client.start()
    client.stop()


def test_run_as_a_script_it_says_how_to_be_served(write):
    script = write(
        "crm.py",
        """
        from gateway import ToolKitClient
        client = ToolKitClient(app_name="crm")

        @client.tool
        def ping() -> str:
            "Pings."
            return "pong"

        client.start()
        print(ping())
    """,
    )
    ran = subprocess.run(
        [sys.executable, script.name],
        cwd=script.parent,
        env={"PYTHONPATH": str(Path.cwd())},
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )

    assert ran.stdout == "pong\n"
    assert ran.stderr == "1 tool is ready. To serve what this file registers, run: atp-gateway stdio crm.py\n"


def test_a_client_keeps_no_key():
    client = ToolKitClient(api_key="CNRY-toolkit-key", app_name="crm")

    assert "CNRY" not in repr(vars(client))

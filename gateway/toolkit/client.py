"""The decorator that toolkit files use: a Python function becomes a tool.

`ToolKitClient` has the methods of the ATP SDK's class of that name, with the same parameters, so that an existing
toolkit loads unchanged; for new ones everything may be left out. It opens no connection, starts no thread and reads no
source code: the gateway that loads the file does the rest.

    client = ToolKitClient(app_name="crm")

    @client.tool(auth_provider="hubspot", scopes=["crm.objects.contacts.read"], read_only=True)
    async def find_contact(email: str, credential: Credential) -> dict[str, str]:
        '''Finds a contact by e-mail address.'''

Below: `declaration`, `sink`. Not here: the app's client (`gateway.toolkit.llm_client`).
Source: AgentToolProtocol 0.2.5, `atp_sdk/clients.py`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, TypedDict, TypeVar, Unpack, overload

from gateway.errors import RegistrationError
from gateway.toolkit.declaration import Declaration, declare
from gateway.toolkit.place import innermost, place
from gateway.toolkit.pool import Pool
from gateway.toolkit.registry import Registry
from gateway.toolkit.sink import Sink, find_sink
from gateway.toolkit.tool import Annotations, Tool

F = TypeVar("F", bound=Callable[..., Any])

_HINTS = tuple(field.name for field in fields(Annotations))


class ToolOptions(TypedDict, total=False):
    """What a tool may say beyond the ATP SDK's seven parameters, by keyword.

    `scopes`: what the tool needs at `auth_provider`. `title`, `read_only`, `destructive`, `idempotent`, `open_world`:
    MCP's hints about its behaviour, or all of them as `annotations`. `input_schema`: a JSON Schema used word for word.
    `output_schema`: one that every result keeps to. `timeout`: seconds until the caller is told that it took too long.
    """

    scopes: Iterable[str] | str
    annotations: Annotations
    title: str
    read_only: bool
    destructive: bool
    idempotent: bool
    open_world: bool
    input_schema: Mapping[str, Any]
    output_schema: Mapping[str, Any]
    timeout: float


class ToolKitClient:
    """One toolkit. `app_name` names it; left empty, its file's name does.

    The other parameters are the ATP SDK's. They belong to a connection that is not made here and are not used, and the
    key is not kept.
    """

    def __init__(  # noqa: PLR0917 - the SDK's signature
        self,
        api_key: str = "",
        app_name: str = "",
        base_url: str = "",
        endpoint_url: str | None = None,
        auto_restart: bool = True,
        protocol: str = "http",
        idle_timeout: int = 300,
    ) -> None:
        self.app_name = app_name
        self.registered_tools: dict[str, dict[str, Any]] = {}
        self._loaded_into = find_sink()
        self._own = _OwnTools()

    @overload
    def register_tool(self, function_name: F, /) -> F: ...

    @overload
    def register_tool(
        self,
        function_name: str | None = None,
        params: Iterable[str] | None = None,
        required_params: Iterable[str] | None = None,
        description: str | None = None,
        auth_provider: str | None = None,
        auth_type: str | None = None,
        auth_with: str | None = None,
        **options: Unpack[ToolOptions],
    ) -> Callable[[F], F]: ...

    def register_tool(  # noqa: PLR0917 - the SDK's signature
        self,
        function_name: F | str | None = None,
        params: Iterable[str] | None = None,
        required_params: Iterable[str] | None = None,
        description: str | None = None,
        auth_provider: str | None = None,
        auth_type: str | None = None,
        auth_with: str | None = None,
        **options: Unpack[ToolOptions],
    ) -> F | Callable[[F], F]:
        """Make the decorated function a tool; the function itself stays as it is.

        `function_name` is what callers call it (default: the function's name), `description` what the model reads
        (default: the docstring). `params` and `required_params` list parameters by name; left out, the signature and
        its hints say more. `auth_provider` and `auth_type` ("OAuth2" or "apiKey") name the account it needs: the token
        arrives as `auth_token`, or in a parameter annotated `Credential`. RegistrationError says what is wrong.
        """
        if callable(function_name):
            return self.register_tool()(function_name)
        words = (function_name, params, required_params, description, auth_provider, auth_type, auth_with)
        declaration = Declaration(*words, **_declared(options))

        def register(function: F) -> F:
            self._register(declaration, function)
            return function

        return register

    tool = register_tool

    def unregister_tool(self, name: str) -> bool:
        """Take a tool away again, at any time; hosts are told. False when there is none of that name."""
        self.registered_tools.pop(name, None)
        return self._sink.drop(name)

    def start(self) -> None:
        """Nothing to do under a gateway. Outside of one, say on stderr how to serve the file; returns at once."""
        if self._loaded_into is None:
            sys.stderr.write(self._own.how_to_serve())

    def run_forever(self) -> None:
        """Returns at once: the gateway runs, not the toolkit."""

    def stop(self) -> None:
        """Nothing was started."""

    def verify_and_register_tools(self) -> bool:
        """True, as in "up to date": every tool was registered when it was declared."""
        return True

    @property
    def _sink(self) -> Sink:
        return find_sink() or self._loaded_into or self._own

    def _register(self, declaration: Declaration, function: Callable[..., Any]) -> None:
        sink = self._sink
        toolkit = self.app_name or sink.toolkit or Path(_file_of(function)).stem or "toolkit"
        tool = declare(declaration, function, toolkit, sink.pool)
        sink.add(tool)
        self.registered_tools[tool.name] = {
            "function": function,
            "params": list(tool.input_schema.get("properties", ())),
            "required_params": list(tool.input_schema.get("required", ())),
            "description": tool.description,
            "auth_provider": declaration.auth_provider,
            "auth_type": declaration.auth_type,
            "auth_with": declaration.auth_with,
        }


class _OwnTools:
    """The tools of a client that no gateway has loaded: they are there to look at, and nobody can call them."""

    toolkit = ""
    is_loading = False

    def __init__(self) -> None:
        self.pool = Pool()
        self._registry = Registry()

    def add(self, tool: Tool) -> None:
        self._registry.add(tool)

    def drop(self, name: str) -> bool:
        return self._registry.drop(name)

    def how_to_serve(self) -> str:
        script = place(sys.argv[0]) if sys.argv and sys.argv[0].endswith(".py") else "TOOLKIT.py"
        count = len(self._registry.tools())
        noun = "tool is" if count == 1 else "tools are"
        return f"{count} {noun} ready. To serve what this file registers, run: atp-gateway stdio {script}\n"


def _declared(options: ToolOptions) -> dict[str, Any]:
    """The options as Declaration's fields: the separate hints become Annotations."""
    known = ToolOptions.__annotations__
    if unknown := [name for name in options if name not in known]:
        raise RegistrationError(f"register_tool has no option {', '.join(unknown)}. It has {', '.join(known)}.")
    said = {name: value for name, value in options.items() if name not in _HINTS}
    hints = {name: value for name, value in options.items() if name in _HINTS}
    if hints and "annotations" in options:
        raise RegistrationError(f"{', '.join(hints)} and annotations both say how the tool behaves. Leave one out.")
    if hints:
        said["annotations"] = Annotations(**hints)  # type: ignore[arg-type]
    return said


def _file_of(function: Callable[..., Any]) -> str:
    code = getattr(innermost(function), "__code__", None)
    return code.co_filename if code else ""

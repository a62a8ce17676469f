"""The decorator that toolkit files use: a Python function becomes a tool.

`ToolKitClient` has the methods of the ATP SDK's class of that name, with the same parameters, so that an existing
toolkit loads unchanged; for new ones everything may be left out. Under a gateway that loads the file it opens no
connection and starts no thread: the gateway does the rest. Run as a program of its own, with `base_url` and `api_key`,
`start()` serves a gateway elsewhere.

    client = ToolKitClient(app_name="crm")

    @client.tool(auth_provider="hubspot", scopes=["crm.objects.contacts.read"], read_only=True)
    async def find_contact(email: str, credential: Credential) -> dict[str, str]:
        '''Finds a contact by e-mail address.'''

Below: `declaration`, `sink`, `afar`. Not here: the app's client (`gateway.toolkit.llm_client`).
Source: AgentToolProtocol 0.2.5, `atp_sdk/clients.py`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar, Unpack, overload

from gateway.errors import GatewayError, RegistrationError
from gateway.secret import Secret
from gateway.toolkit.declaration import Declaration, declare
from gateway.toolkit.place import innermost, place
from gateway.toolkit.pool import Pool
from gateway.toolkit.registry import Registry
from gateway.toolkit.sink import Sink, find_sink
from gateway.toolkit.tool import Annotations, Tool

if TYPE_CHECKING:
    from gateway.toolkit.afar.work import Work

F = TypeVar("F", bound=Callable[..., Any])

_PROTOCOLS = ("ws", "wss", "http", "https")
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

    `base_url` and `api_key` are the gateway that `start()` serves, where this file is a program of its own; `protocol`
    is how, "ws" or "http", and `concurrency` how many calls run at a time. Under a gateway that has loaded the file all
    four are ignored. The other parameters are the ATP SDK's and have no meaning here.
    """

    def __init__(  # noqa: PLR0917 - the SDK's signature
        self,
        api_key: str = "",
        app_name: str = "",
        base_url: str = "",
        endpoint_url: str | None = None,
        auto_restart: bool = True,
        protocol: str = "ws",
        idle_timeout: int = 300,
        *,
        concurrency: int = 8,
    ) -> None:
        self.app_name = app_name
        self.registered_tools: dict[str, dict[str, Any]] = {}
        self._loaded_into = find_sink()
        self._own = _OwnTools(concurrency)
        serves = self._loaded_into is None and bool(base_url)
        self._elsewhere = _Elsewhere(base_url, Secret(api_key), protocol, concurrency) if serves else None
        self._work: Work | None = None

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

    def start(self, *, without_tls: bool = False) -> None:
        """Serve the gateway at `base_url` until stopped, by `stop()`, SIGTERM or SIGINT: running calls are ended first.

        GatewayError when that cannot be, such as for a key that is refused; a gateway that cannot be reached is tried
        again and again. `without_tls` allows http to another machine. Under a gateway there is nothing to do. Without
        a `base_url`, say on stderr how to serve the file, and return.
        """
        if self._loaded_into is not None:
            return
        if self._elsewhere is None:
            sys.stderr.write(self._own.how_to_serve())
            return
        self._work = self._elsewhere.work(self._own, self._code_of, without_tls=without_tls)
        self._work.run()

    def run_forever(self) -> None:
        """Returns at once: `start()` has served, or the gateway does."""

    def stop(self) -> None:
        """Stop serving, from any thread: no new calls, and `start()` returns once the running ones are done."""
        if self._work is not None:
            self._work.stop()

    def verify_and_register_tools(self) -> bool:
        """True, as in "up to date": every tool was registered when it was declared."""
        return True

    def _code_of(self, name: str) -> Callable[..., Any] | None:
        registered = self.registered_tools.get(name)
        return registered["function"] if registered else None

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
    """The tools of a client that no gateway has loaded: to look at, and to serve a gateway elsewhere with."""

    toolkit = ""
    is_loading = False

    def __init__(self, concurrency: int) -> None:
        if concurrency < 1:
            raise GatewayError("concurrency is how many calls run at a time: 1 or more.")
        self.pool = Pool(concurrency, concurrency)
        self.registry = Registry()

    def add(self, tool: Tool) -> None:
        self.registry.add(tool)

    def drop(self, name: str) -> bool:
        return self.registry.drop(name)

    def how_to_serve(self) -> str:
        script = place(sys.argv[0]) if sys.argv and sys.argv[0].endswith(".py") else "TOOLKIT.py"
        count = len(self.registry.tools())
        noun = "tool is" if count == 1 else "tools are"
        return f"{count} {noun} ready. To serve what this file registers, run: atp-gateway stdio {script}\n"


@dataclass(frozen=True, slots=True)
class _Elsewhere:
    """The gateway that a client serves, as its author gave it."""

    base_url: str
    key: Secret
    protocol: str
    concurrency: int

    def work(self, own: _OwnTools, code_of: Callable[[str], Callable[..., Any] | None], *, without_tls: bool) -> Work:
        from gateway.toolkit.afar.place import Place
        from gateway.toolkit.afar.work import Work, show_log

        if self.protocol.lower() not in _PROTOCOLS:
            raise GatewayError(f"Unsupported protocol {self.protocol!r}. Use one of {', '.join(_PROTOCOLS)}.")
        place = Place.of(self.base_url, self.key, self.concurrency, without_tls=without_tls)
        tools = own.registry.tools()
        if not tools:
            raise GatewayError("There is no tool to serve yet. Register one before start().")
        show_log()
        return Work(place, tools[0].toolkit, own.registry, code_of, protocol=self.protocol.lower())


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

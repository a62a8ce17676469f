"""The SDK's low-level server, bound to our registry, policy and executor.

What it adds to the handlers: `requestState` sealed for the person who was asked; one net under everything, so that no
exception's text ever leaves; and a short way for the two methods that matter for speed, whose results we shape to the
revision ourselves, so that the SDK need not validate and copy them again.

Prompts and resources are served as empty lists: hosts ask for them whether or not they are announced.

Below: calls, listing, changes, `mcp`. Above: surface.
"""

from __future__ import annotations

import json
import logging
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

import mcp_types as types
from mcp.server import NotificationOptions, Server
from mcp.server.caching import CacheHint
from mcp.server.context import CallNext, HandlerResult
from mcp.server.request_state import AESGCMRequestStateCodec, RequestStateBoundary, RequestStateSecurity
from mcp.shared.exceptions import MCPError
from mcp_types import methods
from pydantic import ValidationError

from gateway.surfaces.mcp.calls import Calls
from gateway.surfaces.mcp.challenge import Challenges
from gateway.surfaces.mcp.changes import ListChanges
from gateway.surfaces.mcp.channel import LOG_LEVEL
from gateway.surfaces.mcp.limits import Limits
from gateway.surfaces.mcp.listing import Listing
from gateway.surfaces.mcp.request import Request, Who, connection_of, is_modern

log = logging.getLogger(__name__)

Answer = Callable[[Request], Awaitable[dict[str, Any]]]
Keys = Callable[[], Sequence[bytes]]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Identity:
    """How the gateway introduces itself to hosts. `instructions` may reach the model."""

    name: str
    version: str
    title: str | None = None
    instructions: str | None = None


class GatewayServer(Server[Any]):
    """One MCP server for all revisions. `who` says for whom each request is; `keys` seal `requestState`."""

    def __init__(
        self,
        identity: Identity,
        calls: Calls,
        listing: Listing,
        changes: ListChanges,
        challenges: Challenges,
        *,
        who: Who,
        keys: Keys,
        limits: Limits,
    ) -> None:
        private = CacheHint(ttl_ms=limits.list_ttl_ms, scope="private")
        super().__init__(
            identity.name,
            version=identity.version,
            title=identity.title,
            instructions=identity.instructions,
            cache_hints={
                "tools/list": private,
                "prompts/list": private,
                "resources/list": private,
                "resources/templates/list": private,
                "server/discover": private,
            },
            get_tool_input_schema=listing.mirrored_schema,
            on_list_prompts=_always(types.ListPromptsResult(prompts=[])),
            on_list_resources=_always(types.ListResourcesResult(resources=[])),
            on_list_resource_templates=_always(types.ListResourceTemplatesResult(resource_templates=[])),
            on_subscriptions_listen=changes.listen,
        )
        self.sees = listing.sees
        self._changes = changes
        self._challenges = challenges
        answers: dict[str, Answer] = {"tools/list": listing.answer, "tools/call": calls.answer}
        for method, params in (
            ("tools/list", types.PaginatedRequestParams),
            ("tools/call", types.CallToolRequestParams),
        ):
            self.add_request_handler(method, params, _handler(answers[method]))
        self.add_request_handler("logging/setLevel", types.SetLevelRequestParams, _set_log_level)
        self.add_notification_handler("notifications/initialized", types.NotificationParams, changes.join)
        security = RequestStateSecurity(codec=_LateCodec(keys), bind_principal=_binding(who))
        self.middleware = [
            _drop_nobodys_calls,
            _contain_crashes,
            RequestStateBoundary(security, default_audience=identity.name),
            _ShortWay(answers, self.server_info_stamp),
        ]

    def get_capabilities(
        self,
        notification_options: NotificationOptions | None = None,
        experimental_capabilities: dict[str, dict[str, Any]] | None = None,
        extensions: dict[str, dict[str, Any]] | None = None,
        *,
        protocol_version: str | None = None,
    ) -> types.ServerCapabilities:
        """What is announced: the tool list changes; the empty lists of prompts and resources never do."""
        capabilities = super().get_capabilities(
            NotificationOptions(tools_changed=True),
            experimental_capabilities,
            extensions,
            protocol_version=protocol_version,
        )
        return capabilities.model_copy(
            update={"prompts": types.PromptsCapability(), "resources": types.ResourcesCapability()}
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Enter while transports serve: hosts are then told of changes."""
        async with self._changes.announcing():
            try:
                yield
            finally:
                self._challenges.close()


class _LateCodec:
    """Makes the real codec when the first state is sealed: on a laptop the key sits in the system's keyring, and
    asking for it at start would slow down every start."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys

    @cached_property
    def _codec(self) -> AESGCMRequestStateCodec:
        return AESGCMRequestStateCodec(self._keys())

    def seal(self, payload: bytes) -> str:
        return self._codec.seal(payload)

    def unseal(self, token: str) -> bytes:
        return self._codec.unseal(token)


class _ShortWay:
    """Middleware: answers the listed methods without the SDK's second validation and copy of their results."""

    def __init__(self, answers: Mapping[str, Answer], server_info: Mapping[str, Any]) -> None:
        self._answers = answers
        self._meta = {types.SERVER_INFO_META_KEY: server_info}

    async def __call__(self, ctx: Request, call_next: CallNext) -> HandlerResult:
        answer = self._answers.get(ctx.method)
        if answer is None or not connection_of(ctx).initialize_accepted:
            return await call_next(ctx)
        methods.validate_client_request(ctx.method, ctx.protocol_version, ctx.params)
        result = await _guarded(answer, ctx)
        if is_modern(ctx):
            result.setdefault("resultType", "complete")
            result["_meta"] = self._meta
        return result


async def _guarded(answer: Answer, request: Request) -> dict[str, Any]:
    try:
        return await answer(request)
    except ValidationError as error:  # ours: let through, it would tell the host that its parameters are wrong
        raise _crash(request, error) from None


def _handler(answer: Answer) -> Callable[[Request, Any], Awaitable[dict[str, Any]]]:
    async def handle(request: Request, _: object) -> dict[str, Any]:
        return await _guarded(answer, request)

    return handle


def _always(result: T) -> Callable[[Request, Any], Awaitable[T]]:
    async def handle(_: Request, __: object) -> T:
        return result

    return handle


async def _drop_nobodys_calls(ctx: Request, call_next: CallNext) -> HandlerResult:
    """Middleware: what has a request's name and no id is a notification, which nobody would be answered to."""
    if ctx.request_id is None and not ctx.method.startswith("notifications/"):
        return None
    return await call_next(ctx)


async def _contain_crashes(ctx: Request, call_next: CallNext) -> HandlerResult:
    """Middleware: a bug of ours becomes a reference id. In handshake revisions the SDK would send its text."""
    try:
        return await call_next(ctx)
    except (MCPError, ValidationError):  # the SDK turns the latter into -32602, without its text
        raise
    except Exception as error:  # noqa: BLE001 - the last net: whatever it is, its text must not leave
        raise _crash(ctx, error) from None


def _crash(request: Request, error: Exception) -> MCPError:
    reference = secrets.token_hex(4)
    log.error("%s failed, reference %s", request.method, reference, exc_info=error)
    return MCPError(
        types.INTERNAL_ERROR,
        f"The gateway failed on this request. The cause is in its log under reference {reference}.",
    )


def _binding(who: Who) -> Callable[[Request], str]:
    def principal(request: Request) -> str:
        person = who(request)
        return json.dumps([person.tenant, person.issuer, person.subject])

    return principal


async def _set_log_level(request: Request, params: types.SetLevelRequestParams) -> types.EmptyResult:
    connection_of(request).state[LOG_LEVEL] = params.level
    return types.EmptyResult()

"""What programs ask: tokens, their end, a registration, and what this server is.

Pages of other sites may ask all of it, for there are clients that run in a browser: nothing here goes by cookies.
Below: `gateway.authorization`, answers. Above: routes.
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from gateway.authorization.parameters import Parameters
from gateway.authorization.server import AuthorizationServer
from gateway.authorization.server_metadata import server_metadata
from gateway.authorization_types import RegisteredClient
from gateway.errors import AuthorizationError
from gateway.surfaces.authorization.answers import NO_STORE, form_of, object_of, told

WELL_KNOWN = ("/.well-known/oauth-authorization-server", "/.well-known/openid-configuration")
_METADATA_CACHED = {"cache-control": "public, max-age=300"}
_KEYS_CACHED = {"cache-control": "public, max-age=3600"}


class Endpoints:
    def __init__(self, server: AuthorizationServer) -> None:
        self._server = server
        self._metadata = server_metadata(
            server.offer,
            registration=server.registration is not None,
            documents=server.admission.fetch is not None,
        )

    def routes(self) -> list[BaseRoute]:
        posted = {"/token": self._token, "/revoke": self._revoke}
        if self._server.registration is not None:
            posted["/register"] = self._register
        return [
            *(Route(path, told(handler), methods=["POST"]) for path, handler in posted.items()),
            Route("/jwks.json", told(self._keys), methods=["GET"]),
            *(Route(path, self._describe, methods=["GET"]) for path in WELL_KNOWN),
        ]

    async def _token(self, request: Request) -> Response:
        parameters = await form_of(request)
        client = await self._server.proof.client(request.headers.get("authorization"), parameters)
        return JSONResponse(await self._granted(client, parameters), headers=NO_STORE)

    async def _granted(self, client: RegisteredClient, parameters: Parameters) -> dict[str, object]:
        grants = self._server.grants
        match parameters.get("grant_type"):
            case "authorization_code":
                answer = await grants.exchange_code(client, parameters)
            case "refresh_token":
                answer = await grants.refresh(client, parameters)
            case "client_credentials":
                answer = await grants.issue_to_client(client, parameters)
            case None:
                raise AuthorizationError("invalid_request", "grant_type is missing.")
            case _:
                raise AuthorizationError("unsupported_grant_type", "Use authorization_code or refresh_token.")
        return answer.told()

    async def _revoke(self, request: Request) -> Response:
        parameters = await form_of(request)
        client = await self._server.proof.client(request.headers.get("authorization"), parameters)
        if "token" not in parameters:
            raise AuthorizationError("invalid_request", "token is missing.")
        await self._server.grants.revoke_token(client, parameters["token"])
        return Response(None, 200, NO_STORE)

    async def _register(self, request: Request) -> Response:
        if self._server.registration is None:
            raise AuthorizationError("access_denied", "Clients are registered by whoever runs this gateway.", 403)
        peer = request.client.host if request.client else ""
        registered = await self._server.registration.register(await object_of(request), peer)
        return JSONResponse(registered, 201, NO_STORE)

    async def _keys(self, request: Request) -> Response:
        return JSONResponse(await self._server.keys.published(), headers=_KEYS_CACHED)

    async def _describe(self, request: Request) -> Response:
        return JSONResponse(self._metadata, headers=_METADATA_CACHED)

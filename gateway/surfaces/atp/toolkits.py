"""The toolkits that this gateway has, as an app may see them. Above: `tasks`, `app_routes`."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from gateway.access.policy import Policy
from gateway.surfaces.atp import shapes
from gateway.surfaces.atp.app import App
from gateway.surfaces.atp.endpoint import json_answer
from gateway.surfaces.atp.requests import RefusalError, page_asked
from gateway.surfaces.atp.users import AppUsers
from gateway.toolkit.registry import Registry
from gateway.toolkit.tool import Tool


class Toolkits:
    """A toolkit's id is its name."""

    def __init__(self, registry: Registry, policy: Policy, users: AppUsers) -> None:
        self._registry = registry
        self._policy = policy
        self._users = users

    def get(self, app: App, toolkit: str) -> list[Tool]:
        """A toolkit's tools. One that the app may not see is as unknown as one that is not there."""
        found = self._by_name(app)
        if toolkit not in found:
            names = ", ".join(found) or "none"
            raise RefusalError(404, "unknown_toolkit", f"There is no toolkit {toolkit!r} here. There are: {names}.")
        return found[toolkit]

    async def page(self, app: App, request: Request) -> Response:
        """`GET store/toolkits/list/` and `GET developers/toolkits/`: all, or with `page` and `page_size` some.

        The published SDK has the two as parameters, and sends neither.
        """
        found = self._by_name(app)
        page = page_asked(request)
        names = list(found)[page.skipped :][: page.size] if page else list(found)
        toolkits = [shapes.toolkit_details(name, found[name]) for name in names]
        return json_answer(shapes.toolkit_page(toolkits, len(found), page))

    async def details(self, app: App, request: Request) -> Response:
        """`GET store/toolkits/{toolkit_id}/`"""
        name = request.path_params["toolkit_id"]
        return json_answer(shapes.toolkit_details(name, self.get(app, name)))

    async def developer(self, app: App, request: Request) -> Response:
        """`GET store/developers/{display_name}/`: who runs toolkits, which is the gateway itself or a tenant."""
        name = request.path_params["display_name"]
        found = {toolkit: tools for toolkit, tools in self._by_name(app).items() if shapes.developer_of(tools) == name}
        if not found:
            raise RefusalError(
                404, "unknown_developer", f"Nobody here is called {name!r}. A toolkit's `developer` says who runs it."
            )
        return json_answer(shapes.developer(name, [shapes.toolkit_details(*toolkit) for toolkit in found.items()]))

    def _by_name(self, app: App) -> dict[str, list[Tool]]:
        principal, found = self._users.app(app), dict[str, list[Tool]]()
        for tool in self._registry.tools():
            if app.sees(tool.toolkit) and self._policy.may_see(principal, tool):
                found.setdefault(tool.toolkit, []).append(tool)
        return found

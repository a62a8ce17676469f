"""Renders a page. Every value that a template prints is escaped and made visible (`plain_text`).

A surface names the package that its own templates stand in; the layout, which they extend, is here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import CodeType
from typing import Any

from jinja2 import BytecodeCache, ChoiceLoader, Environment, PackageLoader, StrictUndefined
from jinja2.bccache import Bucket
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import Route

from gateway.surfaces.answer import content_security_policy
from gateway.surfaces.browser.moments import machine_time, moment
from gateway.surfaces.browser.plain_text import finalize, name
from gateway.surfaces.browser.static_files import StaticFiles
from gateway.types import Access, AccessKind, Principal

_FORM_HEADERS = {
    # Under `no-referrer` browsers send `Origin: null` with our own forms (Fetch, "append a request Origin header"),
    # and then nobody can tell them from a stranger's. `same-origin` tells other sites just as little.
    "referrer-policy": "same-origin",
}


class _Compiled(BytecodeCache):
    """What templates were compiled to. The layout is the same for all packages' pages, and takes the longest."""

    def __init__(self) -> None:
        self._codes: dict[tuple[str, str], CodeType] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        bucket.code = self._codes.get((bucket.key, bucket.checksum))

    def dump_bytecode(self, bucket: Bucket) -> None:
        assert bucket.code is not None
        self._codes[bucket.key, bucket.checksum] = bucket.code


_compiled = _Compiled()


class Pages:
    """The templates of a package. `secure` says whether the browser reaches us by https. `places` are the pages that
    are always at hand for somebody who is signed in: what each is called, by path."""

    def __init__(
        self,
        package: str,
        *,
        secure: bool,
        filters: Mapping[str, Callable[..., Any]] | None = None,
        places: Mapping[str, str] | None = None,
    ) -> None:
        self._places = dict(places or {})
        self._static = StaticFiles()
        self._environment = Environment(
            loader=ChoiceLoader([PackageLoader(package), PackageLoader(__package__)]),
            autoescape=True,
            undefined=StrictUndefined,
            finalize=finalize,
            trim_blocks=True,
            lstrip_blocks=True,
            bytecode_cache=_compiled,
        )
        self._environment.globals["version"] = self._static.version
        self._environment.filters |= {
            "name": name,
            "moment": moment,
            "machine_time": machine_time,
            **(filters or {}),
        }
        loopback = () if secure else ("http://127.0.0.1:*", "http://localhost:*")
        # Browsers hold every hop after a form to form-action, not only the first. Authorization servers pass people on
        # to hosts that nobody can list beforehand (id.atlassian.com, a company's own sign-on).
        self._elsewhere = ("https:", *loopback)

    def routes(self) -> list[Route]:
        return self._static.routes()

    def page(self, request: Request, template: str, status: int = 200, **values: Any) -> HTMLResponse:
        """A page without a form."""
        return self._render(request, template, status, {}, values)

    def form(
        self,
        request: Request,
        template: str,
        status: int = 200,
        *,
        leaves: bool = False,
        also_to: Sequence[str] = (),
        **values: Any,
    ) -> HTMLResponse:
        """A page with a form on it; `leaves` when submitting it leads on to another site: `also_to` these places."""
        more = {"content-security-policy": content_security_policy(*self._elsewhere, *also_to)} if leaves else {}
        return self._render(request, template, status, _FORM_HEADERS | more, values)

    def _render(
        self, request: Request, template: str, status: int, headers: Mapping[str, str], values: Mapping[str, Any]
    ) -> HTMLResponse:
        context = {
            "root": request.scope.get("root_path", ""),
            "person": person_name(request),
            "signs_out": _is_signed_in_here(request),
            "places": self._places,
            "here": self._place_of(request),
            **values,
        }
        return HTMLResponse(self._environment.get_template(template).render(context), status, headers)

    def _place_of(self, request: Request) -> str | None:
        """At which of the places the page is; the longest path wins."""
        root: str = request.scope.get("root_path", "")
        path = request.scope["path"].removeprefix(root)
        found = [place for place in self._places if path == place or path.startswith(f"{place}/")]
        return max(found, key=len, default=None)


def principal_of(request: Request) -> Principal:
    """Who sits at the browser: the edge has made sure of it."""
    principal: Principal = request.scope["state"]["principal"]
    return principal


def person_name(request: Request) -> str | None:
    """What to call whoever sits at the browser; None for one whom we do not know."""
    access: Access | None = request.scope["state"].get("access")
    visitor = visitor_of(request)
    return (access.name if access else None) or (visitor.subject if visitor else None)


def visitor_of(request: Request) -> Principal | None:
    """Who sits at the browser, where the edge let anybody in; None for one whom we do not know."""
    visitor: Principal | None = request.scope["state"]["principal"]
    return visitor


def _is_signed_in_here(request: Request) -> bool:
    access: Access | None = request.scope["state"].get("access")
    return access is not None and access.kind is AccessKind.SESSION

"""Lets a call's watch see the HTTP requests of tools, whichever library they are made with.

Wrapped is the lowest function through which everything of a library goes, once in a process: `http.client` (under
requests, urllib3, urllib, httplib2 and the SDKs on top of them), httpcore and httpcore2 (under httpx and httpx2), and
aiohttp. A library is wrapped when it is imported, never imported for it. A wrapper passes everything on as it is; if
looking fails, the request goes out unseen. Nothing is wrapped until the first tool that carries a token is called.

Below: `exchange`. Above: the rooms that run tools.
"""

from __future__ import annotations

import contextlib
import functools
import http.client
import importlib.abc
import logging
import sys
from collections.abc import Callable, Iterator, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

from gateway.toolkit import exchange

log = logging.getLogger(__name__)

_PENDING = "_atp_gateway_exchange"


@functools.cache
def install() -> None:
    """Wrap what is imported already, and see to it that the rest is wrapped on import. Once; then it costs nothing."""
    sys.meta_path.insert(0, _OnImport())
    _watch_http_client()
    for name in _LIBRARIES.keys() & sys.modules.keys():
        _watch(sys.modules[name])


def _watch(module: ModuleType) -> None:
    """A library of another shape than we know is left alone: its requests go unseen."""
    try:
        _LIBRARIES[module.__name__](module)
    except Exception:  # a version that we do not know: no reason for an import to fail
        log.debug("%s cannot be watched", module.__name__, exc_info=True)


class _OnImport(importlib.abc.MetaPathFinder):
    """Finds nothing itself: has the libraries' own loaders call us when they are done."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name not in _LIBRARIES:
            return None
        others = (finder for finder in sys.meta_path if finder is not self)
        spec = next((found for finder in others if (found := finder.find_spec(name, path, target))), None)
        if spec is not None and spec.loader is not None:
            run = spec.loader.exec_module

            def run_and_watch(module: ModuleType) -> None:
                run(module)
                if module.__name__ == name:  # a loader may serve others too
                    _watch(module)

            with contextlib.suppress(AttributeError):  # a loader that cannot be changed
                spec.loader.exec_module = run_and_watch  # type: ignore[method-assign]
        return spec


@contextlib.contextmanager
def _unharmed() -> Iterator[None]:
    """Whatever goes wrong in looking is ours alone."""
    try:
        yield
    except Exception:  # a watch must never break what it watches
        log.debug("an HTTP exchange went unseen", exc_info=True)


def _watch_http_client() -> None:
    connection = http.client.HTTPConnection
    send_head, get_response = connection.endheaders, connection.getresponse

    @functools.wraps(send_head)
    def endheaders(self: Any, *args: Any, **kwargs: Any) -> Any:
        if exchange.is_watched():
            with _unharmed():
                head = b"\n".join(self._buffer).decode("latin-1")
                method, target = head.split(" ", 2)[:2]
                host = getattr(self, "_tunnel_host", None) or self.host
                where = _without_scheme(target) if "://" in target else f"{host}{target}"
                setattr(self, _PENDING, exchange.sent(method, where, head))
        return send_head(self, *args, **kwargs)

    @functools.wraps(get_response)
    def getresponse(self: Any, *args: Any, **kwargs: Any) -> Any:
        response = get_response(self, *args, **kwargs)
        if reports := self.__dict__.pop(_PENDING, None):
            with _unharmed():
                exchange.answered(reports, response.status, response.headers.get_all("WWW-Authenticate", []))
        return response

    connection.endheaders = endheaders  # type: ignore[method-assign]
    connection.getresponse = getresponse  # type: ignore[method-assign]


def _watch_httpcore(module: Any) -> None:
    _watch_pool(module.ConnectionPool)
    _watch_async_pool(module.AsyncConnectionPool)


def _watch_pool(pool: Any) -> None:
    handle = pool.handle_request

    @functools.wraps(handle)
    def handle_request(self: Any, request: Any) -> Any:
        reports = _core_sent(request)
        response = handle(self, request)
        _core_answered(reports, response)
        return response

    pool.handle_request = handle_request


def _watch_async_pool(pool: Any) -> None:
    handle = pool.handle_async_request

    @functools.wraps(handle)
    async def handle_async_request(self: Any, request: Any) -> Any:
        reports = _core_sent(request)
        response = await handle(self, request)
        _core_answered(reports, response)
        return response

    pool.handle_async_request = handle_async_request


def _core_sent(request: Any) -> exchange.Reports:
    """An httpcore request: everything in it is bytes."""
    reports: exchange.Reports = []
    if exchange.is_watched():
        with _unharmed():
            where = (request.url.host + request.url.target).decode("latin-1")
            head = b"\n".join([request.url.target, *(value for _, value in request.headers)]).decode("latin-1")
            reports = exchange.sent(request.method.decode("latin-1"), where, head)
    return reports


def _core_answered(reports: exchange.Reports, response: Any) -> None:
    if reports:
        with _unharmed():
            refusals = (value for name, value in response.headers if name.lower() == b"www-authenticate")
            exchange.answered(reports, response.status, [value.decode("latin-1") for value in refusals])


def _watch_aiohttp(module: Any) -> None:
    response = module.ClientResponse
    begin = response.start

    @functools.wraps(begin)
    async def start(self: Any, *args: Any, **kwargs: Any) -> Any:
        reports: exchange.Reports = []
        if exchange.is_watched():
            with _unharmed():
                asked = self.request_info
                head = "\n".join([str(asked.real_url), *asked.headers.values()])
                reports = exchange.sent(asked.method, f"{asked.url.host}{asked.url.path}", head)
        started = await begin(self, *args, **kwargs)
        if reports:
            with _unharmed():
                exchange.answered(reports, self.status, self.headers.getall("WWW-Authenticate", []))
        return started

    response.start = start


def _without_scheme(address: str) -> str:
    """Host and path of an address as a proxy gets it."""
    parts = urlsplit(address)
    return f"{parts.hostname}{parts.path}"


_LIBRARIES: dict[str, Callable[[Any], None]] = {
    "httpcore": _watch_httpcore,
    "httpcore2": _watch_httpcore,
    "aiohttp": _watch_aiohttp,
}

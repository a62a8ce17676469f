"""A person at a browser, without the browser: keeps cookies, follows redirects, reads pages, presses buttons.

    async with Browser() as browser:
        page = await browser.consent(connect_url, user="alice")
        assert "connected" in page.text

It goes through the real pages of a server over HTTP: ours, our fake authorization server's, and most others that work
without scripts. Below: `page`. Above: the demo and tests.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import TracebackType
from typing import Self
from urllib.parse import urljoin

import httpx2

from gateway.testing.page import Button, Form, Link, Page, read_page

_CONNECT = re.compile(r"\b(connect|reconnect)\b", re.IGNORECASE)
_YES = re.compile(r"\b(approve|allow|authori[sz]e|accept|yes|continue|sign[ -]in|log[ -]?in|save)\b", re.IGNORECASE)
_NO = re.compile(r"\b(deny|decline|cancel|refuse|reject|no|abort)\b", re.IGNORECASE)
_MOST_STEPS = 20


class LostError(Exception):
    """The browser cannot go on: the message says where it stands and what it sees there."""


class Browser:
    """One person's browser. `trail` lists every request made, as `GET /path -> 200`; never a query."""

    def __init__(self, client: httpx2.AsyncClient | None = None) -> None:
        # No proxies of the environment: the servers are on this machine.
        self._client = client or httpx2.AsyncClient(trust_env=False, timeout=10)
        self.trail: list[str] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        await self._client.aclose()

    async def open(self, url: str, *, stop_at: str | None = None) -> Page:
        """Go to an address. A redirect to one that begins with `stop_at` is not followed: the page has its address."""
        return await self._go("GET", url, None, None, stop_at)

    async def press(
        self,
        page: Page,
        label: str,
        values: Mapping[str, str] | None = None,
        *,
        user: str = "alice",
        stop_at: str | None = None,
    ) -> Page:
        """Fill in the form of the button that says `label`, and press it. LostError when there is none."""
        for form in page.forms:
            for button in form.buttons:
                if label.lower() in button.label.lower():
                    return await self._submit(page, form, button, form.fill(values or {}, user), stop_at)
        raise LostError(f"There is no button {label!r}. {_view(page)}")

    async def consent(
        self,
        url: str,
        user: str = "alice",
        *,
        approve: bool = True,
        values: Mapping[str, str] | None = None,
        stop_at: str | None = None,
    ) -> Page:
        """Walk a consent to its end: connect page, sign-in, yes or no, callback, last page.

        `values` fills inputs by name; other text inputs get `user`. With `approve=False` the person connects and signs
        in, and then says no. The last page is the first that offers nothing more to press, or the one at `stop_at`.
        """
        page = await self.open(url, stop_at=stop_at)
        for _ in range(_MOST_STEPS):
            step = _next_step(page, approve=approve) if page.status == httpx2.codes.OK else None
            match step:
                case None:
                    return page
                case Link():
                    page = await self.open(step.url, stop_at=stop_at)
                case form, button:
                    page = await self._submit(page, form, button, form.fill(values or {}, user), stop_at)
        raise LostError(f"There is no end to it. {_view(page)}")

    async def _submit(self, page: Page, form: Form, button: Button, data: dict[str, str], stop_at: str | None) -> Page:
        if name := button.attributes.get("name"):
            data[name] = button.attributes.get("value", "")
        action = urljoin(page.url, button.attributes.get("formaction", form.action))
        if form.method == "post":
            return await self._go("POST", action, data, page.url, stop_at)
        return await self.open(str(httpx2.URL(action, params=data)), stop_at=stop_at)

    async def _go(
        self, method: str, url: str, data: Mapping[str, str] | None, referrer: str | None, stop_at: str | None
    ) -> Page:
        for _ in range(_MOST_STEPS):
            headers = {"Accept": "text/html"} | ({"Origin": _origin(referrer)} if referrer else {})
            answer = await self._client.request(method, url, data=data, headers=headers)
            self.trail.append(f"{method} {answer.url.path} -> {answer.status_code}")
            if not answer.has_redirect_location:
                return read_page(str(answer.url), answer.status_code, answer.text)
            url = urljoin(str(answer.url), answer.headers["location"])
            if stop_at is not None and url.startswith(stop_at):
                return Page(url, answer.status_code)
            if answer.status_code not in {307, 308}:
                method, data, referrer = "GET", None, None
        raise LostError(f"The redirects do not end: {', '.join(self.trail[-3:])}")


def _next_step(page: Page, *, approve: bool) -> tuple[Form, Button] | Link | None:
    """What a person who wants to connect, and then to say yes or no, presses next, or waits for."""
    if page.onward is not None:
        return Link("", page.onward)
    if found := _find_button(page, _CONNECT):
        return found
    typing = any(form.typed_in for form in page.forms)
    if not approve and not typing:
        return _find_button(page, _NO) or next((link for link in page.links if _NO.search(link.label)), None)
    return _find_button(page, _YES)


def _find_button(page: Page, words: re.Pattern[str]) -> tuple[Form, Button] | None:
    buttons = ((form, button) for form in page.forms for button in form.buttons)
    return next((found for found in buttons if words.search(found[1].label)), None)


def _origin(url: str) -> str:
    return str(httpx2.URL(url).copy_with(raw_path=b"/", fragment=None)).rstrip("/")


def _view(page: Page) -> str:
    address = httpx2.URL(page.url).copy_with(query=None, fragment=None)
    return f"At {address} ({page.status}) it says: {page.text[:300]}"

"""Somebody at a browser in the hall, one page at a time: how they get there, and what the browser saw of the last one.

Below: hall, Playwright. Above: states, the examination, the pictures.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import httpx2
from playwright.async_api import ConsoleMessage, Page, Request, Response

from tests.pages.hall import Hall


@dataclass
class Visit:
    """A browser's window. `answer` is what the page that is open came with."""

    hall: Hall
    page: Page
    complaints: list[str] = field(default_factory=list)
    answer: Response | None = None

    def __post_init__(self) -> None:
        self.page.on("console", self._heard)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("requestfailed", self._missed)
        self.page.on("response", self._answered)

    async def look_as(self, scheme: str, size: Mapping[str, int]) -> None:
        """In light or in dark, through a window of this size."""
        await self.page.emulate_media(color_scheme=scheme)
        await self.page.set_viewport_size(size)

    async def be(self, name: str | None, **cookies: str) -> None:
        """Be somebody, signed in; None: nobody. What the browser knew before is forgotten."""
        self.complaints.clear()
        self.answer = None
        await self.page.unroute_all()
        await self.page.context.clear_cookies()
        held = cookies | ({"atp-session": self.hall.sessions[name]} if name else {})
        if held:
            url = self.hall.url
            await self.page.context.add_cookies([{"name": each, "value": held[each], "url": url} for each in held])

    async def take_over(self, client: httpx2.AsyncClient) -> None:
        """Go on in the place of a browser without hands: with its cookies."""
        await self.be(None, **{each.name: each.value or "" for each in client.cookies.jar})

    async def open(self, path: str) -> None:
        await self.page.goto(path if path.startswith("http") else self.hall.url + path)

    async def fill(self, **values: str) -> None:
        """Type into the fields with these names."""
        for name, value in values.items():
            await self.page.locator(f"[name='{name}']").fill(value)

    async def forge(self, name: str, value: str) -> None:
        """Put something else into a hidden field."""
        await self.page.locator(f"[name='{name}']").first.evaluate("(field, value) => { field.value = value; }", value)

    async def press(self, label: str, part: str | None = None) -> None:
        """Press the button that begins so, in the part of the page with this id, and go where it leads."""
        place = self.page.locator(f"[id='{part}']" if part else "body")
        button = place.locator("button", has_text=re.compile(f"^{re.escape(label)}")).first
        async with self.page.expect_navigation():
            await button.evaluate("button => button.click()")

    async def follow(self, label: str) -> None:
        """Follow the link that says so."""
        async with self.page.expect_navigation():
            await self.page.get_by_role("link", name=label, exact=True).evaluate("link => link.click()")

    async def unfold(self, part: str, label: str) -> None:
        """Open what is folded away under `label`, in the part of the page with this id."""
        await self.page.locator(f"[id='{part}'] summary", has_text=re.compile(f"^{re.escape(label)}$")).evaluate(
            "each => each.click()"
        )

    @property
    def headers(self) -> Mapping[str, str]:
        assert self.answer
        return self.answer.headers

    def _answered(self, response: Response) -> None:
        request = response.request
        if request.is_navigation_request() and request.frame == self.page.main_frame and response.status // 100 != 3:
            self.answer = response
            self.complaints.clear()

    def _missed(self, request: Request) -> None:
        if request.failure != "net::ERR_ABORTED":  # the person had gone on before it came
            self.complaints.append(f"{request.url}: {request.failure}")

    def _heard(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

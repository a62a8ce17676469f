"""A person at a real browser: this machine's Chromium, without a window, driven by Playwright.

A profile is somebody with cookies of their own. It reaches this machine and nothing else, and keeps what it asked for
and what the browser complained about: the console's errors and warnings (a breach of the Content-Security-Policy is
one), a script's exceptions, requests that failed.
"""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Page, Request, async_playwright, expect

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
MISSING = "These tests need Chromium, and there is none here. On Debian: apt-get install chromium"
PATIENCE = 10_000  # milliseconds, for each wait

_LOOPBACK = ("localhost", "127.0.0.1")
_FLAGS = (
    "--disable-gpu",
    "--disable-quic",
    "--no-proxy-server",
    f"--host-resolver-rules=MAP * ~NOTFOUND, {', '.join(f'EXCLUDE {name}' for name in _LOOPBACK)}",
)
_FOR_NOBODY = ("WebUIOmniboxPopup", "WebUIOmniboxAimPopup", "WebUIOmniboxFullPopup", "SpareRendererForSitePerProcess")
"""A quarter of what a page costs: beside each window Chromium opens those of an address bar that nobody sees, as pages,
and a process for the next page. The browser heeds the last such list that it is given, so Playwright's own is void."""
_UNLIKE_A_PERSONS = ["--disable-back-forward-cache"]


@asynccontextmanager
async def chromium(*more: str) -> AsyncIterator[Browser]:
    """The browser, with more of its flags, for as long as the block lasts."""
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        pytest.skip(MISSING)
    expect.set_options(timeout=PATIENCE)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=program,
            args=(*_FLAGS, f"--disable-features={','.join(_FOR_NOBODY)}", *more),
            ignore_default_args=_UNLIKE_A_PERSONS,
            timeout=3 * PATIENCE,
        )
        yield browser
        await browser.close()


class Profile:
    """One profile with one page open, and what it has seen."""

    def __init__(self, context: BrowserContext, page: Page) -> None:
        self.page = page
        self.requests: list[str] = []
        self.complaints: list[str] = []
        context.on("request", lambda request: self.requests.append(request.url))
        context.on("requestfailed", self._missed)
        context.on("weberror", lambda error: self.complaints.append(str(error.error)))
        context.on("console", self._heard)

    @property
    def strangers(self) -> list[str]:
        """What was asked of other machines."""
        return [url for url in self.requests if urlsplit(url).hostname not in _LOOPBACK]

    async def open(self, url: str) -> None:
        await self.page.goto(url)

    async def go_back(self) -> None:
        """The back button. A page that was kept alive for it does not load again."""
        await self.page.go_back(wait_until="commit")

    async def press(self, label: str) -> None:
        await self.page.get_by_role("button", name=label, exact=True).click()

    async def lands_on(self, heading: str, url: str | None = None) -> None:
        """Wait for the page with this heading, and for the address bar to show `url`."""
        await expect(self.page.get_by_role("heading", level=1)).to_have_text(heading)
        if url is not None:
            await expect(self.page).to_have_url(url)

    async def reads(self, *words: str) -> None:
        """Each of these stands on the page, where it can be seen."""
        for each in words:
            await expect(self.page.get_by_role("main")).to_contain_text(each, use_inner_text=True)

    async def tab_to(self, label: str) -> None:
        """Press Tab until what says `label` has the focus, and shows it."""
        for _ in range(12):
            await self.page.keyboard.press("Tab")
            text, outline = await self.page.evaluate(
                "[document.activeElement.textContent.trim(), getComputedStyle(document.activeElement).outlineStyle]"
            )
            if text == label:
                assert outline != "none", f"{label} does not show that it has the focus"
                return
        raise AssertionError(f"No Tab leads to {label!r} at {urlsplit(self.page.url).path}")

    async def illegible(self) -> list[str]:
        """What one cannot read here: text too like its ground (WCAG 2.2, 1.4.3), a name in two pieces, what scrolls
        sideways."""
        await self.page.wait_for_load_state()
        found: list[str] = await self.page.evaluate(ILLEGIBLE)
        return found

    def _missed(self, request: Request) -> None:
        if request.failure != "net::ERR_ABORTED":  # the person had gone on before it came
            self.complaints.append(f"{request.url}: {request.failure}")

    def _heard(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)


@asynccontextmanager
async def profile(browser: Browser, **options: Any) -> AsyncIterator[Profile]:
    """A new profile with Playwright's context options. At the end nothing has left this machine, and whatever the
    browser complained about has been taken note of."""
    context = await browser.new_context(**options)
    context.set_default_timeout(PATIENCE)
    opened = Profile(context, await context.new_page())
    yield opened
    await context.close()
    assert not opened.strangers, opened.strangers
    assert not opened.complaints, opened.complaints


ILLEGIBLE = """() => {
  const root = document.documentElement;
  const numbers = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const luminance = (colour) => {
    const [r, g, b] = numbers(colour).map((value) => {
      const part = value / 255;
      return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = (element) => {
    for (let each = element; each; each = each.parentElement) {
      const colour = getComputedStyle(each).backgroundColor;
      if (numbers(colour)[3] !== 0) return colour;
    }
    return "rgb(255, 255, 255)";
  };
  const found = [];
  for (const each of document.querySelectorAll("body, body *")) {
    if (!each.checkVisibility()) continue;
    const words = [...each.childNodes].filter((node) => node.nodeType === 3).map((node) => node.data).join("").trim();
    if (words) {
      const [light, dark] = [getComputedStyle(each).color, ground(each)].map(luminance).sort((a, b) => b - a);
      const contrast = (light + 0.05) / (dark + 0.05);
      if (contrast < 4.5) found.push(`${words.slice(0, 40)}: contrast ${contrast.toFixed(2)}`);
    }
    const isBroken = each.matches(":not(pre) > code") && each.getClientRects().length > 1;
    if (isBroken) found.push(`${each.innerText} is in two pieces`);
    if (each.matches("button, a, summary, h1, h2, h3, th, dt, .account, :is(h1, h2, h3, .account) > bdi")) {
      for (const node of [...each.childNodes].filter((node) => node.nodeType === 3)) {
        const range = document.createRange();
        range.selectNode(node);
        const isWord = node.data.trim() && !/\\s/.test(node.data.trim());
        if (isWord && range.getClientRects().length > 1) found.push(`${node.data} is in two pieces`);
      }
    }
    const scrolls = each.scrollWidth > each.clientWidth && /auto|scroll/.test(getComputedStyle(each).overflowX);
    if (scrolls) found.push(`${each.tagName} ${each.className} scrolls sideways`);
  }
  if (root.scrollWidth > root.clientWidth) found.push(`the page is ${root.scrollWidth} wide, of ${root.clientWidth}`);
  return found;
}"""

"""What is wrong with the page that is open: for eyes, hands, screen readers, and for whoever would misuse it.

axe-core runs beside the page, not in it: its Content-Security-Policy stays in force. Above: the test.
Source: WCAG 2.2 (1.4.3, 1.4.10, 2.1.1, 2.4.7); CSP 3; Resource Timing.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from playwright.async_api import Page

from tests.journeys.chromium import ILLEGIBLE
from tests.pages.hall import Seen
from tests.pages.states import State
from tests.pages.visit import Visit

AXE = (Path(__file__).parent.parent / "node_modules/axe-core/axe.min.js").read_text()
BESIDE = f"window.bringAxe = () => {{{AXE}\n}};"
"""To be put beside every page, before it is opened."""
EVERY_RULE = {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa", "best-practice"]}
LOOKS = {
    "type": "rule",
    "values": ["color-contrast", "link-in-text-block", "target-size", "scrollable-region-focusable"],
}
"""Those of them to which colours and sizes matter."""
DESKTOP, PHONE = {"width": 1280, "height": 800}, {"width": 360, "height": 740}
HEAVIEST = 100_000
"""Bytes of a page with all that it loads."""
_NOT_COMPARED = {"date", "content-length", "set-cookie"}
_COOKIE = re.compile(r'atp-[\w-]+=("")?[\w.-]*; HttpOnly; Max-Age=\d+; Path=/; SameSite=lax')


async def examine(visit: Visit, state: State, seen: Seen) -> list[str]:
    """Each thing in a sentence. `seen` is the answer as it left us. The page is not as it was afterwards."""
    page = visit.page
    return [
        *await _is_another(visit, state, seen),
        *await _headers_differ(visit, state, seen),
        *await _loads(visit),
        *(f"the browser says: {each}" for each in _complaints(visit, state)),
        *await _keyboard(page),
        *await _light_and_dark(visit),
    ]


async def _is_another(visit: Visit, state: State, seen: Seen) -> list[str]:
    assert visit.answer
    heading = await visit.page.evaluate("document.querySelector('h1').innerText")
    is_ = (visit.answer.status, heading, f"{seen.method} {seen.route}")
    wanted = (state.status, state.heading, state.route)
    return [f"it is {is_}, not {wanted}"] if is_ != wanted else []


async def _headers_differ(visit: Visit, state: State, seen: Seen) -> list[str]:
    assert visit.answer
    came = await visit.answer.all_headers()
    came = {name: value for name, value in came.items() if name not in _NOT_COMPARED}
    wrong = [
        f"{name} is {came.get(name)!r}, not {state.headers.get(name)!r}"
        for name in sorted({*came, *state.headers})
        if came.get(name) != state.headers.get(name)
    ]
    cookies = {cookie.partition("=")[0].removeprefix("atp-") for cookie in seen.cookies}
    if cookies != state.cookies:
        wrong.append(f"it comes with the cookies {sorted(cookies)}, not {sorted(state.cookies)}")
    return wrong + [f"a cookie is {cookie!r}" for cookie in seen.cookies if not _COOKIE.fullmatch(cookie)]


async def _loads(visit: Visit) -> list[str]:
    loaded: list[tuple[str, int]] = await visit.page.evaluate(
        """() => [...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")]
            .map((entry) => [entry.name, entry.decodedBodySize])"""
    )
    weight = sum(size for _, size in loaded)
    strangers = [name for name, _ in loaded if not name.startswith(f"{visit.hall.url}/")]
    heavy = [f"it weighs {weight} bytes"] if not 0 < weight <= HEAVIEST else []
    return [f"it loads {name}" for name in strangers] + heavy


def _complaints(visit: Visit, state: State) -> list[str]:
    """But for the one that the page itself is a refusal."""
    refused = f"the server responded with a status of {state.status}"
    return [each for each in visit.complaints if state.status < 400 or refused not in each]


async def _keyboard(page: Page) -> list[str]:
    """Tab leads to every control, and shows where one is."""
    count: int = await page.evaluate(_CONTROLS)
    await asyncio.gather(*(page.keyboard.press("Tab") for _ in range(count + 2)))
    found: list[str] = await page.evaluate(_UNREACHED)
    return found


async def _light_and_dark(visit: Visit) -> list[str]:
    """At two widths, and everything that is folded away unfolded."""
    wrong = [f"in light: {each}" for each in await _axe(visit.page, EVERY_RULE)]
    await visit.look_as("dark", PHONE)
    wrong += [f"in dark: {each}" for each in await _axe(visit.page, LOOKS)]
    return wrong + await visit.page.evaluate(ILLEGIBLE)


async def _axe(page: Page, rules: Mapping[str, Any]) -> list[str]:
    violations: list[dict[str, Any]] = await page.evaluate(_RUN_AXE, rules)
    return [f"axe: {each['id']} ({each['impact']}) at {', '.join(each['where'])}" for each in violations]


_RUN_AXE = """async (runOnly) => {
  if (!window.axe) bringAxe();
  const {violations} = await axe.run(document, {runOnly, resultTypes: ["violations"], preload: false});
  return violations.map(({id, impact, nodes}) => ({id, impact, where: nodes.map(({target}) => target.join(" "))}));
}"""
_CONTROLS = """() => {
  for (const each of document.querySelectorAll("details")) each.open = true;
  const kinds = "a[href], button, input:not([type=hidden]), select, textarea, summary, [tabindex]";
  const isReachable = (each) => each.checkVisibility({visibilityProperty: true}) && each.tabIndex >= 0;
  const controls = [...document.querySelectorAll(kinds)].filter(isReachable);
  window.reached = new Map(controls.map((each) => [each, "no Tab leads to"]));
  document.activeElement.blur();
  document.addEventListener("focusin", ({target}) => {
    const {outlineStyle, outlineWidth} = getComputedStyle(target);
    const shows = outlineStyle !== "none" && parseFloat(outlineWidth) >= 2;
    window.reached.set(target, shows ? "" : "one does not see the focus at");
  });
  return controls.length;
}"""
_UNREACHED = """() => [...window.reached].filter(([, what]) => what).map(
  ([each, what]) => `${what} ${each.tagName.toLowerCase()} ${(each.innerText || each.name || "").trim()}`)"""

"""Pictures of every page in every state, and the page of the documentation that shows them: `make pages`.

    python -m tests.pages.pictures [NAME…]

In light and in dark, on a desktop and on a phone, as WebP. Below: states, hall. Above: the Makefile.
"""

from __future__ import annotations

import asyncio
import base64
import logging
import sys
import tempfile
from collections.abc import Collection, Sequence
from pathlib import Path

from playwright.async_api import CDPSession

from tests.journeys.chromium import PATIENCE, chromium
from tests.pages import states
from tests.pages.contents import furnish
from tests.pages.examination import DESKTOP, PHONE
from tests.pages.hall import hall
from tests.pages.states import State
from tests.pages.visit import Visit

DOCS = Path(__file__).parents[2] / "docs"
LOOKS = [("light", "desktop"), ("dark", "phone"), ("light", "phone"), ("dark", "desktop")]
SIZES = {"desktop": DESKTOP, "phone": PHONE}
TALLEST = 1300
"""Of a page that goes on and on, the rest is left out."""
QUALITY = 45
ALL_FOUR = {
    *(
        "sign-in",
        "second-factor-code",
        "second-factor-enrolment",
        "invitation",
        "consent-device",
        "programs",
        "plug-in",
    ),
    *("connect", "connect-key", "connected", "front", "connections-empty", "connections", "disconnected", "history"),
}
"""The others are like these."""
CHAPTERS = {
    "Signing in": states.SIGNING_IN,
    "Letting programs in": states.PROGRAMS,
    "Connecting an account": states.CONNECTING,
    "What is one's own": states.OWN,
    "When something is wrong": states.TROUBLE,
}
HEAD = """# The pages

Every page that a person sees, in its states: in light on a desktop and in dark on a phone. In [docs/pages](pages) there
are the other two ways round too, of those to which the rest are alike. `make pages` takes the pictures anew and writes
this page. Each of these states is examined by a test: axe-core, keyboard, headers, weight, and the width of a phone
(`tests/pages`).
"""


def in_words() -> str:
    """The page of the documentation."""
    lines = [HEAD]
    for title, chapter in CHAPTERS.items():
        lines.append(f"\n## {title}\n")
        for state in chapter:
            lines += [f"\n### {state.heading}\n", f"\n`{state.name}` ({state.status}). {state.says}\n\n"]
            lines.append(f"{_image(state, 'light', 'desktop', 560)} {_image(state, 'dark', 'phone', 180)}\n")
    return "".join(lines)


def file_of(state: State, scheme: str, size: str) -> str:
    return f"pages/{state.name}-{scheme}-{size}.webp"


def _image(state: State, scheme: str, size: str, width: int) -> str:
    about = f"{state.heading}, {scheme}, {size}"
    return f'<img src="{file_of(state, scheme, size)}" width="{width}" alt="{about}">'


async def take(names: Collection[str]) -> None:
    """Of the states with these names, or of all."""
    (DOCS / "pages").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        async with hall(Path(folder)) as there, chromium() as browser:
            await furnish(there)
            context = await browser.new_context(locale="en-GB", timezone_id="UTC", viewport=DESKTOP)
            context.set_default_timeout(PATIENCE)
            visit = Visit(there, await context.new_page())
            camera = await context.new_cdp_session(visit.page)
            for state in states.STATES:
                if not names or state.name in names:
                    await visit.look_as("light", DESKTOP)
                    await state.way(visit)
                    for scheme, size in LOOKS if state.name in ALL_FOUR else LOOKS[:2]:
                        await visit.look_as(scheme, SIZES[size])
                        picture = await _picture(visit, camera, SIZES[size]["width"])
                        (DOCS / file_of(state, scheme, size)).write_bytes(picture)


async def _picture(visit: Visit, camera: CDPSession, width: int) -> bytes:
    height: int = await visit.page.evaluate("document.documentElement.scrollHeight")
    whole = {"x": 0, "y": 0, "width": width, "height": min(height, TALLEST), "scale": 1 if width < 500 else 0.75}
    asked = {"format": "webp", "quality": QUALITY, "captureBeyondViewport": True, "clip": whole}
    return base64.b64decode((await camera.send("Page.captureScreenshot", asked))["data"])


def main(names: Sequence[str]) -> None:
    logging.disable()  # what goes wrong here does so on purpose
    if not names:
        for former in (DOCS / "pages").glob("*.webp"):
            former.unlink()
    asyncio.run(take(names))
    (DOCS / "pages.md").write_text(in_words())


if __name__ == "__main__":
    main(sys.argv[1:])

"""An HTML page as a person sees it: its title, its words, its links and its forms.

Reads what the standard library's parser gives; no scripts, no styles. Above: `gateway.testing.browser`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import urljoin

_UNSEEN = {"script", "style", "template", "title"}
_TYPED_IN = {"text", "email", "password", "search", "tel", "url", "number"}
_PRESSED = {"submit", "image"}

Attributes = Mapping[str, str]


@dataclass(slots=True)
class Button:
    """A submit button. `label` is what it says."""

    label: str
    attributes: Attributes


@dataclass(slots=True)
class Form:
    action: str
    method: str
    inputs: list[Attributes] = field(default_factory=list)
    buttons: list[Button] = field(default_factory=list)

    @property
    def typed_in(self) -> list[Attributes]:
        """The inputs that a person types into."""
        return [one for one in self.inputs if one["type"] in _TYPED_IN]

    def fill(self, values: Mapping[str, str], otherwise: str) -> dict[str, str]:
        """What the browser would send: `values` by input name, what the page filled in, or `otherwise`.

        A box is ticked by its own value, and unticked by an empty one.
        """
        filled = {}
        for one in self.inputs:
            name = one.get("name")
            if not name:
                continue
            if one["type"] in {"checkbox", "radio"}:
                value = one.get("value", "on")
                if values.get(name, value if "checked" in one else "") == value:
                    filled[name] = value
            elif name in values:
                filled[name] = values[name]
            else:
                filled[name] = one.get("value") or (otherwise if one in self.typed_in else "")
        return filled


@dataclass(slots=True)
class Link:
    label: str
    url: str


@dataclass(slots=True)
class Page:
    """Where the browser stands. `text` is the visible text, white space folded; `html` the source. `onward` is where
    the page itself leads after a moment."""

    url: str
    status: int
    html: str = field(default="", repr=False)
    title: str = ""
    text: str = field(default="", repr=False)
    forms: list[Form] = field(default_factory=list, repr=False)
    links: list[Link] = field(default_factory=list, repr=False)
    onward: str | None = field(default=None, repr=False)


def read_page(url: str, status: int, html: str) -> Page:
    """The page out of its source; addresses in it become absolute."""
    page = Page(url, status, html)
    reader = _Reader(page)
    reader.feed(html)
    reader.close()
    page.title = " ".join(page.title.split())
    page.text = " ".join(" ".join(reader.words).split())
    labels: list[Link | Button] = [*page.links, *(button for form in page.forms for button in form.buttons)]
    for labelled in labels:
        labelled.label = " ".join(labelled.label.split())
    return page


class _Reader(HTMLParser):
    def __init__(self, page: Page) -> None:
        super().__init__()
        self.words: list[str] = []
        self._page = page
        self._open: list[str] = []
        self._form: Form | None = None
        self._labelled: Button | Link | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in attrs}
        if tag in _UNSEEN:
            self._open.append(tag)
        elif tag == "form":
            action = urljoin(self._page.url, attributes.get("action") or self._page.url)
            self._form = Form(action, attributes.get("method", "get").lower())
            self._page.forms.append(self._form)
        elif tag == "meta" and attributes.get("http-equiv", "").lower() == "refresh":
            _, _, url = attributes.get("content", "").partition("url=")
            self._page.onward = urljoin(self._page.url, url) if url else None
        elif tag == "a" and "href" in attributes:
            self._labelled = Link("", urljoin(self._page.url, attributes["href"]))
            self._page.links.append(self._labelled)
        elif self._form is not None:
            self._read_control(self._form, tag, attributes)

    def _read_control(self, form: Form, tag: str, attributes: dict[str, str]) -> None:
        kind = attributes.get("type", "text" if tag == "input" else "submit").lower()
        if tag == "button" and kind in _PRESSED:
            self._labelled = Button("", attributes)
            form.buttons.append(self._labelled)
        elif tag == "input" and kind in _PRESSED:
            form.buttons.append(Button(attributes.get("value", ""), attributes))
        elif tag == "input" and kind not in {"button", "reset", "file"}:
            form.inputs.append({**attributes, "type": kind})

    def handle_endtag(self, tag: str) -> None:
        if self._open and self._open[-1] == tag:
            self._open.pop()
        elif tag == "form":
            self._form = None
        elif tag in {"a", "button"}:
            self._labelled = None

    def handle_data(self, data: str) -> None:
        if self._open:
            if self._open[-1] == "title":
                self._page.title += data
            return
        self.words.append(data)
        if self._labelled is not None:
            self._labelled.label += data

"""The documentation shows every state of every page, and is not heavy."""

from __future__ import annotations

from tests.pages.pictures import DOCS, LOOKS, file_of, in_words
from tests.pages.states import STATES

HEAVIEST = 3_000_000
"""Bytes of all pictures together."""


def test_the_page_of_all_pages_says_what_the_list_says() -> None:
    assert (DOCS / "pages.md").read_text() == in_words(), "Take the pictures anew: make pages"


def test_each_state_has_its_pictures_and_nothing_else_has() -> None:
    there = {str(path.relative_to(DOCS)) for path in (DOCS / "pages").iterdir()}
    shown = {file_of(state, *look) for state in STATES for look in LOOKS[:2]}
    every = {file_of(state, *look) for state in STATES for look in LOOKS}
    assert shown <= there <= every
    assert sum((DOCS / name).stat().st_size for name in there) < HEAVIEST

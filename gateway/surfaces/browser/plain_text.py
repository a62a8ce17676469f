"""Makes text that others chose safe to *look at*: what one sees is what is there.

Client names, tool names, scopes and account labels are chosen by strangers. Escaping (Jinja's) keeps them from being
markup; this keeps them from reordering or hiding the words around them: control, bidirectional and invisible
characters become U+FFFD, a sentence is no longer than a paragraph and a name no longer than a line.

Source: Unicode Technical Report 36, "Unicode Security Considerations"; CVE-2021-42574.
"""

from __future__ import annotations

import unicodedata
from typing import Any

from markupsafe import Markup

LONGEST = 600
LONGEST_NAME = 80
_HIDDEN = frozenset({"Cc", "Cf", "Co", "Cs", "Cn", "Zl", "Zp"})
_BLANK_LETTERS = frozenset("\u115f\u1160\u3164\uffa0\u2800\u180b\u180c\u180d\u034f")


def visible(text: str, longest: int = LONGEST) -> str:
    """The text with everything that could deceive the eye replaced."""
    cut = text if len(text) <= longest else f"{text[: longest - 1]}…"
    return "".join(map(_shown, cut))


def _shown(character: str) -> str:
    if character in "\n\t":
        return " "
    hidden = unicodedata.category(character) in _HIDDEN or character in _BLANK_LETTERS
    return "\ufffd" if hidden else character


def name(text: str) -> str:
    """For what somebody is called: shorter."""
    return visible(text, LONGEST_NAME)


def finalize(value: Any) -> Any:
    """Jinja's hook for each value that a template prints."""
    if isinstance(value, str) and not isinstance(value, Markup):
        return visible(value)
    return value

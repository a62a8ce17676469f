"""What a docstring says about a function and its parameters, in Google's, NumPy's or reStructuredText's style."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Docstring:
    """`description` is the text without its sections; `parameters` describes each one by name."""

    description: str = ""
    parameters: dict[str, str] = field(default_factory=dict)


def read_docstring(text: str | None) -> Docstring:
    """Read `function.__doc__`. What no style explains is description."""
    if not text or not text.strip():
        return Docstring()
    from docstring_parser import ParseError, parse

    try:
        parsed = parse(text)
    except ParseError:
        return Docstring(text.strip())
    parameters = {found.arg_name: found.description for found in parsed.params if found.description}
    return Docstring((parsed.description or "").strip(), parameters)

"""`{names}` in a catalogue's constants, headers and addresses, filled in at the moment of a request.

Only names that are known are replaced: a `{` of a GraphQL query stays. In an address a value is one part of it, and
cannot open another.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from gateway.errors import SettingsError
from gateway.providers.addresses import fill, names_in

_NAME = re.compile(r"\{(\w+)\}")


def filled_text(text: str, words: Mapping[str, str]) -> str:
    return _NAME.sub(lambda found: words.get(found[1], found[0]), text)


def filled(constants: Mapping[str, str], words: Mapping[str, str]) -> dict[str, str]:
    return {name: filled_text(value, words) for name, value in constants.items()}


def known(constants: Mapping[str, str], words: Mapping[str, str]) -> dict[str, str]:
    """Those of the constants, filled in, whose names are all known."""
    return filled({name: text for name, text in constants.items() if names_in(text) <= words.keys()}, words)


def filled_url(url: str, words: Mapping[str, str]) -> str | None:
    """An address. None where a name in it is not known, or what it stands for would lead to another host."""
    try:
        address = fill(url, words)
    except SettingsError:
        return None
    return None if names_in(address) else address

"""What an API key looks like, and what of it is kept.

    atpg_app_                          whose it is: a person, and a scanner for leaked secrets, can tell
             q3XnB0…                   43 letters and digits: 256 random bits, and one word to a double click

Kept are its SHA-256 digest, to find it by, and its first characters, to recognise it by. A slow hash is for what people
make up; of 256 random bits nobody tries even one in a lifetime. Below: the vocabulary. Above: `keys`.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import string

from gateway.key_types import KeyKind
from gateway.secret import Secret

_LETTERS = string.ascii_letters + string.digits
_LENGTH = 43
_SHOWN = 6
_KEY = re.compile(rf"atpg_(?:{'|'.join(KeyKind)})_[0-9A-Za-z]{{{_LENGTH}}}")


def new_key(kind: KeyKind) -> Secret:
    """A key that nobody has seen yet."""
    return Secret(f"atpg_{kind}_{''.join(secrets.choice(_LETTERS) for _ in range(_LENGTH))}")


def is_key(text: str) -> bool:
    """Whether it looks like a key of ours, of whatever kind."""
    return _KEY.fullmatch(text) is not None


def digest_of(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()


def prefix_of(key: str) -> str:
    """What may be shown: `atpg_app_q3XnB0`."""
    return key[: -(_LENGTH - _SHOWN)]

"""Passwords: which will do, and how they are kept. argon2id, off the event loop, a few at a time.

Long enough and not one of those that everybody tries first; nothing else is asked of one. Checking takes as long for an
account that does not exist as for one that does. Whoever floods the form waits in a short line, or is sent away.

Above: local_accounts. Source: NIST SP 800-63B section 3.1.1; RFC 9106; OWASP, Password Storage.
"""

from __future__ import annotations

import asyncio
import secrets
import unicodedata
from importlib import resources

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from gateway.errors import FieldError, TooManySignInsError
from gateway.secret import Secret

SHORTEST = 12  # characters
LONGEST = 1024
_AT_A_TIME = 2  # each takes 64 MiB and a core
_MOST_WAITING = 30


class Passwords:
    """`hasher` is for tests, which have little time."""

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or PasswordHasher()
        self._free = asyncio.Semaphore(_AT_A_TIME)
        self._waiting = 0
        self._nobodys: str | None = None

    async def hash(self, password: Secret) -> str:
        return await self._in_line(_normal(password))

    async def verify(self, kept: str | None, password: Secret) -> bool:
        """Whether it is the one whose hash this is; never for None, and no sooner."""
        typed = _normal(password)
        if self._nobodys is None:
            self._nobodys = await self._in_line(secrets.token_urlsafe(24))
        is_right = await self._in_line(typed, kept or self._nobodys)
        return is_right == "" and kept is not None

    def is_out_of_date(self, kept: str) -> bool:
        """Whether the hash was made by weaker rules than today's."""
        return self._hasher.check_needs_rehash(kept)

    async def _in_line(self, typed: str, kept: str | None = None) -> str:
        """The password's hash; with `kept`: "" if it is that one's, else something."""
        if self._waiting >= _MOST_WAITING:
            raise TooManySignInsError(5)
        self._waiting += 1
        try:
            async with self._free:
                return await asyncio.to_thread(self._work, typed, kept)
        finally:
            self._waiting -= 1

    def _work(self, typed: str, kept: str | None) -> str:
        if kept is None:
            return self._hasher.hash(typed)
        try:
            self._hasher.verify(kept, typed)
        except (VerificationError, InvalidHashError):
            return "another"
        return ""


def check_new(password: Secret, *, email: str) -> None:
    """FieldError, with what to do, for a password that anybody could guess."""
    typed = _normal(password)
    if len(typed) < SHORTEST:
        raise FieldError("password", f"Use at least {SHORTEST} characters. Four words in a row are easy to remember.")
    if len(typed) > LONGEST:
        raise FieldError("password", f"Use at most {LONGEST} characters.")
    plain = typed.lower()
    if plain in _common() or len(set(plain)) < 4 or plain in (email, email.partition("@")[0] * 2):
        raise FieldError("password", "This is one of the passwords that are tried first. Choose another one.")


def _normal(password: Secret) -> str:
    """As whatever keyboard it is typed on gives it. What no keyboard gives is replaced."""
    return unicodedata.normalize("NFKC", password.reveal()).encode("utf-8", "replace").decode()


def _common() -> frozenset[str]:
    text = (resources.files(__package__) / "common_passwords.txt").read_text(encoding="utf-8")
    return frozenset(text.split())

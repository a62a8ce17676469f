"""What a key may be called, and what may be granted to it. Each check gives the value back, or KeyChangeError.

A toolkit's name is its id: it stands in paths and before its tools' names. An app's is read by people on the page where
they are asked to agree, so nothing in it may hide or reorder the words around it.

Pure. Above: `keys`. Source: RFC 9700 section 4.1.3 (return URLs are compared to the letter), RFC 8252 section 7.3.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from gateway.errors import KeyChangeError
from gateway.key_types import ApiKey, KeyKind, Permission
from gateway.types import Principal

LONGEST = 64
EVERY = "*"
"""Instead of a toolkit's name: all of them, those of later too."""

_ID = re.compile(rf"[A-Za-z0-9][A-Za-z0-9._-]{{0,{LONGEST - 1}}}")
_MARKS = set(" .,_-'&()+")
_VISIBLE = re.compile(r"[!-\[\]-~]{1,2000}")  # ASCII without the backslash, which browsers take for a slash
_NAMED = re.compile(r"[^\x00-\x1f\x7f-\x9f\ud800-\udfff]{1,255}")
_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_BLANK_LETTERS = set("\u115f\u1160")


@dataclass(frozen=True, slots=True)
class Rights:
    """What is to be granted, or taken away. Empty: nothing of that sort. `toolkits` may hold EVERY."""

    providers: tuple[str, ...] = ()
    may: tuple[str, ...] = ()
    toolkits: tuple[str, ...] = ()
    return_urls: tuple[str, ...] = ()

    def checked(self, kind: KeyKind) -> Rights:
        """The same, written as we keep it. KeyChangeError where it is not for this kind of key, or not possible."""
        apps_own = (*self.may, *self.toolkits, *self.return_urls)
        if self.providers and kind is not KeyKind.TOOLKIT:
            raise KeyChangeError("Providers are granted to toolkits: their workers receive the tokens.")
        if apps_own and kind is not KeyKind.APP:
            raise KeyChangeError("Permissions, toolkits and return URLs are granted to apps alone.")
        return Rights(
            tuple(_id(name.lower(), "A provider") for name in self.providers),
            tuple(_permission(word) for word in self.may),
            tuple(name if name == EVERY else _readable(name, "A toolkit") for name in self.toolkits),
            tuple(_return_url(url) for url in self.return_urls),
        )

    def given_to(self, key: ApiKey) -> ApiKey:
        toolkits = None if EVERY in self.toolkits or key.toolkits is None else key.toolkits | set(self.toolkits)
        return replace(
            key,
            providers=key.providers | set(self.providers),
            may=key.may | set(self.may),
            toolkits=toolkits,
            return_urls=tuple(dict.fromkeys([*key.return_urls, *self.return_urls])),
        )

    def taken_from(self, key: ApiKey) -> ApiKey:
        if key.toolkits is None and self.toolkits and EVERY not in self.toolkits:
            raise KeyChangeError(
                "This app sees every toolkit, so none can be taken out. Deny all of them, as --toolkit '*', then "
                "allow those it is to see."
            )
        toolkits = frozenset[str]() if EVERY in self.toolkits else key.toolkits
        return replace(
            key,
            providers=key.providers - set(self.providers),
            may=key.may - set(self.may),
            toolkits=None if toolkits is None else toolkits - set(self.toolkits),
            return_urls=tuple(url for url in key.return_urls if url not in self.return_urls),
        )

    def in_words(self) -> str:
        """For the record: `may tokens; provider hubspot`."""
        named = {"provider": self.providers, "may": self.may, "toolkit": self.toolkits, "return URL": self.return_urls}
        return "; ".join(f"{what} {' '.join(values)}" for what, values in named.items() if values)


def name_for(kind: KeyKind, name: str) -> str:
    """The name, if a key of this kind may have it."""
    return _id(name, "A toolkit's name") if kind is KeyKind.TOOLKIT else _readable(name, f"An {kind} key's name")


def owner_for(kind: KeyKind, owner: Principal | None) -> Principal | None:
    """Whom a key of this kind speaks for: somebody if it is a person's, nobody otherwise."""
    if (kind is KeyKind.PERSON) is not (owner is not None):
        raise KeyChangeError(
            "A subject, an issuer and groups are for a person's key, and such a key needs a subject: --subject says "
            "whom it speaks for, as tokens name them in `sub`."
        )
    if owner is not None and not all(_NAMED.fullmatch(text) for text in (owner.subject, owner.issuer, *owner.groups)):
        raise KeyChangeError(
            "A subject, an issuer and a group have 1 to 255 characters, none of them a control character."
        )
    return owner


def tenant_called(name: str) -> str:
    return _id(name, "A tenant")


def _id(text: str, what: str) -> str:
    if not _ID.fullmatch(text):
        raise KeyChangeError(
            f"{what} is written in letters, digits, '.', '_' and '-', begins with a letter or digit, and has at most "
            f"{LONGEST} characters."
        )
    return text


def _readable(text: str, what: str) -> str:
    plain = unicodedata.normalize("NFKC", text) == text == " ".join(text.split())
    if not (plain and text[:1].isalnum() and len(text) <= LONGEST and all(map(_may_stand, text))):
        raise KeyChangeError(
            f"{what} is written in letters, digits, single blanks and {''.join(sorted(_MARKS - {' '}))}, begins with a "
            f"letter or digit, and has at most {LONGEST} characters."
        )
    return text


def _may_stand(character: str) -> bool:
    letter = unicodedata.category(character)[0] in "LMN" and character not in _BLANK_LETTERS
    return letter or character in _MARKS


def _permission(word: str) -> str:
    if word not in set(Permission):
        raise KeyChangeError(f"An app may {_either(Permission)}; there is no {word!r}.")
    return word


def _return_url(url: str) -> str:
    if not _is_return_url(url):
        raise KeyChangeError(
            "A return URL is written in full, just as the app will send it: with https (http for this machine alone), "
            "in ASCII, without a user name and without #, such as https://app.example.com/connected"
        )
    return url


def _is_return_url(url: str) -> bool:
    if not _VISIBLE.fullmatch(url):
        return False
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        return False
    reachable = parts.scheme == "https" or (parts.scheme == "http" and host in _LOOPBACK)
    return reachable and bool(host) and "@" not in parts.netloc and "%" not in host and "#" not in url


def _either(words: Iterable[str]) -> str:
    *first, last = words
    return f"{', '.join(first)} or {last}"

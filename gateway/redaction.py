"""Blots secrets out of text that is about to leave: logs, errors, tool results.

`Redactor` knows values in two ways: exactly (every live `Secret`, plus values named for one call), each in the
encodings it may travel in; and by shape (bearer headers, `code=`, JWTs, keys in ATP paths). `RedactingFormatter`
applies it to a log record after everything has been rendered, so that arguments, exceptions and stack traces are
covered too. It cannot see through encryption, compression or text that is split across two log lines.

Below: `gateway.secret`. Above: the process's log set-up, the executor.
"""

from __future__ import annotations

import base64
import json
import logging
import re
import urllib.parse
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from gateway.secret import Secret, live_secrets

if TYPE_CHECKING:
    from gateway.types import Credential

MASK = "[redacted]"
_SHORTEST = 8

_SHAPES = re.compile(
    r"""(?xi)
    (?P<keep> \bBearer\s+ | \bBasic\s+ | \bApiKey\s+
      | \b(?:access_token|refresh_token|id_token|client_secret|code_verifier|auth_token|api_key|code|state)
        (?:=|"\s*:\s*"|'\s*:\s*'|%3D)
      | /toolkit/ (?=[^/\s]+/inbox) | /(?:toolkit|llm)-client/ (?=[^/\s]{12,}) )
    [^\s"'&,;<>/{}()\[\]]{6,}
    | \beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*
    | -----BEGIN\ [A-Z\ ]*PRIVATE\ KEY----- .*? -----END\ [A-Z\ ]*PRIVATE\ KEY-----
    """,
    re.DOTALL,
)


def encodings(value: str) -> set[str]:
    """The forms in which a secret is looked for: raw, URL, JSON, hex, reversed, base64 at three alignments.

    None for a value too short to be a secret: it would blot out ordinary words.
    """
    if len(value) < _SHORTEST:
        return set()
    raw = value.encode("utf-8", "surrogatepass")
    forms = {
        value,
        value[::-1],
        raw.hex(),
        raw.hex().upper(),
        urllib.parse.quote(value, safe=""),
        json.dumps(value)[1:-1],
    }
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        for offset in range(3):
            # Of an unaligned copy only the characters that no neighbouring byte can change are certain.
            padded = encode(b"\0" * offset + raw).decode().rstrip("=")
            start = (0, 2, 3)[offset]
            end = len(padded) - (0 if (offset + len(raw)) % 3 == 0 else 1)
            forms.add(padded[start:end])
    return {form for form in forms if len(form) >= _SHORTEST}


class Redactor:
    """Replaces secrets in text. One instance for one set of exact values; shapes are optional."""

    def __init__(self, values: Iterable[str], *, shapes: bool = False) -> None:
        self._forms = _longest_first(form for value in values for form in encodings(value))
        self._shapes = shapes

    @classmethod
    def of_credential(cls, credential: Credential) -> Redactor:
        """For one call's text. Made once for a Credential, kept no longer than it lives."""
        if (made := _redactors.get(credential)) is None:
            password = credential.extras.get("password")  # of a token that is a user name and a password
            made = _redactors[credential] = cls([credential.token, password] if password else [credential.token])
        return made

    @classmethod
    def of_live_secrets(cls) -> Redactor:
        """For text about which nothing is known: every live Secret, and every shape."""
        redactor = cls((), shapes=True)
        redactor._forms = _longest_first(form for secret in live_secrets() for form in _forms_of(secret))
        return redactor

    def finds(self, text: str) -> bool:
        """Whether there is anything to redact: a few plain searches, microseconds for a usual result."""
        return any(form in text for form in self._forms)

    def redact(self, text: str) -> str:
        for form in self._forms:
            if form in text:
                text = text.replace(form, MASK)
        if self._shapes:
            text = _SHAPES.sub(lambda found: (found["keep"] or "") + MASK, text)
        return text

    def redact_json(self, value: Any) -> Any:
        """A JSON value with every string in it redacted, keys too, and numbers that are a secret."""
        if isinstance(value, str):
            return self.redact(value)
        if isinstance(value, Mapping):
            return {self.redact(key): self.redact_json(part) for key, part in value.items()}
        if isinstance(value, list | tuple):
            return [self.redact_json(part) for part in value]
        return MASK if self.finds(str(value)) else value


_redactors: WeakKeyDictionary[Credential, Redactor] = WeakKeyDictionary()
_forms: WeakKeyDictionary[Secret, set[str]] = WeakKeyDictionary()


def _forms_of(secret: Secret) -> set[str]:
    """A live Secret's encodings: made once, kept no longer than the Secret."""
    if secret not in _forms:
        _forms[secret] = encodings(secret.reveal())
    return _forms[secret]


def _longest_first(forms: Iterable[str]) -> list[str]:
    """So that a form which contains another is replaced whole."""
    return sorted(set(forms), key=len, reverse=True)


_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""What moves a terminal's cursor, ends a line for some readers, or turns the text around."""


class RedactingFormatter(logging.Formatter):
    """Renders a record completely and then redacts it.

    A record is one line, whatever is in its message; a stack comes after it, set in. Control characters are escaped.
    So nobody whose words get into the log can forge a line of it.
    """

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        return super().formatMessage(record).rstrip("\n").replace("\n", "\\n")

    def formatException(self, ei: Any) -> str:  # noqa: N802 - likewise
        return "\n".join(f"  {line}" for line in super().formatException(ei).splitlines())

    def format(self, record: logging.LogRecord) -> str:
        try:
            text = Redactor.of_live_secrets().redact(super().format(record))
        except Exception:  # noqa: BLE001 - whatever fails here, the line itself must not be shown
            return f"{record.levelname} a log line was withheld: it could not be redacted"
        return _UNSEEN.sub(lambda found: ascii(found[0])[1:-1], text)

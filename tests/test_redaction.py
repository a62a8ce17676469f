"""Secrets are found in the encodings they travel in, and only there."""

from __future__ import annotations

import base64
import gc
import io
import json
import logging
import urllib.parse
import weakref

import pytest

from gateway.redaction import MASK, RedactingFormatter, Redactor
from gateway.secret import Secret
from gateway.types import Credential

TOKEN = 'CNRY/tok+en=4f1a9c~77"é'


def aligned(offset: int) -> str:
    return base64.b64encode(b"x" * offset + TOKEN.encode() + b"tail").decode()


@pytest.mark.parametrize(
    "leaked",
    [
        TOKEN,
        f"Bearer {TOKEN}",
        TOKEN[::-1],
        TOKEN.encode().hex(),
        TOKEN.encode().hex().upper(),
        urllib.parse.quote(TOKEN, safe=""),
        json.dumps({"t": TOKEN}),
        aligned(0),
        aligned(1),
        aligned(2),
        base64.urlsafe_b64encode(TOKEN.encode()).decode(),
        base64.b64encode(f"user:{TOKEN}".encode()).decode(),
    ],
)
def test_a_token_is_found_in_every_encoding(leaked):
    redactor = Redactor([TOKEN])
    assert redactor.finds(leaked)
    cleaned = redactor.redact(leaked)
    assert MASK in cleaned
    assert not redactor.finds(cleaned)


def test_ordinary_text_is_left_alone():
    text = "The contact's code is in the state of Ohio; bearer bonds are not tokens."
    assert Redactor([TOKEN], shapes=True).redact(text) == text


def test_a_value_too_short_to_be_a_secret_does_not_blot_out_words():
    assert Redactor(["the"]).redact("the tool") == "the tool"


@pytest.mark.parametrize(
    "line",
    [
        "GET /oauth/callback/hubspot?code=SplxlOBeZQQYbYS6WxSbIA&state=af0ifjsldkj12345",
        "Authorization: Bearer mF_9.B5f-4.1JqM",
        '{"access_token": "2YotnFZFEjr1zCsicMWpAA", "token_type": "Bearer"}',
        "client_secret=7Fjfp0ZBr1KtDRbnfVdmIw",
        "GET /api/v1/toolkit/k-7Fjfp0ZBr1KtDRbnfVdmIw/inbox",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9P",
    ],
)
def test_what_has_the_shape_of_a_secret_is_redacted_from_logs(line):
    cleaned = Redactor([], shapes=True).redact(line)
    assert MASK in cleaned
    for value in ("SplxlOBe", "af0ifjs", "mF_9.B5f", "2YotnFZ", "7Fjfp0ZB", "dozjgNry"):
        assert value not in cleaned


@pytest.fixture
def logger():
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(RedactingFormatter("%(levelname)s %(message)s"))
    logger = logging.getLogger("gateway.tests.redaction")
    logger.addHandler(handler)
    yield logger, stream
    logger.removeHandler(handler)


def test_a_log_line_shows_no_live_secret_wherever_it_stands(logger):
    log, stream = logger
    secret = Secret("CNRY-live-secret-1234")
    log.warning("answer was %s", {"t": secret.reveal()})
    log.error("failed with %s", secret.reveal(), exc_info=ValueError(f"bad header {secret.reveal()}"))
    assert "CNRY-live" not in stream.getvalue()
    assert "ValueError" in stream.getvalue()


def test_a_log_line_cannot_be_forged_or_coloured_by_what_it_quotes(logger):
    log, stream = logger
    log.warning("tool %s", "x\r\x1b[31mERROR forged")
    assert "\r" not in stream.getvalue()
    assert "\x1b" not in stream.getvalue()


@pytest.mark.parametrize("text", ["x\n12:00:00 ERROR forged", "\x9b31m", "\u2028ERROR", "\u202eRORRE", "\x85"])
def test_a_message_is_one_line_and_a_stack_is_set_in(logger, text):
    log, stream = logger
    log.warning("tool %s", text)
    log.warning("it failed", exc_info=ValueError(text))

    lines = stream.getvalue().rstrip("\n").split("\n")
    assert [line for line in lines if not line.startswith("  ")] == [lines[0], lines[1]]
    assert text not in stream.getvalue()


def test_half_a_surrogate_pair_is_written_out_for_streams_that_cannot_encode_it():
    record = logging.LogRecord("gateway", logging.WARNING, __file__, 1, "tool %s", ("\ud800",), None)
    assert RedactingFormatter().format(record).encode() == b"tool \\ud800"


def test_a_credential_is_encoded_once_and_forgotten_with_it() -> None:
    """Plaintext is to be gone when the live token is."""
    credential = Credential("hubspot", TOKEN, extras={"hub_id": "7"})
    redactor = Redactor.of_credential(credential)
    assert redactor.redact(TOKEN) == MASK
    assert Redactor.of_credential(credential) is redactor
    assert Redactor.of_credential(Credential("hubspot", TOKEN)) is not redactor
    kept = weakref.ref(redactor)
    del credential, redactor
    gc.collect()
    assert kept() is None

"""RFC 6238, appendix B, cut to six digits: and what is not a code."""

from __future__ import annotations

from base64 import b32encode
from datetime import UTC, datetime

import pytest

from gateway.access.totp import code_at, new_totp_secret, otpauth_uri, step_at, step_of

SECRET = b32encode(b"12345678901234567890").decode()


@pytest.mark.parametrize(
    ("at", "code"),
    [(59, "287082"), (1111111109, "081804"), (1111111111, "050471"), (1234567890, "005924"), (2000000000, "279037")],
)
def test_the_codes_are_those_of_the_rfc(at: int, code: str) -> None:
    assert code_at(SECRET, at // 30) == code
    assert step_of(SECRET, code, datetime.fromtimestamp(at, UTC)) == at // 30


@pytest.mark.parametrize("off", [-1, 0, 1])
def test_a_phone_may_be_half_a_minute_off(off: int) -> None:
    now = datetime(2030, 1, 1, tzinfo=UTC)

    assert step_of(SECRET, code_at(SECRET, step_at(now) + off), now) == step_at(now) + off


@pytest.mark.parametrize("off", [-2, 2])
def test_a_phone_that_is_a_minute_off_is_told_so(off: int) -> None:
    now = datetime(2030, 1, 1, tzinfo=UTC)

    assert step_of(SECRET, code_at(SECRET, step_at(now) + off), now) is None


@pytest.mark.parametrize(
    "typed", ["", "12345", "1234567", "abcdef", "\uff11\uff12\uff13\uff14\uff15\uff16", "💥", "\x00", "0" * 10_000]
)
def test_what_is_no_code_is_refused(typed: str) -> None:
    assert step_of(SECRET, typed, datetime(2030, 1, 1, tzinfo=UTC)) is None


def test_a_code_may_be_typed_in_two_halves() -> None:
    now = datetime.fromtimestamp(59, UTC)

    assert step_of(SECRET, " 287 082 ", now) == 1


def test_the_qr_code_says_whose_secret_it_is() -> None:
    secret = new_totp_secret()

    assert len(secret) == 32
    assert otpauth_uri(secret, "ada@example.com", "gateway.example") == (
        f"otpauth://totp/gateway.example%3Aada%40example.com?secret={secret}&issuer=gateway.example&digits=6&period=30"
    )

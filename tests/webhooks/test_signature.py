"""Signatures of webhooks, held against the specification's own library."""

from __future__ import annotations

import base64
import json
import time

import pytest
import standardwebhooks

import gateway
from gateway.secret import Secret
from gateway.webhook_signature import new_secret, sign

BODY = json.dumps({"id": "e1", "type": "ping", "text": "grüß"}).encode()


def test_the_specifications_library_accepts_what_is_signed():
    secret = new_secret()

    headers = sign(secret, "msg_1", int(time.time()), BODY)

    assert standardwebhooks.Webhook(secret.reveal()).verify(BODY, headers) == json.loads(BODY)


def test_the_specifications_library_signs_the_same():
    """Its own example: https://github.com/standard-webhooks/standard-webhooks, the libraries' shared test."""
    secret, at = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", 1_614_265_330
    headers = sign(Secret(secret), "msg_p5jXN8AQM9LWM0D4loKWxJek", at, b'{"test": 2432232314}')

    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_secret_is_32_random_bytes_and_does_not_print():
    secret = new_secret()

    assert len(base64.b64decode(secret.reveal().removeprefix("whsec_"), validate=True)) == 32
    assert secret != new_secret()
    assert "whsec_" not in repr(secret)


def test_an_app_verifies_what_it_received_however_its_framework_spells_headers():
    secret = new_secret()
    headers = sign(secret, "e1", int(time.time()), BODY)

    for spelled in (headers, {name.title(): value for name, value in headers.items()}):
        assert gateway.verify_webhook(secret.reveal(), spelled, BODY) == json.loads(BODY)
    assert gateway.verify_webhook(secret.reveal(), headers, BODY.decode()) == json.loads(BODY)
    several = headers | {"webhook-signature": f"v1a,AAAA v1,%%% v1 {headers['webhook-signature']}"}
    assert gateway.verify_webhook(secret.reveal(), several, BODY) == json.loads(BODY)


@pytest.mark.parametrize("age", [301, -301])
def test_an_old_or_early_one_is_refused(age):
    secret = new_secret()
    headers = sign(secret, "e1", int(time.time()) - age, BODY)

    with pytest.raises(gateway.WebhookSignatureError, match="too long ago"):
        gateway.verify_webhook(secret.reveal(), headers, BODY)
    assert gateway.verify_webhook(secret.reveal(), headers, BODY, tolerance=400)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"webhook-id": "e2"}, "signature is wrong"),
        ({"webhook-timestamp": str(int(time.time()) - 1)}, "signature is wrong"),
        ({"webhook-signature": "v1,AAAA"}, "signature is wrong"),
        ({"webhook-signature": "v2,AAAA"}, "signature is wrong"),
        ({"webhook-signature": ""}, "webhook-signature is missing"),
        ({"webhook-id": ""}, "webhook-id is missing"),
        ({"webhook-timestamp": "soon"}, "not a number"),
        ({"webhook-timestamp": "-1"}, "not a number"),
    ],
)
def test_what_was_altered_is_refused(change, says):
    secret = new_secret()
    headers = sign(secret, "e1", int(time.time()), BODY) | change

    with pytest.raises(gateway.WebhookSignatureError, match=says):
        gateway.verify_webhook(secret.reveal(), headers, BODY)


def test_another_body_or_another_secret_is_refused():
    secret = new_secret()
    headers = sign(secret, "e1", int(time.time()), BODY)

    with pytest.raises(gateway.WebhookSignatureError, match="signature is wrong"):
        gateway.verify_webhook(secret.reveal(), headers, BODY + b" ")
    with pytest.raises(gateway.WebhookSignatureError, match="signature is wrong"):
        gateway.verify_webhook(new_secret().reveal(), headers, BODY)


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_ä", "whsec_%%%", "not base64 at all"])
def test_what_is_no_secret_is_said_to_be_none(secret):
    headers = sign(new_secret(), "e1", int(time.time()), BODY)

    with pytest.raises(gateway.WebhookSignatureError, match="no webhook secret"):
        gateway.verify_webhook(secret, headers, BODY)

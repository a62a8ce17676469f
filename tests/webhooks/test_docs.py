"""docs/webhooks.md is true: its receiver runs, and it names what there is."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

from gateway.webhook_signature import new_secret, sign
from gateway.webhooks.events import EVENTS, PING
from gateway.webhooks.registrations import MOST_OF_ONE_APP

PAGE = (Path(__file__).parents[2] / "docs" / "webhooks.md").read_text()
ROOM = Path(__file__).parents[2] / "gateway"


def test_the_receiver_of_the_page_accepts_what_is_signed_and_nothing_else(capsys: Any):
    code = next(code for code in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL) if "def receive" in code)
    secret, names = new_secret(), dict[str, Any]()
    exec(code.replace("whsec_…", secret.reveal()), names)
    body = b'{"id":"e","type":"ping","data":{"external_user_id":"ada"}}'
    headers = sign(secret, "e", int(time.time()), body)

    assert names["receive"](headers, body) == 204
    assert capsys.readouterr().out == "ping ada\n"
    assert names["receive"](headers, body + b" ") == 401


def test_the_page_names_the_events_and_failures_there_are():
    assert re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE) == [*EVENTS, PING]
    assert f"at most {MOST_OF_ONE_APP} webhooks" in PAGE
    words = set(re.findall(r"`(\w+)`", PAGE.split("`failure` is one of")[1].split("\n\n")[0]))
    sources = "".join((ROOM / path).read_text() for path in ("webhooks/courier.py", "outward/guarded.py"))
    raised = set(re.findall(r'UnansweredError\("(\w+)"\)|_End\("(\w+)"\)', sources))
    assert words == {word for pair in raised for word in pair if word} | {"gone", "redirect", "refused"}

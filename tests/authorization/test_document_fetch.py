"""Where a client's document is looked for: never on our own network, unless the operator says so. On real sockets."""

from __future__ import annotations

import pytest

from gateway.authorization.document_fetch import DocumentFetch
from gateway.authorization.documents import LARGEST, ClientDocuments
from gateway.errors import AuthorizationError
from tests.outward.test_destinations import REFUSED
from tests.outward.test_guarded import listening


def reply(body: bytes, head: str = "200 OK", more: str = "") -> bytes:
    return f"HTTP/1.1 {head}\r\nContent-Length: {len(body)}\r\n{more}\r\n".encode() + body


async def test_no_spelling_of_a_private_address_is_ever_connected_to() -> None:
    async with listening() as listener:
        fetch = DocumentFetch()
        clients = ClientDocuments(fetch)
        port = listener.port
        spellings = [
            *REFUSED,
            *(f"https://{host}/client.json" for host in (
                f"127.0.0.1:{port}", f"localhost:{port}", f"[::1]:{port}", f"[::ffff:127.0.0.1]:{port}",
                f"[64:ff9b::7f00:1]:{port}", f"[2002:7f00:1::]:{port}", f"0x7f.1:{port}", f"2130706433:{port}",
                f"127.1:{port}", f"0177.0.0.1:{port}", "169.254.169.254", "[fd00:ec2::254]", "metadata.google.internal",
            )),
            f"http://127.0.0.1:{port}/client.json",
        ]  # fmt: skip
        assert len(spellings) > 50
        for url in spellings:
            with pytest.raises(AuthorizationError):
                await clients.get(url)
        await fetch.close()
        assert listener.connections == 0


async def test_a_name_that_leads_to_this_machine_is_not_connected_to() -> None:
    async def rebinding(host: str, port: int) -> list[str]:
        return ["127.0.0.1"]

    async with listening() as listener:
        fetch = DocumentFetch(resolve=rebinding)
        assert await fetch(f"https://vendor.example:{listener.port}/client.json", limit=LARGEST) is None
        assert await fetch("https://vendor.example/client.json", limit=LARGEST) is None
        await fetch.close()
        assert listener.connections == 0


async def test_a_host_that_the_operator_named_is_asked_even_here() -> None:
    async with listening(reply(b"{}")) as listener:
        place = f"127.0.0.1:{listener.port}"
        fetch = DocumentFetch([place])
        found = await fetch(f"http://{place}/client.json", limit=LARGEST)
        await fetch.close()

    assert found is not None
    assert (found.status, found.body) == (200, b"{}")
    assert b"GET /client.json HTTP/1.1\r\n" in listener.requests[0]
    assert b"cookie" not in listener.requests[0].lower()


async def test_a_redirect_is_not_followed_and_a_long_document_is_cut() -> None:
    moved = reply(b"", "302 Found", "Location: http://127.0.0.1:1/other.json\r\n")
    for answer, length in ((moved, 0), (reply(b"x" * 100_000), LARGEST + 1)):
        async with listening(answer) as listener:
            place = f"127.0.0.1:{listener.port}"
            fetch = DocumentFetch([place])
            found = await fetch(f"http://{place}/client.json", limit=LARGEST)
            await fetch.close()
        assert found is not None
        assert len(found.body) == length
        assert len(listener.requests) == 1

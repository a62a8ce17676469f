"""Messages between a gateway and a worker: whole, in order, and never more of them in memory than a few."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import threading

import anyio
import pytest
import uvloop

from gateway.worker.line import Line, packed, receive_now, send_now


@pytest.fixture(params=["asyncio", "uvloop"])
def anyio_backend(request):
    """`serve` runs on uvloop, everything else on asyncio."""
    return "asyncio", {"loop_factory": uvloop.new_event_loop if request.param == "uvloop" else None}


@pytest.fixture
async def ends():
    closed = asyncio.Event()
    ours, theirs = socket.socketpair()
    line = await Line.over(ours, closed.set)
    yield line, theirs, closed
    line.close()
    theirs.close()
    with anyio.fail_after(5):
        await closed.wait()


async def test_messages_arrive_whole_and_in_order_however_they_are_cut(ends):
    line, theirs, _ = ends
    messages = [{"kind": "call", "text": "ä" * size} for size in (0, 1, 70_000)]
    stream = b"".join(map(packed, messages))
    for start in range(60):
        theirs.sendall(stream[start : start + 1])
        await asyncio.sleep(0)
    rest = threading.Thread(target=theirs.sendall, args=[stream[60:]])
    rest.start()

    with anyio.fail_after(5):
        assert [await line.receive() for _ in messages] == messages
    rest.join()


async def test_what_was_said_before_a_hang_up_is_still_heard(ends):
    line, theirs, closed = ends
    send_now(theirs, {"kind": "ended"})
    theirs.close()
    with anyio.fail_after(5):
        await closed.wait()

    assert [await line.receive(), await line.receive()] == [{"kind": "ended"}, None]
    line.send({"kind": "call"})  # to nobody


async def test_a_message_can_be_received_where_there_is_no_loop(ends):
    line, theirs, _ = ends
    line.send({"kind": "call", "text": "x" * 100_000})

    with anyio.fail_after(5):
        message = await asyncio.to_thread(receive_now, theirs, 5)
        assert message == {"kind": "call", "text": "x" * 100_000}
        with pytest.raises(TimeoutError):
            await asyncio.to_thread(receive_now, theirs, 0.01)
        line.close()
        assert await asyncio.to_thread(receive_now, theirs, 5) is None


async def test_whoever_sends_without_end_is_held_up_and_nothing_is_lost(ends):
    """Both ways: our side reads a few messages ahead, and `room` waits until the other has read ours."""
    line, theirs, _ = ends
    count = 3_000
    sent = []

    def flood():
        for number in range(count):
            send_now(theirs, {"number": number, "filler": "x" * 1000})
            sent.append(number)

    flooding = threading.Thread(target=flood)
    flooding.start()
    with anyio.fail_after(10):
        first = await line.receive()
        for _ in range(50):
            await asyncio.sleep(0)
        assert len(sent) < count
        numbers = [first["number"], *[(await line.receive())["number"] for _ in range(count - 1)]]
    flooding.join()
    assert numbers == list(range(count))

    line.send({"filler": "x" * (4 << 20)})
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await line.room()
    reading = asyncio.create_task(asyncio.to_thread(receive_now, theirs, 5))
    with anyio.fail_after(5):
        await line.room()
        assert len((await reading)["filler"]) == 4 << 20


async def test_what_is_no_message_ends_the_line(ends):
    line, theirs, closed = ends
    theirs.sendall(struct.pack(">I", 1 << 31) + json.dumps({}).encode())

    with anyio.fail_after(5):
        assert await line.receive() is None
        await closed.wait()

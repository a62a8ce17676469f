"""Has programs that ask a vendor's https address reach a twin on this machine, without a word changed in them.

They are told of an HTTP proxy and a certificate authority by their environment, as in many a company's network. The
proxy takes each CONNECT to a TLS server with a certificate for the vendor's name, which passes all on to the twin.

Source: RFC 9110 section 9.3.6 (CONNECT). Below: `trustme`.
"""

from __future__ import annotations

import asyncio
import ssl
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import trustme


@asynccontextmanager
async def standing_in(host: str, twin_url: str, folder: Path) -> AsyncIterator[dict[str, str]]:
    """The environment of programs for which `https://{host}` is the twin. `folder` gets the authority's certificate."""
    authority, context = trustme.CA(), ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(host).configure_cert(context)
    authority.cert_pem.write_to_path(str(folder / "authority.pem"))
    twin = urlsplit(twin_url).port
    vendor = await asyncio.start_server(partial(_passing_on, twin), "127.0.0.1", 0, ssl=context)
    proxy = await asyncio.start_server(partial(_connecting, _port(vendor)), "127.0.0.1", 0)
    async with vendor, proxy:
        yield {
            "HTTPS_PROXY": f"http://127.0.0.1:{_port(proxy)}",
            "NO_PROXY": "127.0.0.1",
            "REQUESTS_CA_BUNDLE": str(folder / "authority.pem"),
        }


def _port(server: asyncio.Server) -> int:
    port: int = server.sockets[0].getsockname()[1]
    return port


async def _connecting(port: int, reader: StreamReader, writer: StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 Connected\r\n\r\n")
    await _passing_on(port, reader, writer)


async def _passing_on(port: int | None, reader: StreamReader, writer: StreamWriter) -> None:
    to_reader, to_writer = await asyncio.open_connection("127.0.0.1", port)
    with suppress(OSError):
        await asyncio.gather(_pump(reader, to_writer), _pump(to_reader, writer))


async def _pump(reader: StreamReader, writer: StreamWriter) -> None:
    try:
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
    finally:
        writer.close()

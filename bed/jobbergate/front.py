"""`python -m bed.jobbergate.front CERTIFICATE KEY PORT:TARGET...`: HTTPS for what speaks HTTP only, as an ingress gives it."""

import asyncio
import ssl
import sys
from asyncio import StreamReader, StreamWriter
from collections.abc import Awaitable, Callable
from contextlib import suppress

_ADDRESS = "127.0.0.1"
_CHUNK = 1 << 16


async def serve(certificate: str, key: str, targets: dict[int, int]) -> None:
    """Hand on what comes in at each port to its target, for ever."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    for port, target in targets.items():
        await asyncio.start_server(_to(target), _ADDRESS, port, ssl=context)
    await asyncio.get_running_loop().create_future()


def _to(target: int) -> Callable[[StreamReader, StreamWriter], Awaitable[None]]:
    async def connected(reader: StreamReader, writer: StreamWriter) -> None:
        with suppress(OSError):  # the target is down: whoever asked is hung up on
            inner_reader, inner_writer = await asyncio.open_connection(_ADDRESS, target)
            async with asyncio.TaskGroup() as both:
                both.create_task(_copy(reader, inner_writer))
                both.create_task(_copy(inner_reader, writer))
        writer.close()

    return connected


async def _copy(reader: StreamReader, writer: StreamWriter) -> None:
    with suppress(OSError):
        while chunk := await reader.read(_CHUNK):
            writer.write(chunk)
            await writer.drain()
    writer.close()


if __name__ == "__main__":
    certificate, key, *pairs = sys.argv[1:]
    asyncio.run(serve(certificate, key, {int(port): int(target) for port, target in (pair.split(":") for pair in pairs)}))

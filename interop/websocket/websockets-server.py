"""PyPI websockets as the server of our client: does what websockets-server.test.mjs judges.

Takes the path of our client (interop/server/src/client/main.rs) and prints one JSON object: what came of each step.
"""

import asyncio
import http
import json
import sys
from contextlib import asynccontextmanager

from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory

CLIENT = sys.argv[1]
TEXTS = ["", "x", "x" * 125, "x" * 126, "x" * 65_535, "x" * 65_536, "compressible " * 70_000, "雪 😀 \0"]


@asynccontextmanager
async def client_of(port, *args):
    """Our client, whose lines can be read; ended with its block."""
    url = f"ws://127.0.0.1:{port}/here"
    process = await asyncio.create_subprocess_exec(
        CLIENT, *args, url, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def meet(handler, *args, **options):
    """What `handler` returns when our client has come, and the lines that the client writes."""
    result = asyncio.get_running_loop().create_future()

    async def handle(socket):
        try:
            returned = await handler(socket)
            if not result.done():
                result.set_result(returned)
        except Exception as error:
            if not result.done():
                result.set_exception(error)

    async with serve(handle, "127.0.0.1", 0, **{"max_size": None, **options}) as server:
        port = server.sockets[0].getsockname()[1]
        async with client_of(port, *args) as client:
            returned = await result
            lines = (await client.stdout.read()).decode().splitlines()
    return returned, [json.loads(line) for line in lines]


async def messages():
    """Text and binary of every length come back; those that do not, and the extensions."""

    async def handler(socket):
        different = []
        for text in TEXTS:
            for message in (text, text.encode()):
                await socket.send(message)
                if await socket.recv() != message:
                    different.append(f"{type(message).__name__} of {len(message)}")
        return {"different": different, "agreed": [extension.name for extension in socket.protocol.extensions]}

    results = {}
    for compression in ("none", "alone", "takeover"):
        results[compression], _ = await meet(handler, "--compression", compression)
    return results


async def hundred_megabytes():
    """Those messages of 1 MB, as many of text as of binary, that do not come back equal."""

    async def handler(socket):
        different = []
        for number in range(101):
            text = f"{number}: 雪 😀 " + "0123456789 snow " * 62_000
            for message in (text, text.encode()):
                await socket.send(message)
                if await socket.recv() != message:
                    different.append(f"{type(message).__name__} {number}")
        return different

    different, _ = await meet(handler, "--compression", "none")
    return different


async def windows():
    """What is agreed on, and whether messages come back under it."""

    async def handler(socket):
        text = "compressible " * 5000
        same = True
        for number in range(3):
            await socket.send(text + str(number))
            same = same and await socket.recv() == text + str(number)
        (extension,) = socket.protocol.extensions
        return {
            "same": same,
            "server": [extension.local_no_context_takeover, extension.local_max_window_bits],
            "client": [extension.remote_no_context_takeover, extension.remote_max_window_bits],
        }

    results = []
    for factory, args in (
        ({}, []),
        ({}, ["--compression", "takeover"]),
        ({"server_max_window_bits": 9, "client_max_window_bits": 10}, ["--compression", "takeover"]),
        ({"server_no_context_takeover": True, "client_no_context_takeover": True}, ["--compression", "takeover"]),
        ({}, ["--compression", "takeover", "--window", "11"]),
    ):
        extensions = [ServerPerMessageDeflateFactory(**factory)]
        result, _ = await meet(handler, *args, compression=None, extensions=extensions)
        results.append(result)
    return results


async def order():
    async def handler(socket):
        await socket.send("count 2000")
        return [int(await socket.recv()) for _ in range(2000)] == list(range(2000))

    return (await meet(handler, "--commands", max_queue=None))[0]


async def fragments():
    async def handler(socket):
        await socket.send(["雪", "", " in ", "pieces"])
        text = await socket.recv()
        await socket.send([b"\x01", b"\x02", b""])
        return {"text": text, "binary": list(await socket.recv())}

    return (await meet(handler))[0]


async def pings():
    async def handler(socket):
        for payload in (b"", b"x" * 125):
            await (await socket.ping(payload))
        await socket.pong(b"unasked")
        await socket.send("still here")
        return await socket.recv()

    return (await meet(handler))[0]


async def server_closes():
    """What the server sees of its own closes, and what the client writes of them."""
    ends = []
    for code, reason in [(1000, ""), (1001, "bye"), (3000, "雪"), (4999, "x" * 123)]:

        async def handler(socket):
            await socket.send("last words")
            await socket.close(code, reason)
            return [socket.protocol.close_rcvd.code, await socket.recv()]

        seen, lines = await meet(handler)
        ends.append([*seen, lines[-1]])
    return ends


async def client_closes():
    ends = []
    for code, reason in [(1000, ""), (1011, "雪"), (3000, "x" * 123), (4999, "y")]:

        async def handler(socket):
            await socket.send(f"close {code} {reason}")
            try:
                await socket.recv()
            except ConnectionClosed as closed:
                return [closed.rcvd.code, closed.rcvd.reason]

        seen, lines = await meet(handler, "--commands")
        ends.append([*seen, lines[-1]])
    return ends


async def too_much():
    async def handler(socket):
        await socket.send(bytes(1_000_001))
        await socket.wait_closed()
        return socket.close_code

    code, lines = await meet(handler)
    return [code, lines[-1]["why"]]


async def subprotocols():
    async def handler(socket):
        return socket.subprotocol

    chosen = []
    for offered in (["chat.v2", "chat.v1"], ["chat.v3", "chat.v2"], []):
        args = [arg for name in offered for arg in ("--subprotocol", name)]
        # Without an offer, this server refuses who must choose.
        options = {"subprotocols": ["chat.v1", "chat.v2"]} if offered else {}
        seen, lines = await meet(handler, *args, **options)
        chosen.append([seen, lines[0]["subprotocol"]])
    return chosen


async def refusals():
    """What the client writes of servers that let nobody in."""

    def busy(connection, request):
        return connection.respond(http.HTTPStatus.SERVICE_UNAVAILABLE, "not now")

    async def handler(socket):
        pass

    lines = []
    for options in ({"process_request": busy}, {"origins": ["https://allowed.example"]}, {"subprotocols": ["chat.v1"]}):
        async with serve(handler, "127.0.0.1", 0, **options) as server:
            async with client_of(server.sockets[0].getsockname()[1]) as client:
                line = json.loads(await client.stdout.readline())
                lines.append([line["refused"], line["status"]])
    return lines


STEPS = [
    messages, hundred_megabytes, windows, order, fragments, pings, server_closes, client_closes, too_much, subprotocols, refusals,
]


async def main():
    results = {}
    for step in STEPS:
        try:
            results[step.__name__] = await asyncio.wait_for(step(), 60)
        except Exception as error:
            results[step.__name__] = f"failed: {error!r}"
    print(json.dumps(results))


asyncio.run(main())

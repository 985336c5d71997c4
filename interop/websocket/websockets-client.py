"""PyPI websockets as the client of our server: does what websockets.test.mjs judges.

Takes the server's ws:// URL and prints one JSON object: what came of each step.
"""

import asyncio
import json
import sys

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

TEXTS = ["", "x", "x" * 125, "x" * 126, "x" * 65_536, "compressible " * 70_000, "雪 😀 \0"]


async def messages(url):
    """Text and binary of every length come back; the lengths of those that do not, and the extensions."""
    different = []
    async with connect(f"{url}/echo", max_size=None) as socket:
        for text in TEXTS:
            for message in (text, text.encode()):
                await socket.send(message)
                if await socket.recv() != message:
                    different.append(f"{type(message).__name__} of {len(message)}")
        agreed = [extension.name for extension in socket.protocol.extensions]
    return {"different": different, "agreed": ", ".join(agreed)}


async def hundred_megabytes(url):
    """Those messages of 1 MB, as many of text as of binary, that do not come back equal."""
    different = []
    async with connect(f"{url}/echo", max_size=None, compression=None) as socket:
        for number in range(101):
            text = f"{number}: 雪 😀 " + "0123456789 snow " * 62_000
            for message in (text, text.encode()):
                await socket.send(message)
                if await socket.recv() != message:
                    different.append(f"{type(message).__name__} {number}")
    return different


async def uncompressed(url):
    async with connect(f"{url}/echo", compression=None) as socket:
        await socket.send("compressible " * 1000)
        same = await socket.recv() == "compressible " * 1000
        return {"same": same, "agreed": [extension.name for extension in socket.protocol.extensions]}


async def order(url):
    async with connect(f"{url}/commands", max_queue=None) as socket:
        await socket.send("count 2000")
        return [int(await socket.recv()) for _ in range(2000)] == list(range(2000))


async def fragments(url):
    async with connect(f"{url}/echo") as socket:
        await socket.send(["雪", "", " in ", "pieces"])
        text = await socket.recv()
        await socket.send([b"\x01", b"\x02", b""])
        return {"text": text, "binary": list(await socket.recv())}


async def pings(url):
    """A ping of ours is answered, and the server's are."""
    async with connect(f"{url}/pings") as socket:
        await (await socket.ping(b"payload"))
        await socket.send("still here")
        return await socket.recv()


async def client_closes(url):
    ends = []
    for code, reason in [(1000, ""), (1001, "bye"), (3000, "雪"), (4999, "x" * 123)]:
        socket = await connect(f"{url}/echo")
        await socket.close(code, reason)
        ends.append([socket.close_code, socket.close_reason])
    return ends


async def server_closes(url):
    ends = []
    for code, reason in [(1000, ""), (1011, "雪"), (3000, "x" * 123), (4999, "y")]:
        async with connect(f"{url}/commands") as socket:
            await socket.send(f"close {code} {reason}")
            try:
                await socket.recv()
            except ConnectionClosed as closed:
                ends.append([closed.rcvd.code, closed.rcvd.reason])
    return ends


async def too_much(url):
    async with connect(f"{url}/echo") as socket:
        await socket.send(bytes(1_000_001))
        await socket.wait_closed()
        return socket.close_code


async def subprotocols(url):
    chosen = []
    for offered in (["chat.v1", "chat.v2"], ["chat.v3", "chat.v1"], ["chat.v3"], None):
        async with connect(f"{url}/subprotocols", subprotocols=offered) as socket:
            chosen.append([socket.subprotocol, await socket.recv()])
    return chosen


async def origins(url):
    answers = []
    for origin in ("https://allowed.example", None, "https://other.example"):
        try:
            async with connect(f"{url}/origin", origin=origin) as socket:
                answers.append(await socket.recv())
        except InvalidStatus as refused:
            answers.append(refused.response.status_code)
    return answers


STEPS = [
    messages, hundred_megabytes, uncompressed, order, fragments, pings, client_closes, server_closes, too_much, subprotocols, origins,
]


async def main(url):
    results = {}
    for step in STEPS:
        try:
            results[step.__name__] = await asyncio.wait_for(step(url), 60)
        except Exception as error:
            results[step.__name__] = f"failed: {error!r}"
    print(json.dumps(results))


asyncio.run(main(sys.argv[1]))

"""PyPI python-socketio as the client of a Socket.IO server: does what python.test.mjs judges.

Takes the server's http:// URL and the transports, and prints one JSON object: what came of each step.
"""

import asyncio
import json
import sys

import socketio
from engineio.payload import Payload

# It takes 16 packets of a poll by default, and breaks off where npm's server, and ours, has more for it.
Payload.max_decode_packets = 1000
URL, TRANSPORTS = sys.argv[1], sys.argv[2].split(",")
PATIENCE = 10


class Member:
    """A client whose events can be awaited, in the order in which they come."""

    def __init__(self, namespace="/"):
        self.client = socketio.AsyncClient(reconnection=False)
        self.namespace = namespace
        self.events = asyncio.Queue()
        self.client.on("*", self.hear, namespace=namespace)
        for event in ("connect_error", "disconnect"):
            self.client.on(event, lambda *args, event=event: self.hear(event, *args), namespace=namespace)

    def hear(self, event, *args):
        self.events.put_nowait([event, *args])

    async def next(self, *names):
        """The arguments of the next event of these names."""
        while True:
            event = await asyncio.wait_for(self.events.get(), PATIENCE)
            if event[0] in names:
                return event

    async def join(self, auth=None, **options):
        await self.client.connect(
            URL, transports=TRANSPORTS, namespaces=[self.namespace], auth=auth, wait_timeout=PATIENCE, **options
        )
        return self

    async def emit(self, event, *args):
        await self.client.emit(event, args, namespace=self.namespace)

    async def call(self, event, *args, timeout=PATIENCE):
        return await self.client.call(event, args, namespace=self.namespace, timeout=timeout)

    async def leave(self):
        await written(self.client)
        await self.client.disconnect()

    async def refusal(self, auth=None):
        await self.join(auth, wait=False)
        error = await self.next("connect_error")
        await written(self.client)
        await self.client.eio.disconnect()
        return error

    async def __aenter__(self):
        return await self.join()

    async def __aexit__(self, *_):
        await self.leave()


async def written(client):
    """While a POST is under way this client forgets to say that it closes, and waits for its poll's end."""
    if client.transport() == "polling":
        await client.eio.queue.join()


def plain(value):
    """The value with bytes as text that says so, for JSON."""
    if isinstance(value, (bytes, bytearray)):
        return f"bytes {value.hex()}"
    if isinstance(value, (list, tuple)):
        return [plain(each) for each in value]
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()}
    return value


async def connect_with_auth():
    member = await Member().join({"name": "py", "nested": [1, None]})
    welcome = await member.next("welcome")
    same_id = await member.call("whoami") == member.client.get_sid("/")
    transport = member.client.transport()
    await member.leave()
    return {"welcome": welcome, "same id": same_id, "transport": transport}


async def connect_with_headers():
    member = await Member().join(headers={"x-custom": "value"})
    headers = await member.call("headers", ["x-custom", "x-none"])
    await member.leave()
    return headers


async def emit():
    async with Member() as member:
        results = []
        for args in ([], [1, "two", None, True, 1.5], [{"a": [{"b": None}]}, "雪 😀"], ["x" * 70_000]):
            await member.emit("echo", *args)
            _, *back = await member.next("echo")
            results.append([back == args, len(back)])
        return results


async def call():
    async with Member() as member:
        answers = [await member.call("echo", 1), await member.call("echo", 1, "two"), await member.call("nothing")]
        many = await asyncio.gather(*(member.call("echo", i) for i in range(30)))
        try:
            await member.call("never", timeout=0.1)
        except socketio.exceptions.TimeoutError:
            answers.append("timed out")
        return [answers, many == list(range(30))]


async def answers_to_the_server():
    async with Member() as member:
        member.client.on("question", lambda value: {"you": value})
        await member.emit("ask", "question", [1, "two"], 5000)
        first = await member.next("asked")
        member.client.on("bytes", lambda value: value + b"\x03")
        await member.emit("ask", "bytes", b"\x01\x02", 5000)
        return [first, await member.next("asked")]


async def binary():
    async with Member() as member:
        results = []
        for args in ([b""], [b"\x01\xff", "text", {"deep": [b"\x02", {"er": b"\x03"}]}], [bytes(100_000)]):
            await member.emit("echo", *args)
            _, *back = await member.next("echo")
            results.append(back == args)
        results.append(await member.call("types", b"abc", "abc", [b""]))
        results.append(await member.call("echo", b"abc"))
        return results


async def rooms():
    async with Member() as one, Member() as two:
        await one.call("join", ["red", "blue"])
        await two.call("join", "blue")
        own = await one.call("rooms")
        await one.call("relay", {"from": "server", "to": ["red"]}, "said", "to red")
        await one.call("relay", {"from": "socket", "to": ["blue"]}, "said", "to blue, but not me")
        await one.call("relay", {"from": "server", "to": ["blue"], "except": ["red"]}, "said", b"\x01")
        await one.call("relay", {"from": "server"}, "said", "the last")
        heard = []
        for member in (one, two):
            heard.append([])
            while not heard[-1] or heard[-1][-1] != "the last":
                heard[-1].append((await member.next("said"))[1])
        return [own, heard]


async def namespaces():
    member = Member("/admin")
    admin = await member.join({"token": "letmein"})
    answer = await admin.call("echo", "in")
    await admin.leave()
    refused = await Member("/admin").refusal({"token": "guess"})
    return [answer, refused, await Member("/nowhere").refusal()]


async def two_namespaces_on_one_connection():
    client = socketio.AsyncClient(reconnection=False)
    await client.connect(URL, transports=TRANSPORTS, namespaces=["/", "/admin"], auth={"token": "letmein"})
    answers = [await client.call("echo", "root"), await client.call("echo", b"admin", namespace="/admin")]
    ids = client.get_sid("/") != client.get_sid("/admin")
    await written(client)
    await client.disconnect()
    return [answers, ids]


async def the_server_disconnects():
    results = []
    for close in (False, True):
        member = await Member().join()
        await member.emit("drop me", close)
        results.append((await member.next("disconnect"))[0])
        await member.leave()
    return results


async def the_client_disconnects():
    async with Member() as watcher:
        await watcher.call("join", "observers")
        leaver = await Member().join({"name": "leaver"})
        await leaver.leave()
        # The reason is that of whichever comes first: this client closes its connection with its last packet.
        return (await watcher.next("gone"))[:2]


async def comes_back():
    member = await Member().join()
    first = member.client.get_sid("/")
    await member.leave()
    await member.join()
    result = [member.client.get_sid("/") != first, await member.call("echo", "back")]
    await member.leave()
    return result


async def order():
    async with Member() as member:
        await member.call("count", 300)
        return [(await member.next("number"))[1] for _ in range(300)] == list(range(300))


STEPS = [
    connect_with_auth, connect_with_headers, emit, call, answers_to_the_server, binary, rooms, namespaces,
    two_namespaces_on_one_connection, the_server_disconnects, the_client_disconnects, comes_back, order,
]


async def main():
    results = {}
    for step in STEPS:
        try:
            results[step.__name__] = plain(await asyncio.wait_for(step(), 30))
        except Exception as error:  # what went wrong is the step's result
            results[step.__name__] = f"{type(error).__name__}: {error}"
    print(json.dumps(results, ensure_ascii=False))


asyncio.run(main())

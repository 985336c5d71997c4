"""A member of the shared room that has only a WebSocket (pip install websockets).
It prints what others say, and says to them each line of its input; a line @NAME sends a file."""

import asyncio, base64, json, pathlib, re, sys
from websockets.asyncio.client import connect


def revive(value):  # {"$binary": ..} is binary, {"$$binary": ..} an object that looks like it.
    if "$binary" in value:
        return base64.b64decode(value["$binary"])
    return {re.sub(r"^\$(?=\$+binary$)", "", key): value[key] for key in value}


def binary(value):
    return {"$binary": base64.b64encode(value).decode()}


async def hear(room):
    async for text in room:
        match json.loads(text, object_hook=revive):
            case {"connected": {"id": socket}}:
                print("connected as", socket, flush=True)
            case {"event": "chat message", "args": [who, *what]}:
                print(f"{who}:", *what, flush=True)
            case {"ack": number, "args": [answer]}:
                print(f"message {number} is {answer}", flush=True)


async def main(url="ws://127.0.0.1:3000/plain", name="python", number=0):
    async with connect(url) as room:
        hearing = asyncio.create_task(hear(room))
        while line := await asyncio.to_thread(sys.stdin.readline):
            number, what = number + 1, [line.strip()]
            if line.startswith("@"):
                what.append(pathlib.Path(line[1:].strip()).read_bytes())
            event = {"event": "chat message", "args": [name, *what], "id": number}
            await room.send(json.dumps(event, default=binary))
    await hearing

asyncio.run(main(*sys.argv[1:]))

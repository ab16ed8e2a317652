"""Both ends of a WebSocket, by the library `websockets`: `talk.py serve PORT [SUBPROTOCOL]` and
`talk.py call URL [SUBPROTOCOL]`. The client prints what it sent and got as one JSON object."""

import asyncio
import json
import sys

import websockets

PIECES = ["in ", "three ", "pieces"]
BANNER = {"client": b"SSH-chisel-v3-client\r\n", "server": b"SSH-chisel-v3-server\r\n"}


async def answer(socket):
    if socket.subprotocol == "chisel-v3":
        await socket.send(BANNER["server"])
    try:
        async for message in socket:
            await socket.send(message)
    except websockets.ConnectionClosed:
        pass


async def serve(port, options):
    async with websockets.serve(answer, "127.0.0.1", port, ping_interval=None, **options):
        print("ready", flush=True)
        await asyncio.Future()


async def call(url, options):
    sent = []
    async with websockets.connect(url, ping_interval=None, **options) as socket:
        if socket.subprotocol == "chisel-v3":
            assert await socket.recv() == BANNER["server"]
            messages = [BANNER["client"], bytes(range(256)) * 100]
        else:
            messages = ["hello", "", "ü" * 70_000, b"\0" * 1000]
        for message in messages:
            await socket.send(message)
            assert await socket.recv() == message
            sent.append(len(message.encode() if isinstance(message, str) else message))
        if socket.subprotocol is None:
            await socket.send(PIECES)
            assert await socket.recv() == "".join(PIECES)
            sent.append(len("".join(PIECES)))
        await (await socket.ping(b"are you there?"))
        await socket.close(4001, "that is all")
    print(json.dumps({"sent": sent}))


def main():
    role, where, *subprotocol = sys.argv[1:]
    options = {"subprotocols": subprotocol or None}
    if subprotocol:
        options["compression"] = None
    if role == "serve":
        asyncio.run(serve(int(where), options))
    else:
        asyncio.run(call(where, options))


main()

"""aiortc as an answerer of our link's framing: a line of JSON with an offer in, one with the answer out.

It answers GET .../bytes?n=N with N bytes, in chunks of 16 KiB, and holds back while 1 MiB waits in the channel.
"""

import asyncio
import json
import re
import sys

from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription

HEAD, MORE, LAST = 0, 1, 2
PIECE = 16384 - 5
WAITING = 1 << 20


class Door:
    """One channel and the answers under way on it."""

    def __init__(self, channel):
        self.channel = channel
        self.paths = {}
        self.low = asyncio.Event()
        channel.bufferedAmountLowThreshold = WAITING // 2
        channel.on("bufferedamountlow", self.low.set)
        channel.on("message", self.hear)

    def hear(self, message):
        ticket, kind = message[:4], message[4]
        if kind == HEAD:
            self.paths[ticket] = json.loads(message[5:])["path"]
        elif kind == LAST and ticket in self.paths:
            count = int(re.search(r"n=(\d+)", self.paths.pop(ticket))[1])
            asyncio.ensure_future(self.answer(ticket, count))

    async def answer(self, ticket, count):
        head = {"status": 200, "type": "application/octet-stream", "length": count}
        self.channel.send(ticket + bytes([HEAD]) + json.dumps(head).encode())
        body = memoryview(bytes(min(count, PIECE)))
        while count > PIECE:
            while self.channel.bufferedAmount > WAITING:
                self.low.clear()
                await self.low.wait()
            self.channel.send(ticket + bytes([MORE]) + body)
            count -= PIECE
        self.channel.send(ticket + bytes([LAST]) + body[:count])


async def answer(sdp):
    connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    connection.on("datachannel", Door)
    await connection.setRemoteDescription(RTCSessionDescription(sdp, "offer"))
    await connection.setLocalDescription(await connection.createAnswer())
    return connection


async def main():
    lines = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(lines)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: protocol, sys.stdin)
    print("ready", flush=True)
    before = None
    while line := await lines.readline():
        if before:
            await before.close()
        before = await answer(json.loads(line)["offer"])
        print(json.dumps({"answer": before.localDescription.sdp}), flush=True)


asyncio.run(main())

"""The aiohttp library, one session; `WS` speaks WebSocket through the same session."""

import asyncio
import hashlib

import aiohttp
from frame import answered, run_async


async def socket(session, url, payload):
    async with session.ws_connect(url, max_msg_size=16 << 20) as ws:
        await ws.send_str("héllo")
        text = (await ws.receive(timeout=20)).data
        await ws.send_bytes(payload)
        body = (await ws.receive(timeout=20)).data
    return {"status": 101, "text": text, "length": len(body), "sha256": hashlib.sha256(body).hexdigest()}


async def main():
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as session:

        async def perform(op, url, payload):
            if op == "WS":
                return await socket(session, url, payload)
            async with session.request(op, url, data=payload if op == "POST" else None) as answer:
                return answered(answer.status, await answer.read(), "HTTP/1.1", answer.headers.get("content-type"))

        await run_async(perform)


asyncio.run(main())

"""proxy.py ADDRESS PORT TARGET-PORT LOG: relays ADDRESS:PORT to 127.0.0.1:TARGET-PORT and counts what crosses.

LOG gets one line for each connection when it ends: its first token's name and number (`DIST00000003`: protocol 3; `BNDL00000001`: the bundle dialect;
`-`: nothing came), bytes from the client, bytes to the client (TCP payload), seconds it was open.
"""
import asyncio
import sys
import time

CHUNK = 1 << 18


async def relay(reader, writer, count, first):
    """Carries one direction to its end."""
    try:
        while data := await reader.read(CHUNK):
            if len(first) < 12:
                first += data[: 12 - len(first)]
            count[0] += len(data)
            writer.write(data)
            await writer.drain()
        writer.write_eof()
    except OSError:
        writer.close()


async def main():
    address, port, target, log_name = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
    log, alive = open(log_name, "a"), set()

    async def connection(reader, writer):
        # The loop itself holds tasks weakly: one that waits could be collected.
        alive.add(task := asyncio.current_task())
        task.add_done_callback(alive.discard)
        began, up, down, first = time.monotonic(), [0], [0], bytearray()
        try:
            server_reader, server_writer = await asyncio.open_connection("127.0.0.1", target, limit=CHUNK)
        except OSError:
            writer.close()
            return
        await asyncio.gather(relay(reader, server_writer, up, first), relay(server_reader, writer, down, bytearray(12)))
        for end in (writer, server_writer):
            end.close()
        token = first.decode("ascii", "replace") if first else "-"
        log.write(f"{token} {up[0]} {down[0]} {time.monotonic() - began:.4f}\n")
        log.flush()

    server = await asyncio.start_server(connection, address, port, limit=CHUNK, backlog=256)
    print("ready", flush=True)
    async with server:
        await server.serve_forever()


asyncio.run(main())

#!/usr/bin/python3
"""count-proxy.py TARGET-PORT LOG: relays connections to 127.0.0.1:TARGET-PORT and counts the bytes of each.

Prints the port it listens on, then runs until it is ended. LOG gets one line per connection when it closes:
bytes from the client, bytes to the client (TCP payload).
"""

import selectors
import socket
import sys


def close(selector, pair, log):
    for end in pair["ends"]:
        if end in selector.get_map():
            selector.unregister(end)
        end.close()
    log.write(f"{pair['up']} {pair['down']}\n")
    log.flush()


def main():
    target = int(sys.argv[1])
    log = open(sys.argv[2], "a")
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(256)
    print(listener.getsockname()[1], flush=True)
    selector = selectors.DefaultSelector()
    selector.register(listener, selectors.EVENT_READ)
    while True:
        for key, _ in selector.select():
            if key.fileobj is listener:
                client, _address = listener.accept()
                server = socket.create_connection(("127.0.0.1", target))
                pair = {"ends": (client, server), "up": 0, "down": 0, "open": 2}
                selector.register(client, selectors.EVENT_READ, (pair, server, "up"))
                selector.register(server, selectors.EVENT_READ, (pair, client, "down"))
                continue
            pair, other, way = key.data
            if key.fileobj.fileno() < 0:
                continue
            try:
                data = key.fileobj.recv(262144)
                if data:
                    pair[way] += len(data)
                    other.sendall(data)
                    continue
                other.shutdown(socket.SHUT_WR)
            except OSError:
                pair["open"] = 1
            selector.unregister(key.fileobj)
            pair["open"] -= 1
            if pair["open"] == 0:
                close(selector, pair, log)


if __name__ == "__main__":
    main()

#!/usr/bin/python3
"""strangers.py ADDRESS MACHINE VERSION: says all kinds of things by multicast DNS, from the interface with ADDRESS.

Noise, damaged answers, and a crowd of 600 well-formed servers with names, texts and addresses that are to get nobody into trouble.
"""

import random
import socket
import struct
import sys

address, machine, version = sys.argv[1:]
dice = random.Random(5353)
GROUP = ("224.0.0.251", 5353)
SERVICE = b"\x07_distcc\x04_tcp\x05local\x00"

out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
out.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
out.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
out.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(address))
out.bind(("", 5353))


def label(text):
    return bytes([len(text)]) + text


def record(name, kind, body):
    return name + struct.pack("!HHIH", kind, 1, 120, len(body)) + body


def server(number):
    """An answer about one server: PTR, SRV, TXT and A records."""
    strange = [b"a\nb 1.2.3.4/9", b"#", b"\xff\xfe", b"x,cpp,lzo", b"../../x", b"%s%n"][number % 6]
    instance = label(b"%d %s" % (number, strange)) + SERVICE
    host = label(b"stranger%d" % number) + b"\x05local\x00"
    texts = [b"cc_machine=" + machine.encode(), b"cc_version=" + version.encode(), b"features=" + strange,
             b"jobs=%d" % dice.choice([0, 7, 2**31, 10**15]), bytes(dice.randrange(256) for _ in range(40)), b"=", b"jobs"]
    place = bytes(dice.choice([(10, 9, 9, number % 250 + 1), (127, 0, 0, 1), (0, 0, 0, 0), (224, 0, 0, 1)]))
    records = [record(SERVICE, 12, instance),
               record(instance, 33, struct.pack("!HHH", 0, 0, dice.choice([0, 1, 3632, 65535])) + host),
               record(instance, 16, b"".join(label(text) for text in texts)), record(host, 1, place)]
    return struct.pack("!HHHHHH", 0, 0x8400, 0, len(records), 0, 0) + b"".join(records)


def damaged(packet):
    packet = bytearray(packet)
    for _ in range(dice.randrange(1, 8)):
        packet[dice.randrange(len(packet))] = dice.randrange(256)
    return bytes(packet[:dice.randrange(len(packet))] if dice.random() < 0.3 else packet)


for number in range(600):
    for packet in (server(number), damaged(server(number)), bytes(dice.randrange(256) for _ in range(dice.randrange(1400)))):
        out.sendto(packet, GROUP)

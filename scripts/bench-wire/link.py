"""Where the client and the server are: on loopback, or in two network namespaces with an emulated link between them."""
import os
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.realpath(__file__))


class Loopback:
    """Both on 127.0.0.1."""

    name = "loopback"
    address = "127.0.0.1"
    client = ()
    server = ()

    def close(self):
        pass


class Link:
    """Two network namespaces; words to put in front of commands of either side."""

    address = "10.87.1.2"
    device = "wire0"
    mtu = 1500
    # A quarter of a second at 20 Mbit/s before a router drops packets.
    queue_bytes = 625_000

    def __init__(self, work, megabits, milliseconds):
        self.name = f"{megabits:g} Mbit/s, {milliseconds:g} ms each way"
        self.spaces = [f"wire-{side}-{os.getpid()}" for side in ("client", "server")]
        self.relay = None
        program = os.path.join(work, "relay")
        subprocess.run(["gcc", "-O2", "-o", program, os.path.join(HERE, "relay.c")], check=True)
        try:
            for space in self.spaces:
                subprocess.run(["ip", "netns", "add", space], check=True)
                subprocess.run(["ip", "-n", space, "link", "set", "lo", "up"], check=True)
            words = [program, *self.spaces, self.device, str(int(milliseconds * 1000)), str(megabits * 1e6), str(self.queue_bytes)]
            self.relay = subprocess.Popen(words, stdout=subprocess.PIPE)
            if self.relay.stdout.readline() != b"ready\n":
                sys.exit("bench-wire: the link's relay did not start")
            for space, address in zip(self.spaces, ("10.87.1.1", self.address)):
                ip = ["ip", "-n", space]
                subprocess.run([*ip, "address", "add", f"{address}/24", "dev", self.device], check=True)
                subprocess.run([*ip, "link", "set", self.device, "mtu", str(self.mtu), "up"], check=True)
        except (OSError, subprocess.CalledProcessError) as error:
            self.close()
            sys.exit(f"bench-wire: no emulated link: {error} (it wants root, iproute2 and /dev/net/tun)")
        # nsenter changes nothing but the network: `ip netns exec` would remount /sys.
        self.client, self.server = (("nsenter", f"--net=/run/netns/{space}") for space in self.spaces)

    def close(self):
        if self.relay:
            self.relay.terminate()
            self.relay.wait()
        for space in self.spaces:
            if os.path.exists(f"/run/netns/{space}"):
                subprocess.run(["ip", "netns", "delete", space])


def wait_until(true, what, seconds=10.0):
    """Polls until `true()`, or ends the program saying that `what` did not happen."""
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            sys.exit(f"bench-wire: {what}")
        time.sleep(0.02)

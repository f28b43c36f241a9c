#!/usr/bin/python3
"""Records what a stock client and a stock include server say to each other about one small translation unit.

    scripts/record-include-dialogue.py > tests/peers/stock-include-dialogue.txt

Uses the peer built in the cache by scripts/peer-build.sh: stock 3.4 with upstream's own PY_SSIZE_T_CLEAN fix, without
which no stock include server runs on Python 3.10 or later. The project is made here (a header behind a symbolic link,
an include through a directory that holds nothing). Three things are written: the dialogue on the unix socket, the
mirror tree that the answer names, and the protocol 3 request that the stock client then sends.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
PROJECT = "/tmp/pumphouse-dialogue/p"
FILES = {
    "a.c": '#include "v.h"\n#include "gone/../w.h"\n#include <stddef.h>\nint a = V + W;\n',
    "inc/real.h": "#define V 1\n",
    "w.h": "#define W 2\n",
}


class Relay:
    """Relays connections from one socket to another and keeps the bytes of both directions."""

    def __init__(self, listener, connect):
        self.up, self.down, self.connect = bytearray(), bytearray(), connect
        self.listener = listener
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            client, _ = self.listener.accept()
            server = self.connect()
            threads = [threading.Thread(target=self.copy, args=pair) for pair in
                       ((client, server, self.up), (server, client, self.down))]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            client.close()
            server.close()

    @staticmethod
    def copy(source, to, kept):
        try:
            while data := source.recv(65536):
                kept.extend(data)
                to.sendall(data)
            to.shutdown(socket.SHUT_WR)
        except OSError:
            pass


def tokens(data):
    """Yields (token, parameter, body) of a stream. Which tokens have a body is known by name."""
    at = 0
    while at < len(data):
        name, value = data[at:at + 4].decode(), int(data[at + 4:at + 12], 16)
        at += 12
        body = b""
        if name not in ("DIST", "DONE", "ARGC", "NFIL", "STAT"):
            body = bytes(data[at:at + value])
            at += value
        yield name, value, body


def show(prefix, data):
    for name, value, body in tokens(data):
        text = body.decode("latin-1") if name in ("CDIR", "ARGV", "NAME", "LINK") else body.hex()
        print(f"{prefix} {name} {value:08x} {text}".rstrip())


def unix_listener(path):
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen()
    return listener


def main():
    build = subprocess.run([os.path.join(HERE, "peer-build.sh")], stdout=subprocess.PIPE, check=True, text=True).stdout.strip()
    top = os.path.dirname(PROJECT)
    shutil.rmtree(top, ignore_errors=True)
    for name, text in FILES.items():
        os.makedirs(os.path.dirname(os.path.join(PROJECT, name)), exist_ok=True)
        with open(os.path.join(PROJECT, name), "w") as f:
            f.write(text)
    os.symlink("inc/real.h", os.path.join(PROJECT, "v.h"))
    os.mkdir(os.path.join(PROJECT, "gone"))
    os.chmod(top, 0o777)

    extension = subprocess.run([os.path.join(build, "find_c_extension.sh"), build], stdout=subprocess.PIPE, text=True,
                               cwd=build, check=True).stdout.strip()
    env = {"PATH": "/usr/bin:/bin", "HOME": top, "DISTCC_DIR": top + "/distcc", "TMPDIR": top, "DISTCC_FALLBACK": "0",
           "LC_ALL": "C", "DISTCC_NO_REWRITE_CROSS": "1"}
    os.makedirs(env["DISTCC_DIR"])
    server_socket, client_socket, pid_file = top + "/server", top + "/client", top + "/pid"
    subprocess.run(["/usr/bin/python3", build + "/include_server/include_server.py", "--port", server_socket, "--pid_file",
                    pid_file], env=env | {"PYTHONPATH": os.path.join(build, extension)}, check=True,
                   stdout=subprocess.DEVNULL)
    with open(pid_file) as f:
        server_pid = int(f.read())
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    daemon = subprocess.Popen([build + "/distccd", "--daemon", "--no-detach", "--port", str(port), "--allow", "127.0.0.1",
                               "--enable-tcp-insecure", "--log-file", "/dev/null"], env=env)
    try:
        while True:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                time.sleep(0.05)

        def to_include_server():
            s = socket.socket(socket.AF_UNIX)
            s.connect(server_socket)
            return s

        dialogue = Relay(unix_listener(client_socket), to_include_server)
        tcp = socket.socket()
        tcp.bind(("127.0.0.1", 0))
        tcp.listen()
        request = Relay(tcp, lambda: socket.create_connection(("127.0.0.1", port)))
        env |= {"INCLUDE_SERVER_PORT": client_socket, "DISTCC_HOSTS": f"127.0.0.1:{tcp.getsockname()[1]},lzo,cpp"}
        command = ["gcc", "-Wall", f"-I{PROJECT}/inc", "-MD", "-c", "a.c", "-o", "a.o"]
        subprocess.run([build + "/distcc", *command], env=env, cwd=PROJECT, check=True)

        answer = [body.decode() for name, _, body in tokens(dialogue.down) if name == "ARGV"]
        print("# A stock distcc 3.4 client and a stock include server about one translation unit, recorded by")
        print("# scripts/record-include-dialogue.py. Only text of our own project and of the wire format is in it.")
        print("#\n# Lines: '> TOKEN PARAMETER BODY' client to include server; '<' its answer; 'FILE path hex' and")
        print("# 'LINK path target' the mirror tree that the answer names; '= TOKEN PARAMETER BODY' the request that the")
        print("# stock client then sends in protocol 3 (bodies of FILE in hex: LZO). 'PROJECT name text' made the project.")
        print("command " + " ".join(command))
        print("directory " + PROJECT)
        for name, text in FILES.items():
            print("PROJECT " + name + " " + repr(text))
        print("PROJECT-LINK v.h inc/real.h")
        print("PROJECT-DIRECTORY gone")
        show(">", dialogue.up)
        show("<", dialogue.down)
        for path in answer:
            if os.path.islink(path):
                print(f"LINK {path} {os.readlink(path)}")
            else:
                with open(path, "rb") as f:
                    print(f"FILE {path} {f.read().hex()}".rstrip())
        show("=", request.up)
    finally:
        os.kill(server_pid, signal.SIGTERM)
        daemon.terminate()
        daemon.wait()
    while os.path.exists(f"/proc/{server_pid}") and "include_server" in open(f"/proc/{server_pid}/cmdline").read():
        time.sleep(0.05)
    shutil.rmtree(top, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
"""A line that breaks: passes connections on to a port, and resets most of them after a
number of bytes, another for each, so that over many connections a break comes
everywhere: in the handshake, in the head, in the body, in the answer.

	cutter.py PORT [COUNT]

Prints its own port when it is ready. Of four connections two are cut by what the client
sends, one by what the server sends, one stays whole; from the COUNTth on all are whole.
"""
import itertools
import select
import socket
import struct
import sys
import threading

# Steps that come round to every offset; a create sends some 1,300 bytes, handshake and all.
FROM_CLIENT = (1 + i * 173 % 1501 for i in itertools.count())
FROM_SERVER = (1 + i * 331 % 2803 for i in itertools.count())


def reset(*socks):
    for s in socks:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        s.close()


class Flow:
    """One direction of a connection: until it ends, or `left` bytes have passed."""

    def __init__(self, src, dst, left):
        self.src, self.dst, self.left = src, dst, left

    def carry(self):
        """Whether there may be more."""
        data = self.src.recv(65536)
        if not data:
            self.dst.shutdown(socket.SHUT_WR)
            return False
        if self.left is not None:
            data = data[: self.left]
            self.left -= len(data)
        self.dst.sendall(data)
        if self.left == 0:
            raise ConnectionResetError
        return True


def serve(client, port, from_client, from_server):
    # One thread for both directions: a socket that another reads cannot be reset.
    server = socket.create_connection(("127.0.0.1", port))
    flows = [Flow(client, server, from_client), Flow(server, client, from_server)]
    try:
        while flows:
            ready = select.select([f.src for f in flows], [], [])[0]
            flows = [f for f in flows if f.src not in ready or f.carry()]
    except OSError:
        reset(client, server)
    client.close()
    server.close()


def main():
    port = int(sys.argv[1])
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 1 << 60
    with socket.create_server(("127.0.0.1", 0)) as s:
        print(s.getsockname()[1], flush=True)
        for n in itertools.count():
            kind = n % 4 if n < count else 3
            cuts = (
                next(FROM_CLIENT) if kind in (0, 2) else None,
                next(FROM_SERVER) if kind == 1 else None,
            )
            client = s.accept()[0]
            threading.Thread(target=serve, args=(client, port, *cuts), daemon=True).start()


main()

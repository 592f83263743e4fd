#!/usr/bin/env python3
"""A server that only listens: takes every connection, writes down every byte that
comes, and answers each with a text (or closes without).

	listener.py FILE [ANSWER]

Prints its port when it is ready. FILE gets the bytes; ANSWER's \\r and \\n are taken
for what they stand for.
"""
import socket
import sys
import threading

lock = threading.Lock()


def serve(conn, out, answer):
    with conn:
        conn.settimeout(2)
        seen = b""
        try:
            while b"\r\n\r\n" not in seen:
                got = conn.recv(65536)
                if not got:
                    break
                seen += got
                with lock:
                    out.write(got)
                    out.flush()
            if answer:
                conn.sendall(answer)
        except OSError:
            pass


def main():
    answer = sys.argv[2].encode().decode("unicode_escape").encode() if sys.argv[2:] else b""
    with socket.create_server(("127.0.0.1", 0)) as s, open(sys.argv[1], "ab") as out:
        print(s.getsockname()[1], flush=True)
        while True:
            conn = s.accept()[0]
            threading.Thread(target=serve, args=(conn, out, answer), daemon=True).start()


main()

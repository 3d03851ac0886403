"""A real HTTP server on this machine that serves a file or several, with faults on demand."""

import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Served:
    """The file, how it is served, and what was asked for."""

    content: bytes | dict[str, bytes]
    """Of the one file, whatever is asked for; or of each by its path."""
    etag: str = '"one"'
    url: str = ""
    faults: list[str] = field(default_factory=list)
    """One is used up per request: a status code, `stop` (half-way), `long` (promises more), `chunked`, `mixed`
    (a range of another version), or `redirect ADDRESS`."""
    ranges: bool = True
    seconds_per_block: float = 0.0
    asked: list[dict[str, str]] = field(default_factory=list)


@contextmanager
def serving(content: bytes | dict[str, bytes], **options: Any) -> Iterator[Served]:
    """Serve `content` at `Served.url` until the block ends."""
    served = Served(content, **options)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            served.asked.append(dict(self.headers) | {"path": self.path})
            fault = served.faults.pop(0) if served.faults else ""
            if isinstance(served.content, dict) and self.path not in served.content:
                fault = fault or "404"
            if fault.isdigit():
                self.send_response(int(fault))
                self.send_header("Content-Length", "0")
                self.end_headers()
            elif fault.startswith("redirect "):
                self.send_response(302)
                self.send_header("Location", fault.removeprefix("redirect "))
                self.send_header("Content-Length", "0")
                self.end_headers()
            else:
                self.answer(fault)

        def answer(self, fault: str) -> None:
            content = served.content[self.path] if isinstance(served.content, dict) else served.content
            start, total = 0, len(content)
            wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
            same = self.headers.get("If-Range", served.etag) == served.etag
            if wanted and served.ranges and (same or fault == "mixed"):
                start = int(wanted[1])
                if start >= total:
                    self.send_response(416)
                    self.send_header("Content-Range", f"bytes */{total}")
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                self.send_response(206)
                self.send_header("Content-Range", f"bytes {start}-{total - 1}/{total}")
            else:
                self.send_response(200)
            self.send_header("ETag", served.etag)
            body = content[start:]
            if fault == "chunked":
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                self.wfile.write(b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body))
                return
            self.send_header("Content-Length", str(len(body) + (7 if fault == "long" else 0)))
            self.end_headers()
            if fault in ("stop", "long"):
                self.wfile.write(body[: len(body) // 2] if fault == "stop" else body)
                self.wfile.flush()
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            for place in range(0, len(body), 1 << 16):
                self.wfile.write(body[place : place + (1 << 16)])
                if served.seconds_per_block:
                    time.sleep(served.seconds_per_block)

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None:
            pass  # a client that was killed, as the tests want it

    server = Server(("127.0.0.1", 0), Handler)
    served.url = f"http://127.0.0.1:{server.server_port}/file.zip"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

"""A local HTTP server that misbehaves as told, and remembers what it was asked."""

import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Answer:
    """How to answer one request; by default well, with Range and If-Range.

    Args:
        status: an error to give instead.
        cut: close the connection after so many bytes of the body.
        hang: seconds of silence before the first byte of the body.
        drip: bytes sent one at a time, with a pause, before the rest.
        ignore_range: give the whole file with 200, whatever was asked.
        ignore_if: give the part that was asked for, though the version is another.
        shift: begin so many bytes too early, and say so.
        length: whether to tell the length; without it the end of the connection ends the file.
        headers: others to send, such as Content-Type or Retry-After.
    """

    status: int = 0
    cut: int | None = None
    hang: float = 0.0
    drip: int = 0
    ignore_range: bool = False
    ignore_if: bool = False
    shift: int = 0
    length: bool = True
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Server:
    """What is served, how the next requests are answered, and those that came."""

    url: str
    content: bytes = b""
    tag: str = '"1"'
    answers: list[Answer] = field(default_factory=list)
    asked: list[dict[str, str]] = field(default_factory=list)
    between: Callable[[], None] = lambda: None

    @property
    def ranges(self) -> list[str]:
        """What was asked for, one for each request; empty for the whole."""
        return [a.get("Range", "") for a in self.asked]


@contextmanager
def serving() -> Iterator[Server]:
    """A server on a free port of this machine."""
    state = Server("")

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            pass

        def do_GET(self) -> None:
            state.asked.append(dict(self.headers.items()))
            answer = state.answers.pop(0) if state.answers else Answer()
            with suppress(BrokenPipeError, ConnectionResetError):
                self.reply(answer)
            self.close_connection = True
            state.between()

        def reply(self, answer: Answer) -> None:
            content, tag = state.content, state.tag
            if answer.status:
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            begin, status = self.begin(answer, len(content), tag)
            if status == 416:
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(content)}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            body = content[begin:]
            self.send_response(status)
            if status == 206:
                self.send_header(
                    "Content-Range", f"bytes {begin}-{len(content) - 1}/{len(content)}"
                )
            if answer.length:
                self.send_header("Content-Length", str(len(body)))
            if tag:
                self.send_header("Last-Modified" if "GMT" in tag else "ETag", tag)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.end_headers()
            time.sleep(answer.hang)
            for i in range(answer.drip):
                self.wfile.write(body[i : i + 1])
                self.wfile.flush()
                time.sleep(0.02)
            self.wfile.write(body[answer.drip : answer.cut])

        def begin(self, answer: Answer, size: int, tag: str) -> tuple[int, int]:
            """First byte to send, and the status."""
            asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
            other = self.headers.get("If-Range", tag) != tag
            if asked is None or answer.ignore_range or (other and not answer.ignore_if):
                return 0, 200
            begin = max(0, int(asked[1]) - answer.shift)
            return (begin, 206) if begin < size else (0, 416)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    state.url = f"http://127.0.0.1:{server.server_port}/file.bin"
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()

"""A Label Studio that takes its time: every answer comes through here, seconds later."""

import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx

# Of one connection, not of the request; httpx and the server here set their own.
HOP_BY_HOP = {"connection", "content-encoding", "content-length", "host", "transfer-encoding"}


class SlowProxy:
    """Passes requests on to a server, and its answers back after a while.

    Args:
        behind: the server's address.
        seconds: that each answer is held back.
    """

    def __init__(self, behind: str, seconds: float) -> None:
        outer = self
        self.answered = 0

        class Handler(BaseHTTPRequestHandler):
            def _pass_on(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                headers = {k: v for k, v in self.headers.items() if k.lower() not in HOP_BY_HOP}
                answer = httpx.request(
                    self.command, behind + self.path, content=body, headers=headers, timeout=60
                )
                time.sleep(seconds)
                outer.answered += 1
                self.send_response(answer.status_code)
                for name, value in answer.headers.multi_items():
                    if name.lower() not in HOP_BY_HOP:
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(answer.content)))
                self.end_headers()
                self.wfile.write(answer.content)

            do_GET = do_POST = do_PATCH = do_DELETE = _pass_on

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

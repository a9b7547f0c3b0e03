"""A registry behind a bad network: a proxy that delays, refuses and cuts, by a seed."""

import http.client
import random
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

DELAY = 0.04
REFUSED, CUT = 0.10, 0.08
PIECE = 64 << 10


class Faults:
    """Stands before the registry at `host`; `bytes` is what uploads sent, as far as they came."""

    def __init__(self, host, seed):
        self.upstream, self.random, self.lock, self.bytes, self.faults = host, random.Random(seed), threading.Lock(), 0, 0
        proxy = self

        class Handler(Passing):
            faults = proxy

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.host = f"127.0.0.1:{self.server.server_port}"

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()

    def draw(self):
        """What becomes of a request: refused, or cut after a share of its body, or neither."""
        with self.lock:
            fate, share = self.random.random(), self.random.random()
            refused, cut = fate < REFUSED, REFUSED <= fate < REFUSED + CUT
            self.faults += refused or cut
        return refused, share if cut else None


class Passing(BaseHTTPRequestHandler):
    """Passes requests on, or not."""

    protocol_version = "HTTP/1.1"

    def attend(self):
        time.sleep(DELAY)
        refused, cut_at = self.faults.draw()
        if refused:
            self.send_response(429)
            self.send_header("Retry-After", "0")
            self.send_header("Content-Length", "0")
            # The body that nobody wants is still on its way.
            self.send_header("Connection", "close")
            self.end_headers()
            self.close_connection = True
            return
        upstream = http.client.HTTPConnection(self.faults.upstream)
        try:
            if self.send_on(upstream, cut_at):
                self.answer(upstream.getresponse())
        except OSError:
            self.close_connection = True
        finally:
            upstream.close()

    do_GET = do_HEAD = do_PUT = do_POST = do_PATCH = do_DELETE = attend

    def send_on(self, upstream, cut_at):
        """Whether all of the request arrived."""
        upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            upstream.putheader(name, value)
        upstream.endheaders()
        total = int(self.headers.get("Content-Length") or 0)
        chunked = self.headers.get("Transfer-Encoding", "").lower() == "chunked"
        # The end of a chunked body is not known; any place is as good.
        limit = None if cut_at is None or not (total or chunked) else int(cut_at * (total or 32 << 20))
        sent = 0
        for piece in self.chunks() if chunked else self.pieces(total):
            upstream.send(b"%x\r\n%s\r\n" % (len(piece), piece) if chunked else piece)
            sent += len(piece)
            with self.faults.lock:
                self.faults.bytes += len(piece)
            if limit is not None and sent >= limit:
                self.close_connection = True
                return False
        if chunked:
            upstream.send(b"0\r\n\r\n")
        return True

    def pieces(self, left):
        while left > 0:
            piece = self.rfile.read(min(PIECE, left))
            if not piece:
                raise ConnectionError("the client is gone")
            left -= len(piece)
            yield piece

    def chunks(self):
        while size := int(self.rfile.readline().split(b";")[0] or b"0", 16):
            yield self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()

    def answer(self, response):
        self.send_response_only(response.status)
        has_length = False
        for name, value in response.getheaders():
            if name.lower() not in ("connection", "transfer-encoding"):
                # The registry names itself by the address that it was asked under.
                self.send_header(name, value)
                has_length |= name.lower() == "content-length"
        body = response.read() if not has_length else None
        if body is not None:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "HEAD":
            return
        while piece := body if body is not None else response.read(PIECE):
            self.wfile.write(piece)
            body = b"" if body is not None else None

    def log_message(self, *_):
        pass

"""Says on which machine it runs, to whoever asks: once (--once) on standard output, else over HTTP."""

import json
import platform
import sys
from datetime import datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from zoneinfo import ZoneInfo


def greeting():
    return {
        "machine": platform.machine(),
        "python": platform.python_version(),
        "time": datetime.now(ZoneInfo("Europe/Berlin")).isoformat(timespec="seconds"),
    }


class Greeter(BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps(greeting()).encode() + b"\n"
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    if "--once" in sys.argv:
        print(json.dumps(greeting()))
    else:
        HTTPServer(("", 8000), Greeter).serve_forever()

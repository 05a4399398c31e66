"""S3 servers on loopback, for tests of object stores: moto, and one that overwrites."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx

KEY_ID, SECRET = "AKIDEXAMPLEKEYID0001", "secretExampleKey/NotInAnyOutput+0001"
TOKEN = "tokenExample//NotInAnyOutput+0001"
"""What must never appear in anything that sidscan writes."""


@dataclass
class S3:
    """The server.

    Attributes:
        requests: what it was asked, ``GET /bucket/key``, as long as it runs.
    """

    endpoint: str
    requests: list[str]

    def environment(self) -> Mapping[str, str]:
        """The variables by which obstore finds it."""
        return {
            "AWS_ACCESS_KEY_ID": KEY_ID,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_SESSION_TOKEN": TOKEN,
            "AWS_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ALLOW_HTTP": "true",
        }

    def bucket(self, name: str) -> Any:
        """obstore's object for a bucket, which exists then."""
        import httpx
        from obstore.store import S3Store

        httpx.put(f"{self.endpoint}/{name}", timeout=60)
        return S3Store(
            name,
            endpoint=self.endpoint,
            access_key_id=KEY_ID,
            secret_access_key=SECRET,
            region="us-east-1",
            client_options={"allow_http": True},
        )

    def upload(self, bucket: str, folder: Path, prefix: str = "") -> None:
        """Put all files below a folder into a bucket."""
        store = self.bucket(bucket)
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                store.put(prefix + path.relative_to(folder).as_posix(), path.read_bytes())


@contextmanager
def s3_server() -> Iterator[S3]:
    """A server that runs in a thread, without what earlier ones of this process held."""
    from moto.moto_server.threaded_moto_server import ThreadedMotoServer

    logger = logging.getLogger("werkzeug")
    requests: list[str] = []

    class Noted(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            line = re.sub("\\x1b\\[[0-9;]*m", "", record.getMessage())  # it is in colours
            requests.append(line.partition('"')[2].partition(" HTTP")[0])

    handler, level, propagate = Noted(), logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        httpx.post(f"http://{host}:{port}/moto-api/reset", trust_env=False, timeout=60).raise_for_status()
        requests.clear()
        yield S3(f"http://{host}:{port}", requests)
    finally:
        server.stop()
        logger.removeHandler(handler)
        logger.setLevel(level)
        logger.propagate = propagate


class Objects(BaseHTTPRequestHandler):
    """A store that takes conditional writes and replaces what is there in silence, as some do."""

    objects: dict[str, bytes]

    def do_PUT(self) -> None:
        self.objects[self.path] = self.rfile.read(int(self.headers["Content-Length"]))
        self.answer(200, b"", ETag='"1"')

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        body = b"<ListBucketResult></ListBucketResult>" if "?" in self.path else self.objects.get(self.path)
        headers = {"ETag": '"1"', "Last_Modified": "Thu, 01 Jan 2026 00:00:00 GMT"}
        self.answer(200 if body is not None else 404, body or b"", **headers)

    def answer(self, status: int, body: bytes, **headers: str) -> None:
        """Send an answer; names of headers have _ for -."""
        self.send_response(status)
        for name, value in {"Content_Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Nothing."""


@contextmanager
def object_server(answers: type[Objects]) -> Iterator[str]:
    """The address of a server of our own, which begins empty."""
    handler = type("Handler", (answers,), {"objects": {}})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

"""TLS verifies the host that the URL names, and a handshake ends in time."""

from __future__ import annotations

import contextlib
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from servers import Internet, Server, abandoned, answer, dripping, silent

from sidscan import ScanConfig
from sidscan.fetch.client import Fetcher
from sidscan.fetch.errors import TimedOut, Untrusted

BODY = bytes(range(256)) * 100


def test_a_handshake_that_drips_ends() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def drip() -> None:
            connection, _ = listener.accept()
            with connection, contextlib.suppress(OSError):
                dripping(b"\x16\x03\x03\x40\x00", b"\x02")(connection)  # the start of a TLS record

        threading.Thread(target=drip, daemon=True).start()
        config = ScanConfig(inputs=("x",), allow_private=True, timeout=0.2, total_timeout=0.4, retries=0)
        began = time.monotonic()
        with pytest.raises(TimedOut):
            Fetcher(config).get(f"https://127.0.0.1:{listener.getsockname()[1]}/a.jpg")
        assert time.monotonic() - began < 60


def certificate(folder: Path, host: str) -> ssl.SSLContext:
    """A server's TLS context for ``host``, with a self-signed certificate: ``folder``/cert.pem."""
    key, cert = folder / "key.pem", folder / "cert.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"),
            *("-nodes", "-days", "2", "-subj", f"/CN={host}", "-addext", f"subjectAltName=DNS:{host}"),
            *("-keyout", str(key), "-out", str(cert)),
        ],
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    return context


@pytest.mark.skipif(not shutil.which("openssl"), reason="makes a certificate with openssl")
def test_tls_verifies_the_name_not_the_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names: list[str | None] = []
    context = certificate(tmp_path, "images.example")
    context.sni_callback = lambda _, name, __: names.append(name)
    server = Server(tls=context)
    server.answers["/a.jpg"] = answer(BODY)
    net = Internet(server.port, images_example=["127.0.0.1"], other_example=["127.0.0.1"])
    config = ScanConfig(inputs=("x",), allow_private=True, retries=2)

    get: Callable[[str], Any] = Fetcher(config, net.resolve, net).get
    with pytest.raises(Untrusted, match="not to be trusted"):
        get(f"https://images.example:{server.port}/a.jpg")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert.pem"))
    get = Fetcher(config, net.resolve, net).get
    fetched = get(f"https://images.example:{server.port}/a.jpg")
    assert fetched.data == BODY
    with pytest.raises(Untrusted, match=r"other\.example"):
        get(f"https://other.example:{server.port}/a.jpg")
    assert names == ["images.example", "images.example", "other.example"], "nothing is tried again"

    server.answers["/silent.jpg"], server.asked = silent, []
    fetcher = Fetcher(replace(config, timeout=600, total_timeout=600, retries=0), net.resolve, net)
    assert abandoned(fetcher, f"https://images.example:{server.port}/silent.jpg", server, threads=2) == 2
    server.close()

"""A scan stays off the network, whatever addresses files name: strace counts the sockets of its processes.

A patched `socket` would see neither workers, which are processes of their own, nor c2pa-python, which is
native code. So these tests need strace, and are skipped without. They don't see what goes through io_uring.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import pytest
from sample_images import encoded, photo
from sample_provenance import GENERATED, action, manifest, png_chunk, store, xmp

ADDRESS = "http://127.0.0.1:9/a.c2pa"  # nobody listens there
REMOTE = xmp("", f' xmlns:dcterms="http://purl.org/dc/terms/" dcterms:provenance="{ADDRESS}"')
_STRACE = ("strace", "-f", "-qq", "-e", "trace=socket,connect", "-e", "signal=none", "-o")
_FAMILY = re.compile(r"\bsocket\((AF_\w+)")


def can_trace() -> bool:
    """Whether strace is there and may trace; containers often forbid it."""
    if shutil.which("strace") is None:
        return False
    return subprocess.run([*_STRACE, "/dev/null", sys.executable, "-c", ""], check=False).returncode == 0


pytestmark = pytest.mark.skipif(not can_trace(), reason="the test needs strace, and leave to trace")


def sockets(trace: Path, command: Sequence[str], code: int) -> Counter[str]:
    """Sockets that a command and all its processes open, by family."""
    ended = subprocess.run(
        [*_STRACE, str(trace), sys.executable, *command], capture_output=True, check=False, cwd=trace.parent
    )
    assert ended.returncode == code, ended.stderr
    return Counter(_FAMILY.findall(trace.read_text(encoding="utf-8", errors="replace")))


def test_a_socket_is_seen(tmp_path: Path) -> None:
    program = "import socket; socket.socket().connect_ex(('127.0.0.1', 9))"
    assert sockets(tmp_path / "trace", ["-c", program], 0)["AF_INET"] == 1


def test_the_verifier_by_itself_opens_one(tmp_path: Path) -> None:
    pytest.importorskip("c2pa", reason="the test needs c2pa-python")
    (tmp_path / "a.jpg").write_bytes(encoded(photo(64, 64), "JPEG", xmp=REMOTE))
    program = "import c2pa\ntry: c2pa.Reader('a.jpg')\nexcept c2pa.C2paError: pass"
    assert sockets(tmp_path / "trace", ["-c", program], 0)["AF_INET"] >= 1


@pytest.mark.parametrize(
    ("command", "code"),
    [
        pytest.param(("scan", "images", "--model", "mini", "--out", "r.csv"), 0, id="scan"),
        pytest.param(("provenance", "images/remote.jpg", "images/signed.png"), 0, id="provenance"),
    ],
)
def test_addresses_in_files_are_not_asked(
    tmp_path: Path, request: pytest.FixtureRequest, command: tuple[str, ...], code: int
) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    (folder / "remote.jpg").write_bytes(encoded(photo(64, 64), "JPEG", xmp=REMOTE))
    (folder / "remote.webp").write_bytes(encoded(photo(64, 64), "WEBP", xmp=REMOTE))
    (folder / "signed.png").write_bytes(manifest_png(request))
    seen = sockets(tmp_path / "trace", ["-P", "-m", "sidscan", *command], code)
    assert not {"AF_INET", "AF_INET6"} & set(seen)


def manifest_png(request: pytest.FixtureRequest) -> bytes:
    """A PNG whose signer's certificate names servers; where nobody can sign, one without signature."""
    if find_spec("c2pa") and find_spec("cryptography"):
        signed: bytes = request.getfixturevalue("signed")
        return signed
    chunk = png_chunk(b"caBX", store(manifest("a", action(source=GENERATED))))
    image = encoded(photo(64, 64), "PNG")
    return image[:33] + chunk + image[33:]

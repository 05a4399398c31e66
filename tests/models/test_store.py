"""Installing models: every outcome of a pull or an import, on the command line and from a real server."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from filelock import FileLock
from safetensors.torch import save, save_file

from sidscan.errors import DigestMismatch, ModelError, ModelNotInstalled, PullFailed
from sidscan.models import state_dicts
from sidscan.models.catalog import CatalogEntry
from sidscan.models.families import find_family
from sidscan.models.heads.rine import RineHead
from sidscan.models.installed import BY_USER
from sidscan.models.origins import Bundled, Metrics, Pin, Published
from sidscan.models.shapes import EncoderShape, HeadShape
from sidscan.models.store import Store, default_root

HEAD = HeadShape(2, 16, 8, 1)


def git_blob(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


class Server:
    """A real HTTP server with switches.

    Attributes:
        files: path -> content.
        mode: how the next answers fail; "" if they succeed.
        ranges: whether the server honours Range.
        asked: (path, Range header) of every request.
        part: the file that a pull writes; the mode "interrupt" waits for it.
    """

    part: Path

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.mode, self.ranges = "", True
        self.asked: list[tuple[str, str | None]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                with contextlib.suppress(ConnectionError):
                    outer.answer(self)

            def log_message(self, *args: Any) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"
        threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        asked = handler.headers.get("Range")
        self.asked.append((handler.path, asked))
        content = self.files.get(handler.path)
        if self.mode == "redirect" and not handler.path.startswith("/moved"):
            self._head(handler, 302, {"Location": f"/moved{handler.path}", "Content-Length": "0"})
        elif self.mode == "500":
            self._head(handler, 500, {"Content-Length": "0"})
        elif (content := self.files.get(handler.path.removeprefix("/moved"))) is None:
            self._head(handler, 404, {"Content-Length": "0"})
        else:
            self._send(handler, content, asked)

    def _send(self, handler: BaseHTTPRequestHandler, content: bytes, asked: str | None) -> None:
        start, status, headers = 0, 200, {}
        if self.mode == "corrupt":
            content = content[:-1] + bytes([content[-1] ^ 1])
        if asked and self.ranges:
            start, status = int(asked.removeprefix("bytes=").removesuffix("-")), 206
            if start >= len(content):
                return self._head(handler, 416, {"Content-Length": "0"})
            start = 0 if self.mode == "lying-range" else start
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        body = content[start:]
        if self.mode == "huge":
            body += bytes(1 << 20)
        if self.mode not in ("endless", "no-length"):
            headers["Content-Length"] = str(len(body))
        self._head(handler, status, headers)
        if self.mode in ("truncate", "interrupt"):
            handler.wfile.write(body[: len(body) // 2])
            handler.wfile.flush()
            if self.mode == "interrupt":
                while not self.part.exists():
                    time.sleep(0.01)
                time.sleep(0.3)  # until its first bytes are read
                signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
                time.sleep(0.5)
        else:
            handler.wfile.write(body)
        while self.mode == "endless":
            handler.wfile.write(bytes(1 << 16))
        return None

    @staticmethod
    def _head(handler: BaseHTTPRequestHandler, status: int, headers: dict[str, str]) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.end_headers()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    running = Server()
    yield running
    running.close()


@pytest.fixture(scope="module")
def head_bytes(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A small RINE head in the format of the authors' files: `torch.save` of a state dict."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("head") / "head.pth"
    torch.save(
        RineHead(HEAD.num_blocks, HEAD.embed_dim, HEAD.proj_dim, HEAD.num_proj_layers).state_dict(), path
    )
    return path.read_bytes()


def _encoder_bytes() -> bytes:
    """A CLIP image encoder of one block and width 4, with the names of open_clip's hub file."""
    d, block = 4, "visual.transformer.resblocks.0."
    sizes: dict[str, tuple[int, ...]] = {
        "visual.class_embedding": (d,),
        "visual.positional_embedding": (5, d),
        "visual.conv1.weight": (d, 3, 2, 2),
        "visual.proj": (d, 3),
        f"{block}attn.in_proj_weight": (3 * d, d),
        f"{block}attn.in_proj_bias": (3 * d,),
        f"{block}attn.out_proj.weight": (d, d),
        f"{block}attn.out_proj.bias": (d,),
        f"{block}mlp.c_fc.weight": (4 * d, d),
        f"{block}mlp.c_fc.bias": (4 * d,),
        f"{block}mlp.c_proj.weight": (d, 4 * d),
        f"{block}mlp.c_proj.bias": (d,),
    }
    for norm in ("visual.ln_pre", "visual.ln_post", f"{block}ln_1", f"{block}ln_2"):
        sizes |= {f"{norm}.weight": (d,), f"{norm}.bias": (d,)}
    return save({name: torch.full(size, 0.5) for name, size in sizes.items()})


ENCODER = EncoderShape(1, 4, 2, 5, 3)
ENCODER_BYTES = _encoder_bytes()
ENCODER_SIZE = f"{len(ENCODER_BYTES) / 1e3:.1f} kB"


class Run(NamedTuple):
    """The expected outcome of a command."""

    code: int
    out: str
    err: str


class World(NamedTuple):
    """A catalog of a head, an encoder and a bundled model; a server that offers them; an empty store."""

    server: Server
    root: Path
    head: bytes
    monkeypatch: pytest.MonkeyPatch
    sidscan: Callable[..., Any]  # the fixture `sidscan`

    @property
    def part(self) -> Path:
        return self.root / "head" / "head.pth.part"

    @property
    def target(self) -> Path:
        return self.root / "head" / "head.pth"


@pytest.fixture
def world(
    server: Server,
    head_bytes: bytes,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    sidscan: Callable[..., Any],
) -> World:
    (tmp_path / "bundle").mkdir()
    save_file({"w": torch.zeros(2)}, tmp_path / "bundle" / "tiny.safetensors")
    card = {
        "sha256": sha256((tmp_path / "bundle" / "tiny.safetensors").read_bytes()),
        "threshold": 0.25,
        "abstention": {"side": 1, "detail": 0.1, "quality": 0, "spread": 0.0},
        "metrics": {"accuracy": 0.75, "average_precision": 0.875, "about": "nothing"},
    }
    (tmp_path / "bundle" / "tiny.json").write_text(json.dumps(card))
    server.files = {"/head.pth": head_bytes, "/encoder.pt": ENCODER_BYTES}
    common: dict[str, Any] = {"summary": "for tests", "licence": "none", "provenance": "tests"}
    entries = (
        CatalogEntry(
            name="tiny",
            kind="detector",
            family="mini",
            origin=Bundled("tiny.safetensors", "tiny.json", tmp_path / "bundle"),
            size=100,
            **common,
        ),
        CatalogEntry(
            name="head",
            kind="detector",
            family="rine",
            origin=Published(
                f"{server.url}/head.pth",
                Pin("git-blob", git_blob(head_bytes)),
                0.5,
                Metrics(0.9, 0.95, "none"),
            ),
            size=len(head_bytes),
            encoder="encoder",
            shape=HEAD,
            **common,
        ),
        CatalogEntry(
            name="encoder",
            kind="encoder",
            family="clip",
            origin=Published(f"{server.url}/encoder.pt", Pin("sha256", sha256(ENCODER_BYTES))),
            size=len(ENCODER_BYTES),
            shape=ENCODER,
            **common,
        ),
    )
    monkeypatch.setattr("sidscan.models.store.CATALOG", {entry.name: entry for entry in entries})
    monkeypatch.setenv("SIDSCAN_MODELS", str(tmp_path / "models"))
    return World(server, tmp_path / "models", head_bytes, monkeypatch, sidscan)


# --- pull ---


def test_pull(world: World) -> None:
    run = world.sidscan("models", "pull", "head")

    total = (len(world.head) + len(ENCODER_BYTES)) / 1e3
    assert run == Run(
        0,
        "",
        f"pulling head, with the encoder encoder: about {total:.1f} kB if nothing is installed yet\n"
        f"  head     {len(world.head) / 1e3:.1f} kB  none  {world.server.url}/head.pth\n"
        f"  encoder  {ENCODER_SIZE}  none  {world.server.url}/encoder.pt\n"
        f"head: pulled, {len(world.head) / 1e3:.1f} kB, verified by published git blob id\n"
        f"  {world.target}\n"
        f"encoder: pulled, {ENCODER_SIZE}, verified by published sha256\n"
        f"  {world.root / 'encoder' / 'encoder.pt'}\n",
    )
    assert world.target.read_bytes() == world.head
    assert not world.part.exists()
    installed = Store().require("head")
    head = state_dicts.load_tensors(installed.entry, installed.path)
    assert RineHead.shaped_like(head).num_proj_layers == HEAD.num_proj_layers


def test_second_pull_makes_no_request(world: World) -> None:
    world.sidscan("models", "pull", "head")
    world.server.asked.clear()
    run = world.sidscan("models", "pull", "head")
    assert run.code == 0
    assert f"head: already installed, {len(world.head) / 1e3:.1f} kB" in run.err
    assert world.server.asked == []


WRONG = (
    "{url}/head.pth is not the published head: git blob id {corrupted}, expected {blob}\n"
    "What came was deleted. Try again, or name another address with --url.\n"
)
MIRROR = "Another address can be given with --url.\n"


@pytest.mark.parametrize(
    ("mode", "said", "part_stays"),
    [
        pytest.param("corrupt", WRONG, False, id="corrupted"),
        pytest.param(
            "truncate",
            "{url}/head.pth ended after {half} of {size} bytes\n"
            "What came is kept; the same command goes on from there.\n",
            True,
            id="truncated",
        ),
        pytest.param("500", "{url}/head.pth answered 500 Internal Server Error\n" + MIRROR, False, id="500"),
        pytest.param(
            "huge",
            "{url}/head.pth sends {huge} bytes or more, at most {cap} were expected\n" + MIRROR,
            False,
            id="declares-too-much",
        ),
    ],
)
def test_pull_that_fails(world: World, mode: str, said: str, part_stays: bool) -> None:
    world.server.mode = mode
    size = len(world.head)

    run = world.sidscan("models", "pull", "head")

    corrupted = git_blob(world.head[:-1] + bytes([world.head[-1] ^ 1]))
    facts = {
        "url": world.server.url,
        "corrupted": corrupted,
        "blob": git_blob(world.head),
        "size": size,
        "half": size // 2,
        "huge": size + (1 << 20),
        "cap": size + size // 4 + 2**16,
    }
    assert run.code == 4
    assert run.out == ""
    assert run.err.partition("/encoder.pt\n")[2] == "sidscan: " + said.format(**facts)
    assert world.part.exists() == part_stays
    assert not world.target.exists()
    assert Store().installed("head") is None


def test_pull_of_other_weights(world: World) -> None:
    """A mirror that serves another file under this name."""
    other = b"PK\x03\x04 other weights"
    world.server.files["/mirror/x.pth"] = other
    run = world.sidscan("models", "pull", "head", "--url", f"{world.server.url}/mirror/x.pth")
    assert run == Run(
        4,
        "",
        "head needs encoder too, which --url does not bring\n"
        f"sidscan: {world.server.url}/mirror/x.pth is not the published head: git blob id {git_blob(other)}, "
        f"expected {git_blob(world.head)}\n"
        "What came was deleted. Try again, or name another address with --url.\n",
    )
    assert not world.part.exists()


def test_pull_with_no_server(world: World) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    run = world.sidscan("models", "pull", "encoder", "--url", f"{url}/e?token=secret")
    refused = f"[Errno {errno.ECONNREFUSED}] {os.strerror(errno.ECONNREFUSED)}"
    assert run == Run(
        4,
        "",
        f"sidscan: {url}/e can't be reached: {refused}\n"
        "Without a network: pull on a machine that has one, copy its models folder over, and "
        "`sidscan models import FOLDER` (docs/howto/offline-models.md).\n",
    )


def test_pull_with_no_name_service(world: World) -> None:
    def offline(*args: object, **options: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    world.monkeypatch.setattr(socket, "getaddrinfo", offline)
    run = world.sidscan("models", "pull", "encoder", "--url", "https://models.invalid/e")
    assert run.code == 4
    assert run.err.startswith("sidscan: https://models.invalid/e can't be reached: ")
    assert "`sidscan models import FOLDER`" in run.err


@pytest.mark.parametrize("ranges", [True, False], ids=["resumed", "restarted"])
@pytest.mark.parametrize("mode", ["truncate", "interrupt"])
def test_interrupted_pull_continues(world: World, mode: str, ranges: bool) -> None:
    world.server.mode, world.server.ranges, world.server.part = mode, ranges, world.part

    first = world.sidscan("models", "pull", "head")

    if mode == "interrupt":
        assert first.code == 130
        assert first.err.endswith(
            "head: the part that came is kept; the same command continues from there\n"
            "\nsidscan: interrupted\n"
        )
    partial = world.part.read_bytes()
    assert world.head.startswith(partial)
    assert 0 < len(partial) <= len(world.head) // 2
    assert Store().installed("head") is None

    world.server.mode = ""
    world.server.asked.clear()
    second = world.sidscan("models", "pull", "head")
    assert second.code == 0
    assert world.server.asked[0] == ("/head.pth", f"bytes={len(partial)}-")
    assert world.target.read_bytes() == world.head


@pytest.mark.parametrize(
    ("mode", "left"),
    [
        pytest.param("redirect", b"", id="redirect"),
        pytest.param("no-length", b"", id="no-content-length"),
        pytest.param("lying-range", b"PK", id="answers-another-range"),
        pytest.param("", b"x" * 10**5, id="part-longer-than-the-file"),
    ],
)
def test_pull_copes_with_unusual_answers(world: World, mode: str, left: bytes) -> None:
    world.server.mode = mode
    if left:
        world.part.parent.mkdir(parents=True)
        world.part.write_bytes(left)
    assert world.sidscan("models", "pull", "head").code == 0
    assert world.target.read_bytes() == world.head


def test_part_of_another_file_is_detected(world: World) -> None:
    world.part.parent.mkdir(parents=True)
    world.part.write_bytes(b"another file")
    assert "is not the published head" in world.sidscan("models", "pull", "head").err
    assert world.sidscan("models", "pull", "head").code == 0


def test_complete_part_needs_no_network(world: World) -> None:
    """The earlier pull stopped after the last byte, but before the file was renamed."""
    world.part.parent.mkdir(parents=True)
    world.part.write_bytes(world.head)
    assert Store().pull("head").installed.path == world.target
    assert world.server.asked == []


def test_endless_answer_is_cut_off(world: World) -> None:
    world.server.mode = "endless"
    run = world.sidscan("models", "pull", "head")
    assert run.code == 4
    cap = len(world.head) + len(world.head) // 4 + 2**16
    match = re.search(r"sends (\d+) bytes or more, at most (\d+) were expected", run.err)
    assert match is not None
    assert (int(match[2]), int(match[1]) < cap + 2**20) == (cap, True)
    assert not world.part.exists()


@pytest.mark.parametrize("url", ["ftp://x/y", "/tmp/x", "http://[::"], ids=["ftp", "path", "malformed"])
def test_invalid_address(world: World, url: str) -> None:
    run = world.sidscan("models", "pull", "encoder", "--url", url)
    assert run.code == 4
    assert run.err.endswith("is not an http(s) address\nA file is taken in by `sidscan models import`.\n")


def test_two_pulls_at_once(world: World) -> None:
    world.part.parent.mkdir(parents=True)
    with FileLock(world.root / "head" / ".lock"), pytest.raises(PullFailed) as refused:
        Store().pull("head")
    assert str(refused.value) == "another sidscan is installing head\nWait for it, then try again."
    assert (world.root / "head" / ".lock").exists() or os.name == "nt"
    assert Store().pull("head").fetched, "a lock file that nobody holds must not block"


@pytest.mark.skipif(os.name == "nt", reason="locks of POSIX")
@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOTSUP], ids=errno.errorcode.get)
def test_a_models_folder_without_locks(world: World, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("fcntl.flock", refuse)
    run = world.sidscan("models", "pull", "head")
    assert run.code == 4
    assert run.err.endswith(
        f"sidscan: {world.root / 'head'} can't lock files, as some network shares can't, and installing a "
        "model needs that\nMove the models folder to a local disk by setting SIDSCAN_MODELS.\n"
    )


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="needs a folder that can't be written")
def test_store_that_is_not_writable(world: World) -> None:
    world.root.mkdir()
    world.root.chmod(0o500)
    with pytest.raises(ModelError, match="can't be written: Permission denied"):
        Store().pull("head")


def test_store_below_a_file(world: World) -> None:
    world.root.write_text("")
    run = world.sidscan("models", "pull", "encoder")
    assert run.code == 4
    assert run.err.endswith("The models folder can be moved by setting SIDSCAN_MODELS.\n")


def test_pulling_the_bundled_model(world: World) -> None:
    assert world.sidscan("models", "pull", "tiny").code == 0
    assert world.server.asked == []


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        (("pull", "nothing"), 4, "sidscan: no model is called 'nothing'\n"),
        (
            ("pull", "head", "encoder", "--url", "http://x"),
            2,
            "sidscan: --url is the address of one model, but 2",
        ),
        (
            ("pull", "tiny", "--url", "http://x"),
            2,
            "sidscan: tiny comes with sidscan, and --url has nothing to fetch\nLeave --url out.\n",
        ),
        (("import", ".", "--as", "head"), 2, "sidscan: --as and --sha256 describe one file\n"),
        (("verify", "nothing"), 4, "no model is called 'nothing'\n"),
        (("import", "nothing"), 2, "Path 'nothing' does not exist"),
    ],
    ids=["unknown", "url-for-two", "url-for-bundled", "as-for-folder", "verify-unknown", "import-missing"],
)
def test_wrong_requests(world: World, args: tuple[str, ...], code: int, message: str) -> None:
    run = world.sidscan("models", *args)
    assert run.code == code
    assert message in run.err


# --- import ---


def test_import_on_an_air_gapped_machine(world: World, tmp_path: Path) -> None:
    """Pull on one machine, copy the folder, import on another that has no network."""
    world.sidscan("models", "pull", "head")
    world.monkeypatch.setenv("SIDSCAN_MODELS", str(tmp_path / "gapped"))
    _no_network(world)

    run = world.sidscan("models", "import", world.root)

    assert run.code == 0
    assert "head: imported" in run.err
    assert (tmp_path / "gapped" / "head" / "head.pth").read_bytes() == world.head
    encoder = Store().require("encoder")
    assert encoder.verified_by == "published sha256"
    assert find_family("clip").shape(state_dicts.load_tensors(encoder.entry, encoder.path)) == ENCODER


def test_import_recognises_a_published_file_under_any_name(world: World, tmp_path: Path) -> None:
    (tmp_path / "download (1)").write_bytes(world.head)
    _no_network(world)
    run = world.sidscan("models", "import", tmp_path / "download (1)")
    assert run == Run(
        0,
        "",
        f"head: imported, {len(world.head) / 1e3:.1f} kB, verified by published git blob id\n"
        f"  {world.target}\n",
    )
    assert (tmp_path / "download (1)").exists()
    assert sorted(p.name for p in world.target.parent.iterdir()) == [".lock", "head.pth", "record.json"]


@pytest.fixture
def unpublished(tmp_path: Path) -> Path:
    """An unpublished head of the right shape."""
    torch.manual_seed(1)
    state = RineHead(HEAD.num_blocks, HEAD.embed_dim, HEAD.proj_dim, HEAD.num_proj_layers).state_dict()
    save_file(state, tmp_path / "own.safetensors")
    return tmp_path / "own.safetensors"


def test_import_with_a_digest_given_by_the_user(world: World, unpublished: Path) -> None:
    digest = sha256(unpublished.read_bytes())
    run = world.sidscan("models", "import", unpublished, "--as", "head", "--sha256", digest.upper())
    assert run.code == 0
    assert run.err.startswith("head: imported, ")
    assert "verified by sha256 given by the user\n" in run.err
    installed = Store().require("head")
    assert (installed.verified_by, installed.sha256) == (BY_USER, digest)
    assert installed.path.read_bytes() == unpublished.read_bytes()
    row = world.sidscan("models", "list").out.splitlines()[2]
    assert row.startswith("head     sha256 given by the user, needs encoder  ")
    assert row.split()[-5:] == ["0.5", "-", "-", "for", "tests"], (
        "published figures do not apply to these bytes"
    )

    world.sidscan("models", "pull", "head")
    assert Store().require("head").verified_by == "published git blob id"
    assert not installed.path.exists(), "the replaced file is removed"


def test_what_the_user_answers_for_is_replaced_when_asked(world: World, unpublished: Path) -> None:
    first = sha256(unpublished.read_bytes())
    another = unpublished.with_name("another.safetensors")
    save_file(
        RineHead(HEAD.num_blocks, HEAD.embed_dim, HEAD.proj_dim, HEAD.num_proj_layers).state_dict(), another
    )
    second = sha256(another.read_bytes())
    stating = ("models", "import", another, "--as", "head", "--sha256", second)
    assert world.sidscan("models", "import", unpublished, "--as", "head", "--sha256", first).code == 0
    run = world.sidscan(*stating)
    assert run.code == 4
    assert run.err == (
        "sidscan: another.safetensors is not the head that was installed first: "
        f"sha256 {second}, expected {first}\n"
        "If its authors replaced it, and you trust this file, repeat the command with --replace.\n"
    )
    assert Store().require("head").sha256 == first
    assert world.sidscan(*stating, "--replace").code == 0
    assert Store().require("head").sha256 == second


STATE = (
    "If you know where it comes from, state it: `sidscan models import FILE --as NAME --sha256 HEX`, with "
    "the sha256 that its publisher gives.\n"
)


def test_import_of_an_unknown_file_is_refused(world: World, unpublished: Path) -> None:
    run = world.sidscan("models", "import", unpublished)
    assert run == Run(
        4,
        "",
        f"sidscan: own.safetensors matches no published digest; it has the layout of head\n{STATE}",
    )
    assert not world.root.exists()


def test_import_with_a_wrong_digest(world: World, unpublished: Path) -> None:
    run = world.sidscan("models", "import", unpublished, "--as", "head", "--sha256", "0" * 64)
    assert run == Run(
        4,
        "",
        f"sidscan: own.safetensors is not the file you mean: sha256 {sha256(unpublished.read_bytes())}, "
        f"you gave {'0' * 64}\nCopy or download it again.\n",
    )


def test_import_of_another_layout(world: World, tmp_path: Path) -> None:
    save_file({"weight": torch.ones(1, 768)}, tmp_path / "fc.safetensors")
    digest = sha256((tmp_path / "fc.safetensors").read_bytes())
    run = world.sidscan("models", "import", tmp_path / "fc.safetensors", "--as", "head", "--sha256", digest)
    assert run == Run(
        4,
        "",
        "sidscan: these weights are not a RINE head: alpha is missing\n"
        "If the file holds another model, import it as that one: `sidscan models import FILE --as NAME`. "
        "Otherwise get this one's file from its publisher, or with `sidscan models pull NAME`.\n",
    )
    assert Store().installed("head") is None


def test_import_of_another_shape(world: World, tmp_path: Path) -> None:
    save_file(RineHead(2, 16, 4, 1).state_dict(), tmp_path / "narrow.safetensors")
    digest = sha256((tmp_path / "narrow.safetensors").read_bytes())
    run = world.sidscan(
        "models", "import", tmp_path / "narrow.safetensors", "--as", "head", "--sha256", digest
    )
    assert run.code == 4
    assert run.err == (
        "sidscan: these weights are not those of head: n=2 d=16 d'=4 q=1 instead of n=2 d=16 d'=8 q=1\n"
        "If the file holds another model, import it as that one: `sidscan models import FILE --as NAME`. "
        "Otherwise get this one's file from its publisher, or with `sidscan models pull NAME`.\n"
    )


def test_import_under_a_wrong_name(world: World, tmp_path: Path) -> None:
    (tmp_path / "x.pth").write_bytes(world.head)
    run = world.sidscan("models", "import", tmp_path / "x.pth", "--as", "encoder")
    assert (run.code, run.err) == (4, "sidscan: x.pth is head (by its git blob id), not encoder\n")
    run = world.sidscan("models", "import", tmp_path / "x.pth", "--as", "tiny")
    assert (run.code, run.err) == (2, "sidscan: tiny comes with sidscan and can't be replaced\n")


def test_import_of_a_folder_without_weights(world: World, unpublished: Path) -> None:
    run = world.sidscan("models", "import", unpublished.parent / "bundle")
    assert run.code == 4
    assert run.err.endswith("Name the files themselves, with --as and --sha256.\n")


# --- require, verify, list ---


def test_nothing_installed(world: World) -> None:
    with pytest.raises(ModelNotInstalled) as missing:
        Store().require("head")
    assert str(missing.value) == (
        "head is not installed\n`sidscan models pull head` fetches it; without a network, "
        f"`sidscan models import FILE` takes it from a copy of {world.server.url}/head.pth"
    )


def test_changed_bytes_are_never_used(world: World) -> None:
    world.sidscan("models", "pull", "head")
    changed = world.head[:-1] + b"\xff"
    world.target.write_bytes(changed)
    with pytest.raises(DigestMismatch) as mismatch:
        Store().require("head")
    assert str(mismatch.value) == (
        f"{world.target} has changed since it was installed: git blob id {git_blob(changed)}, "
        f"expected {git_blob(world.head)}\n`sidscan models pull head` fetches it again."
    )
    run = world.sidscan("models", "verify")
    rows = [line.split()[:2] for line in run.out.splitlines()]
    assert rows == [["NAME", "RESULT"], ["tiny", "ok"], ["head", "DigestMismatch"], ["encoder", "ok"]]
    assert run.code == 4
    assert run.err.endswith("sidscan: 1 of 3 models did not verify\n")

    world.sidscan("models", "pull", "head")
    assert world.sidscan("models", "verify").code == 0


def test_forged_record_does_not_help(world: World) -> None:
    """Whoever can change the weights can change the record: the pin is in the catalog."""
    world.sidscan("models", "pull", "head")
    record = world.target.with_name("record.json")
    changed = world.head[:-1] + b"\xff"
    world.target.write_bytes(changed)
    record.write_text(json.dumps(json.loads(record.read_text()) | {"sha256": sha256(changed)}))
    with pytest.raises(DigestMismatch, match="git blob id"):
        Store().require("head")


@pytest.mark.parametrize(
    "record",
    ["", "[]", '{"file": "head.pth"}', "outside"],
    ids=["empty", "list", "lacks-fields", "names-a-file-outside"],
)
def test_damaged_record(world: World, record: str) -> None:
    world.sidscan("models", "pull", "head")
    path = world.target.with_name("record.json")
    if record == "outside":
        record = json.dumps(json.loads(path.read_text()) | {"file": "../encoder/encoder.pt"})
    path.write_text(record)
    with pytest.raises(ModelError, match=r"record\.json (can't be read|is not a record of head)"):
        Store().require("head")
    assert world.sidscan("models", "list").code == 0
    world.server.asked.clear()
    assert world.sidscan("models", "pull", "head").code == 0
    assert world.server.asked == []
    Store().require("head")


def test_the_damaged_record_of_a_detectors_encoder_is_repaired(world: World) -> None:
    world.sidscan("models", "pull", "head")
    (world.root / "encoder" / "record.json").write_text("")
    run = world.sidscan("models", "pull", "head")
    assert run.code == 0, run.err
    assert f"encoder: already installed, {ENCODER_SIZE}" in run.err
    Store().require("encoder")


def test_missing_file(world: World) -> None:
    world.sidscan("models", "pull", "head")
    world.target.unlink()
    with pytest.raises(ModelNotInstalled, match="is gone"):
        Store().require("head")


def test_bundled_model_is_always_installed_and_verified(world: World, tmp_path: Path) -> None:
    tiny = Store().require("tiny")
    assert (tiny.verified_by, tiny.origin) == ("bundled", "bundled")
    (tmp_path / "bundle" / "tiny.safetensors").write_bytes(b"changed")
    with pytest.raises(DigestMismatch) as mismatch:
        Store().require("tiny")
    assert mismatch.value.remedy == "Reinstall sidscan; this file is part of the package."
    (tmp_path / "bundle" / "tiny.safetensors").unlink()
    with pytest.raises(ModelNotInstalled) as missing:
        Store().require("tiny")
    assert str(missing.value) == (
        "tiny is missing from this installation\nReinstall sidscan; this file is part of the package."
    )


def test_list(world: World) -> None:
    _no_network(world)
    run = world.sidscan("models", "list")
    assert run.code == 0
    folder, remark = run.err.splitlines()
    assert folder == f"models folder: {world.root}"
    assert "`sidscan models show NAME` says on which" in remark
    size = f"{len(world.head) / 1e3:.1f}"
    assert run.out == (
        "NAME     INSTALLED  SIZE     LICENCE  THRESHOLD  ACC   AP    ABOUT\n"
        "tiny     bundled    72 B     none     0.25       75.0  87.5  for tests\n"
        f"head     no         ~{size} kB  none     0.5        90.0  95.0  for tests\n"
        f"encoder  no         ~{ENCODER_SIZE}  none     -          -     -     for tests\n"
    )
    rows = json.loads(world.sidscan("models", "list", "--json").out)
    assert [row["installed"] for row in rows] == [True, False, False]
    assert rows[1]["pin"] == {"algorithm": "git-blob", "digest": git_blob(world.head)}


def test_default_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIDSCAN_MODELS", "~/here")
    assert default_root() == Path("~/here").expanduser()
    monkeypatch.delenv("SIDSCAN_MODELS")
    assert default_root().parts[-2:] == ("sidscan", "models")


def _no_network(world: World) -> None:
    def connect(*args: object) -> None:
        raise AssertionError("the network was touched")

    world.monkeypatch.setattr(socket.socket, "connect", connect)

"""Records of WARC files, written by hand."""

from __future__ import annotations

DATE = "2024-05-06T07:08:09Z"


def record(kind: str, block: bytes, **fields: str) -> bytes:
    """A record, uncompressed."""
    stated = {"WARC-Type": kind, "WARC-Date": DATE, "Content-Length": str(len(block))}
    stated |= {name.replace("_", "-"): value for name, value in fields.items()}
    head = "".join(f"{name}: {value}\r\n" for name, value in stated.items())
    return b"WARC/1.1\r\n" + head.encode() + b"\r\n" + block + b"\r\n\r\n"


def response(
    body: bytes, url: str = "http://example.org/a.png", *headers: str, status: str = "200 OK"
) -> bytes:
    """A record of an HTTP answer."""
    head = "\r\n".join([f"HTTP/1.1 {status}", *headers, "", ""]).encode()
    return record(
        "response", head + body, Content_Type="application/http; msgtype=response", WARC_Target_URI=url
    )


def chunked(data: bytes, size: int = 100) -> bytes:
    parts = [data[at : at + size] for at in range(0, len(data), size)]
    return b"".join(b"%x;x=y\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"

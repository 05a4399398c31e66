"""Libraries that an installation may lack: what brings one, and the error that says so."""

from __future__ import annotations

import importlib
import importlib.util
import shlex
import shutil
import sys
from pathlib import Path

from sidscan.errors import RuntimeUnavailable

# What pip calls a library that Python imports by another name.
_DISTRIBUTIONS = {
    "PIL": "pillow",
    "backports": "backports.zstd",  # a namespace, of which sidscan needs this alone
    "cv2": "opencv-python-headless",
    "open_clip": "open_clip_torch",
    "sklearn": "scikit-learn",
}


ONNX_RUNTIMES = ("onnxruntime", "onnxruntime-gpu", "onnxruntime-directml", "onnxruntime-openvino")
"""Distributions that bring the module ``onnxruntime``: any of them serves, and only one may be installed."""


def require(purpose: str, *modules: str) -> None:
    """Load libraries before anything is begun that needs them.

    Args:
        purpose: the start of the sentence ``... needs torch``.

    Raises:
        RuntimeUnavailable: some are not installed, or one can't be loaded; the remedy is the command that
            mends it.
    """
    check_installed(purpose, *modules)
    for module in modules:
        try:
            importlib.import_module(module)
        except Exception as error:  # a broken library may raise anything, such as OSError for a lost .so
            raise library_error(purpose, module, error) from error


def check_installed(purpose: str, *modules: str) -> None:
    """Refuse to begin where libraries are missing; none is loaded, which takes seconds for some.

    Args:
        purpose: as for `require`.

    Raises:
        RuntimeUnavailable: some are not installed; the remedy is the command that brings them all.
    """
    if missing := [module for module in modules if not is_there(module)]:
        raise _not_installed(purpose, *missing)


def library_error(purpose: str, module: str, error: Exception) -> RuntimeUnavailable:
    """The error for a library that could not be loaded, in words.

    Args:
        module: what was asked for; what it imports itself may be what is missing.
    """
    if isinstance(error, ModuleNotFoundError):
        missing = (error.name or module).partition(".")[0]
        if not is_there(missing):
            return _not_installed(purpose, missing)
    return RuntimeUnavailable(
        f"{purpose} needs {module}, which can't be loaded: {first_line(error)}",
        f"`{install_command('--force-reinstall', distribution(module))}` installs it again; "
        "`sidscan doctor` says more.",
    )


def _not_installed(purpose: str, *modules: str) -> RuntimeUnavailable:
    command = install_command(*map(distribution, modules))
    if len(modules) == 1:
        return RuntimeUnavailable(
            f"{purpose} needs {modules[0]}, which is not installed", f"`{command}` brings it."
        )
    names = f"{', '.join(modules[:-1])} and {modules[-1]}"
    return RuntimeUnavailable(
        f"{purpose} needs {names}, which are not installed", f"`{command}` brings them."
    )


def is_there(module: str) -> bool:
    """Whether Python finds a module; it is not loaded."""
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):  # the latter: it is loaded, and its loader is not known
        return False


def distribution(module: str) -> str:
    """What pip calls a library."""
    package = module.partition(".")[0]
    return _DISTRIBUTIONS.get(package, package)


def first_line(error: BaseException) -> str:
    """What an error says, on one line; its class where it says nothing."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


def install_command(*arguments: str) -> str:
    """The command that installs into the environment that runs now; ``pip`` alone may be of another."""
    return _command("install", *arguments)


def uninstall_command(*names: str) -> str:
    """The command that removes distributions from the environment that runs now."""
    return _command("uninstall", *names)


def _command(verb: str, *arguments: str) -> str:
    """Of pip, or of what made the environment: uv's have no pip, and pipx reaches its own by their names."""
    prefix, python = Path(sys.prefix), shlex.quote(sys.executable)
    unasked = ("--yes",) if verb == "uninstall" else ()
    if (prefix / "pipx_metadata.json").is_file():
        return shlex.join(("pipx", "runpip", prefix.name, verb, *unasked, *arguments))
    if not is_there("pip"):
        if shutil.which("uv"):
            return shlex.join(("uv", "pip", verb, "--python", sys.executable, *arguments))
        return f"{python} -m ensurepip && {python} -m pip {shlex.join((verb, *unasked, *arguments))}"
    program = "pip" if _is_activated() else f"{python} -m pip"
    return f"{program} {shlex.join((verb, *unasked, *arguments))}"


def _is_activated() -> bool:
    """Whether a shell finds this environment's pip as ``pip``."""
    found = shutil.which("pip")
    return found is not None and Path(found).parent == Path(sys.executable).parent

"""What commands check before work begins: files, models and inputs that were named."""

from __future__ import annotations

import os
import stat
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import click
from click.core import ParameterSource

from sidscan.config import ScanConfig
from sidscan.errors import ModelError, UsageError
from sidscan.util.files import open_file, real_path


def check_distinct(written: tuple[Path, ...], inputs: tuple[str | Path, ...]) -> None:
    """Refuse to replace what is read, or to write two things into one file.

    Raises:
        UsageError: a file is both read and written, or written twice.
    """
    resolved = [real_path(path) for path in written]
    for name in inputs:
        if real_path(name) in resolved:
            raise UsageError(f"{name} is both read and written", "Choose another file to write.")
    if len(set(resolved)) < len(resolved):
        raise UsageError("two of the files to write have the same name", "Give each its own name.")


def check_output(out: Path | None, *read: str | Path | None) -> None:
    """Refuse to write over what is read, even with --overwrite.

    Args:
        read: files, folders and names of models, which may be called as a file that is not there yet; None
            where none is named.

    Raises:
        UsageError: one of them is the file to write.
    """
    if out is not None and out.exists():
        check_distinct((out,), tuple(path for path in read if path))


def check_named(config: ScanConfig) -> None:
    """Refuse models, calibrations, lists and inputs that do not exist, at once: torch takes seconds to load.

    Raises:
        ModelError: a model is unknown or not installed, or one of the files can't be read.
        CalibrationError: no calibration of a model is saved.
        RuntimeUnavailable: the device runs exported graphs only, and no graph is named.
        UsageError: an input or a list does not exist.
    """
    _check_inputs(config)  # before what takes longer to load
    from sidscan.models.refs import ModelKind, choose_models
    from sidscan.runtimes import check_torch_device
    from sidscan.scoring import calibration

    check_models(config.models, config.encoder, installed=config.runtime != "onnx")
    for path in config.calibrations:
        check_regular(path)
        calibration.load_calibration(path)
    choice = choose_models(config.models)
    if config.runtime != "onnx" and not any(model.kind is ModelKind.GRAPH for model in choice.models):
        check_torch_device(config.device)
    if config.calibrated and not config.calibrations:
        named = replace(config, models=choice.names if config.models else ())
        calibration.check_calibrations_saved(named, choice.models)


def check_crops(effort: str, crops: str) -> None:
    """Refuse ten crops that the command line asks for and --effort fast would not score.

    Raises:
        UsageError: the two contradict each other.
    """
    asked = click.get_current_context().get_parameter_source("crops") is ParameterSource.COMMANDLINE
    if asked and (effort, crops) == ("fast", "ten"):
        raise UsageError(
            "--effort fast scores the centre crop, --crops ten all ten", "Leave one of the two out."
        )


def check_models(models: tuple[str, ...], encoder: Path | None = None, installed: bool = True) -> None:
    """Refuse names of models that mean nothing, and files that can't be read as a model.

    Args:
        installed: whether a model of the catalog must be installed, with its encoder.

    Raises:
        ModelError: a name is unknown, a model is not installed, or a file can't be read.
    """
    from sidscan.models.refs import ModelKind, choose_models
    from sidscan.models.store import Store

    if encoder is not None:
        check_regular(encoder)
    store = Store()
    for model in choose_models(models, store).models if models else ():
        if model.kind is not ModelKind.CATALOG:
            check_regular(model.name)
            continue
        for entry in store.needed([model.name]):
            if installed and store.installed_or_stand_in(entry.name) is None:
                detector = model.name if entry.name != model.name else None
                raise store.not_installed(entry.name, detector)


def check_encoder(name: str, weights: Path | None = None) -> None:
    """Refuse an encoder that is neither installed nor a file that can be read.

    Args:
        weights: of an encoder that a library builds.

    Raises:
        ModelError: it is not, or a library's has no weights.
        UsageError: weights are named for another one.
    """
    from sidscan.models.backbones.named import check_weights
    from sidscan.models.store import Store

    check_weights(name, weights)
    store = Store()
    if weights is not None:
        check_regular(weights)
    elif name not in store.catalog:
        check_regular(name)
    elif store.installed(name) is None:
        store.require(name)  # says how to install it


def check_regular(path: str | Path) -> None:
    """Refuse a file that can't be opened, or that opening might wait for, e.g. a pipe.

    Raises:
        ModelError: the file is missing, unreadable or not a regular file.
    """
    try:
        open_file(path).close()
    except OSError as error:
        raise ModelError(f"{path} can't be read: {error.strerror or error}", "Check the path.") from error


def _check_inputs(config: ScanConfig) -> None:
    """Refuse inputs and lists that do not exist, in the words of `sidscan.sources`, and wrong patterns."""
    from sidscan.cli.record_names import refuse_runs
    from sidscan.sources import exclude, inventory, lists, open_sources

    refuse_runs(config.inputs)
    exclude.Exclusions(config.exclude)
    missing = tuple(name for name in config.inputs if name == "-" or not os.path.lexists(name))
    if missing:
        for _ in open_sources(ScanConfig(inputs=missing)):
            pass
    for name in config.inputs:
        if not _has_file(name):  # the walk says whether it is empty
            next(open_sources(replace(config, inputs=(name,), lists=())), None)
    lists.check_stdin_named_once(config.lists)
    for source in config.lists:
        if lists.is_parquet(source):
            if config.list_column is None:
                raise lists.no_column_named(source, _column_names(source, config))
        elif manifest := inventory.read_manifest(source):
            next(inventory.read_inventory(source, manifest, None), None)
        elif source != "-" and not _can_be_read_once_only(source):
            next(lists.read_names(source, config.null, config.list_column), None)


def _column_names(source: str, config: ScanConfig) -> list[str]:
    from sidscan.isolation.archives import ArchiveReader  # here: most lists are text
    from sidscan.isolation.protocol import WorkerOptions

    with closing(ArchiveReader(WorkerOptions.from_config(config))) as reader:
        return reader.column_names(source)


def _has_file(name: str) -> bool:
    """Whether a file lies directly in a folder; also true of what is no folder, or can't be listed."""
    try:
        with os.scandir(name) as entries:
            return any(not entry.name.startswith(".") and entry.is_file() for entry in entries)
    except (OSError, ValueError):
        return True


def _can_be_read_once_only(source: str) -> bool:
    """Whether a list is a pipe or a device, or may be a file that somebody has open already.

    Opening ``/dev/stdin`` or ``/dev/fd/3`` shares its offset on macOS: what is read here is lost later.
    """
    try:
        mode = os.stat(source).st_mode  # noqa: PTH116  (a name may be one that Path changes)
    except (OSError, ValueError):
        return False  # reading it says what is wrong
    is_open_already = os.path.abspath(source).startswith(("/dev/", "/proc/"))  # noqa: PTH100  (links stay)
    return is_open_already or not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def journal_files(journal: Path | None) -> tuple[Path, ...]:
    """The files that a journal may consist of."""
    return (journal, Path(f"{journal}-journal")) if journal else ()

"""Architecture rules: imports point one way, and nothing loads torch before it is needed."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from PIL import Image

import sidscan

ROOT = Path(sidscan.__file__).parent
REPOSITORY = Path(__file__).parents[1]
# Top to bottom. A module imports only from layers below its own, or from its own layer.
LEVELS = (
    ("cli",),
    ("calibrate", "doctor", "localize", "review", "distributed", "scan_run"),
    ("pipeline", "verify"),
    ("scoring", "isolation"),
    ("traces",),
    ("images", "provenance", "runtimes"),
    ("fetch", "sources", "custody", "models", "licences"),
    ("reports", "journal"),
    ("config",),
    ("records", "libraries", "archives"),
    ("util", "errors", "containers", "weights", "_version"),
)
LEVEL = {layer: level for level, layers in enumerate(LEVELS) for layer in layers}
FREE = ("training", "exporters")  # they use the product as any program may
# What each package of training may import of the others.
TRAINING: dict[str, set[str]] = {
    "common": set(),
    "windows": {"common"},
    "datasets": {"common"},
    "rine": {"common", "datasets"},
    "evaluation": {"common", "datasets"},
    "localization": {"common", "datasets"},
    "mini": {"common", "windows"},
    "rine_b16": {"common", "windows", "mini"},
    "localizer_b16": {"common", "windows", "mini", "rine_b16"},
}
HTTP_CLIENTS = ("httpx", "httpcore", "obstore")
MAY_CONNECT = ("sidscan.fetch", "sidscan.models.download")
# A worker must not load weights, which it does not need, or code that could reach them or the network.
NOT_IN_WORKERS = (
    *("torch", "pandas", "open_clip", "onnxruntime", "httpx", "httpcore", "filelock", "platformdirs"),
    *("sidscan.models", "sidscan.runtimes", "sidscan.fetch", "sidscan.reports", "sidscan.journal"),
)


@cache
def product_modules() -> dict[str, Path]:
    """Every module of sidscan/, training/ and exporters/ by its dotted name."""
    modules = {}
    for folder, package in (("training", "sidscan.training"), ("exporters", "sidscan.exporters")):
        for path in sorted((REPOSITORY / folder).rglob("*.py")):
            modules[name_of(path.relative_to(REPOSITORY / folder), package)] = path
    for path in sorted((REPOSITORY / "sidscan").rglob("*.py")):
        modules[name_of(path.relative_to(REPOSITORY / "sidscan"), "sidscan")] = path
    return modules


def name_of(relative: Path, package: str) -> str:
    parts = [part for part in relative.with_suffix("").parts if part != "__init__"]
    return ".".join((package, *parts))


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def imports(name: str, at_load: bool = False) -> frozenset[str]:
    """Modules that a module imports, by full name: anywhere in it, or only when it is loaded."""
    return frozenset(_imports(name, at_load))


def _imports(name: str, at_load: bool) -> Iterator[str]:
    path = product_modules()[name]
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for node in parsed(path).body if at_load else ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) + 1 - node.level]
                base = ".".join((*above, *filter(None, (base,))))
            for alias in node.names:
                whole = f"{base}.{alias.name}"
                yield whole if whole in product_modules() else base


def layer(name: str) -> str:
    """The folder or module below sidscan that a module belongs to."""
    return ([*name.split("."), ""])[1]


def layers(name: str, at_load: bool = False) -> set[str]:
    return {layer(module) for module in imports(name, at_load) if module.startswith("sidscan.")}


PRODUCT = [name for name in product_modules() if layer(name) not in (*FREE, "", "__main__")]


# A rule that hundreds of modules keep is one test, which names each module that breaks it.
def test_imports_point_one_way() -> None:
    assert not [(name, imported) for name in PRODUCT for imported in _points_up(name)]


def _points_up(name: str) -> Iterator[str]:
    importer = layer(name)
    for imported in layers(name) - {importer}:
        if importer == "cli" and imported in FREE and imported not in layers(name, at_load=True):
            continue  # a command loads training only when it runs
        if imported in FREE or LEVEL[importer] >= LEVEL[imported]:
            yield imported


def test_the_product_imports_by_full_name_only() -> None:
    assert not [
        (name, node.lineno)
        for name in PRODUCT
        for node in ast.walk(parsed(product_modules()[name]))
        if isinstance(node, ast.ImportFrom) and node.level
    ]


def test_images_do_not_import_models_or_fetch() -> None:
    images = [name for name in PRODUCT if layer(name) == "images"]
    assert not [name for name in images if layers(name) & {"models", "runtimes", "fetch"}]


def test_only_fetch_and_download_import_an_http_client() -> None:
    others = [name for name in product_modules() if not name.startswith(MAY_CONNECT)]
    imported = [(name, module) for name in others for module in imports(name)]
    assert not [(name, module) for name, module in imported if module.split(".")[0] in HTTP_CLIENTS]


def test_one_module_makes_progress_bars() -> None:
    assert [name for name in product_modules() if "tqdm" in imports(name)] == ["sidscan.util.progress"]


SHARED_BY_COMMANDS = tuple(
    f"sidscan.cli.{name}"
    for name in (
        *(
            "options",
            "help_sections",
            "param_types",
            "console",
            "checks",
            "training_options",
            "model_text",
            "pulling",
        ),
        *(
            "summary",
            "reasons",
            "ranking",
            "kept_results",
            "settings",
            "marks_text",
            "closer_look",
            "selection",
            "report_options",
            "data_options",
        ),
        *("provenance_text", "sample_text", "time_left", "localizing", "record_names"),
        *(
            "recipe_options",
            "localizer_options",
            "shard_options",
            "sharded_scan",
            "ray_scan",
            "cluster_check",
            "collecting",
        ),
        *("run_summary", "copies_text"),
        *("evaluate_options", "evaluate_scoring", "evaluate_results", "dataset_statements"),
        "evaluate_localization",  # a command of `evaluate`
    )
)


def test_commands_do_not_import_each_other() -> None:
    commands = [name for name in PRODUCT if name.startswith("sidscan.cli.")]
    imported = {(name, module) for name in commands for module in imports(name)}
    others = {(name, module) for name, module in imported if module.startswith("sidscan.cli.")}
    assert not {(name, module) for name, module in others if module not in SHARED_BY_COMMANDS}


def test_training_packages_share_only_common_packages() -> None:
    for name in [name for name in product_modules() if layer(name) == "training"]:
        package = ([*name.split("."), ""])[2]
        others = {module.split(".")[2] for module in imports(name) if module.startswith("sidscan.training.")}
        allowed = {package} | TRAINING[package] if package else set()
        assert others <= allowed, f"{name} imports sidscan.training.{others - allowed}"


def test_every_layer_has_a_level() -> None:
    assert {layer(name) for name in PRODUCT} <= set(LEVEL)


@pytest.mark.parametrize(
    "code",
    [
        pytest.param("import sidscan", id="import"),
        pytest.param("from sidscan.cli import cli; cli(['--help'], standalone_mode=False)", id="help"),
        pytest.param(
            "from sidscan.cli import cli; cli(['scan', '--help'], standalone_mode=False)", id="scan help"
        ),
        pytest.param(
            "from sidscan.cli import cli; cli(['calibrate', '--help'], standalone_mode=False)",
            id="calibrate help",
        ),
        pytest.param(
            "from sidscan.cli import cli; cli(['evaluate', '--help'], standalone_mode=False)",
            id="evaluate help",
        ),
        pytest.param(
            "from sidscan.cli import cli; cli(['models', 'list'], standalone_mode=False)", id="models list"
        ),
    ],
)
def test_light_commands_load_no_heavy_library(code: str) -> None:
    heavy = [
        "sidscan.training",
        "torch",
        "numpy",
        "pandas",
        "PIL",
        "httpx",
        "open_clip",
        "onnx",
        "onnxruntime",
    ]
    check = (
        f"{code}\nimport sys; loaded = [m for m in {heavy} if m in sys.modules]; assert not loaded, loaded"
    )
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("worker", ["worker", "thumbnail_worker", "archive_worker", "report_worker"])
def test_workers_load_neither_torch_nor_the_model_store(worker: str) -> None:
    refused = [each for each in NOT_IN_WORKERS if (worker, each) != ("report_worker", "sidscan.reports")]
    code = (
        f"import sys, sidscan.isolation.{worker}\n"
        f"loaded = [m for m in {refused} if m in sys.modules]\n"
        "assert not loaded, loaded"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


# What `sidscan --help` loads of sidscan, besides packages above these.
FOR_HELP = (
    *(
        "_version",
        "cli",
        "cli.console",
        "cli.help_sections",
        "cli.time_left",
        "config",
        "config.checks",
        "config.choices",
        "config.fetch_options",
        "config.read_limits",
        "config.scan_config",
        "errors",
        "libraries",
    ),
    *("records", "records.from_json", "records.images", "records.inputs", "records.results", "records.runs"),
    *("records.localization", "records.score_map", "records.views"),
    *(
        "util.clock",
        "util.files",
        "util.object_urls",
        "util.option_specs",
        "util.progress",
        "util.terminal",
        "util.threads",
    ),
    *("util.urls", "util"),
)


def test_help_loads_little() -> None:
    code = (
        "import sys\nbefore = set(sys.modules)\n"
        "from sidscan.cli import cli\ncli(['--help'], standalone_mode=False)\n"
        "new = {name for name in set(sys.modules) - before if not name.startswith('_')}\n"
        "print(*sorted(new), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = done.stderr.split()
    ours = {name.removeprefix("sidscan.") for name in loaded if name.startswith("sidscan.")}
    assert ours <= set(FOR_HELP)
    others = {name.partition(".")[0] for name in loaded} - set(sys.stdlib_module_names)
    assert others - {"colorama"} == {"click", "sidscan"}  # on Windows, click writes through colorama


NOT_FOR_MINI = ("torch", "open_clip", "torchvision", "onnx", "onnxscript", "pandas", "sklearn", "matplotlib")


@pytest.mark.parametrize("suffix", ["csv", "json", "html"])
def test_a_scan_of_mini_on_a_cpu_loads_no_torch(tmp_path: Path, suffix: str) -> None:
    Image.new("RGB", (300, 300), "teal").save(tmp_path / "image.png")
    code = (
        "import sys\nfrom sidscan.cli import cli\n"
        "scan = 'scan image.png -m mini --device cpu -o r.'\n"
        f"cli((scan + '{suffix}').split(), standalone_mode=False)\n"
        f"loaded = [m for m in {NOT_FOR_MINI} if m in sys.modules]\nassert not loaded, loaded\n"
        "assert 'onnxruntime' in sys.modules"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr

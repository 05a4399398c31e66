"""The rules of the house: imports point one way, and nothing loads torch before it is needed."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import sidscan

ROOT = Path(sidscan.__file__).parent
# Top to bottom; a module imports only from rooms below its own, or from within its own room.
LEVELS = (
    ("cli",),
    ("pipeline", "verification"),
    ("scoring", "isolation", "worker"),
    ("sources", "readers", "engines", "runtimes", "journal", "reports", "calibration", "custody"),
    ("models",),
    ("abstention", "config"),
    ("records",),
    ("errors", "files", "weights", "terminal", "urls", "_version"),
)
LEVEL = {room: level for level, rooms in enumerate(LEVELS) for room in rooms}
FREE = ("training", "exporters")  # use the product as anybody may


def imports(path: Path, at_load: bool = False) -> set[str]:
    """Rooms of sidscan that a module imports: anywhere, or as soon as it is loaded."""
    rooms = set()
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in tree.body if at_load else ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level:
            raise AssertionError(f"{path}: the product imports by full name only")
        if isinstance(node, ast.ImportFrom) and node.module == "sidscan":
            rooms |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("sidscan."):
            rooms.add(node.module.split(".")[1])
        elif isinstance(node, ast.Import):
            rooms |= {a.name.split(".")[1] for a in node.names if a.name.startswith("sidscan.")}
    return rooms


def product_modules() -> list[Path]:
    return [
        path
        for path in sorted(ROOT.rglob("*.py"))
        if path.relative_to(ROOT).parts[0] not in (*FREE, "__init__.py", "__main__.py")
    ]


@pytest.mark.parametrize("path", product_modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_one_way(path: Path) -> None:
    own = path.relative_to(ROOT).parts[0].removesuffix(".py")
    for room in imports(path) - {own}:
        if own == "cli" and room in FREE and room not in imports(path, at_load=True):
            continue  # a command loads training when it is run, no sooner
        assert room not in FREE, f"{own} must not import {room}"
        assert LEVEL[own] < LEVEL[room], f"{own} must not import {room}"


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
def test_light_commands_load_nothing_heavy(code: str) -> None:
    heavy = ["sidscan.training", "torch", "numpy", "pandas", "PIL", "httpx", "open_clip"]
    check = (
        f"{code}\nimport sys; loaded = [m for m in {heavy} if m in sys.modules]; assert not loaded, loaded"
    )
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr

"""Chain of custody: what a report states about the runs that produced it."""

from __future__ import annotations

import json
import platform
from collections.abc import Callable
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

import PIL.features
import pytest
from sample_images import folder

from sidscan import ScanConfig, __version__, scan
from sidscan.custody import begin_session, library_versions
from sidscan.util.threads import available_cores

Run = Callable[..., Any]


def run_of(path: Path) -> dict[str, Any]:
    """The run's facts in a JSON report."""
    facts: dict[str, Any] = json.loads(path.read_text())["run"]
    return facts


@pytest.mark.parametrize(
    ("word", "shown"),
    [
        pytest.param("https://host/a@b.jpg?x=c@d", "https://host/a@b.jpg?x=c@d", id="no credentials"),
        pytest.param("https://user:secret@host/a.jpg", "https://***@host/a.jpg", id="user and password"),
        pytest.param("HTTP://token@host", "HTTP://***@host", id="user name without password"),
        pytest.param("http://u:p@ss@host/", "http://***@host/", id="an at sign in the password"),
        pytest.param("--list=ftp://u:p@host/x", "--list=ftp://***@host/x", id="in an option"),
        pytest.param("mail@example.org/a.jpg", "mail@example.org/a.jpg", id="not a URL"),
    ],
)
def test_credentials_are_left_out_of_the_command(word: str, shown: str) -> None:
    assert begin_session(ScanConfig(inputs=("a",), command=(word,)), "now", {}).command == (shown,)


def test_the_recorded_libraries_are_those_behind_pixels_and_scores() -> None:
    versions = library_versions()
    for name in ("pillow", "exifread", "numpy", "torch", "open_clip_torch"):
        assert metadata.version(name) in versions[name]
    assert versions["libjpeg_turbo"] == PIL.features.version("libjpeg_turbo")
    assert {"zlib", "libtiff", "webp", "avif"} <= set(versions)


def test_a_session_states_user_and_machine_unless_private(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    config = ScanConfig(inputs=("a",), command=("sidscan", "scan", "http://u:p@h/"))
    session = begin_session(config, "now", {"batch": 40})
    assert session.command == ("sidscan", "scan", "http://***@h/")
    assert (session.folder, session.host) == (str(tmp_path), platform.node())
    assert (session.started, session.ended, session.sidscan_version) == ("now", None, __version__)
    assert (session.python, session.platform) == (platform.python_version(), platform.platform())
    config = ScanConfig(inputs=("a",), command=("sidscan",), private=True)
    private = begin_session(config, "now", {"batch": 40})
    assert private == replace(session, command=None, folder=None, host=None, options=None)


def test_a_removed_working_folder_is_not_stated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert begin_session(ScanConfig(inputs=("a",)), "now", {}).folder is None


def test_every_session_of_a_run_is_in_its_report(
    sidscan: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images, out = folder(tmp_path / "images", count=2), tmp_path / "r.json"
    monkeypatch.setattr(platform, "node", lambda: "first-host")
    first = scan(ScanConfig(inputs=(str(images),), models=("mini",), journal=Path(f"{out}.journal"), batch=1))
    next(iter(first))
    first.close()
    monkeypatch.setattr(platform, "node", lambda: "second-host")
    arguments = ("scan", images, "--model", "mini", "--out", out)
    assert sidscan(*arguments).code == 0
    run = run_of(out)
    stopped, ended = run["sessions"]
    assert (stopped["host"], stopped["ended"], stopped["command"]) == ("first-host", None, None)
    assert [session["resources"]["batch"] for session in run["sessions"]] == [1, 40], "asked for, and chosen"
    assert ended["resources"] == {
        "cores": available_cores(),
        "workers": available_cores(),
        "batch": 40,
        "batches_at_once": 2,
        "devices": 1,
    }
    assert (ended["host"], ended["ending"], ended["findings"]) == ("second-host", "finished", 1)
    assert ended["command"] == ["sidscan", *map(str, arguments)]
    assert stopped["started"] <= ended["started"] <= ended["ended"] == run["finished"]
    assert ended["libraries"] == library_versions()

    assert sidscan(*arguments, "--private").code == 0
    assert [session["findings"] for session in run_of(out)["sessions"]] == [None, 1, 0]
    text = out.read_text()
    assert "first-host" not in text
    assert "second-host" not in text
    assert '"--model"' not in text
    assert sidscan(*arguments).code == 0
    assert "second-host" not in out.read_text(), "a private report stays private"
    assert sidscan(*arguments, "--fresh").code == 0
    assert len(run_of(out)["sessions"]) == 1


def test_an_interrupted_session_is_recorded_as_such(
    sidscan: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images, out = folder(tmp_path / "images", count=1), tmp_path / "r.json"

    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("sidscan.reports.write_all", interrupted)
        assert sidscan("scan", images, "--model", "mini", "--out", out).code == 130
    assert sidscan("scan", images, "--model", "mini", "--out", out).code == 0
    assert [session["ending"] for session in run_of(out)["sessions"]] == ["interrupted", "finished"]


def test_credentials_are_left_out_of_the_inputs(sidscan: Run, tmp_path: Path) -> None:
    out = tmp_path / "r.json"
    assert sidscan("scan", "http://user:secret@127.0.0.1:9/a.jpg", "--out", out, "--model", "mini").code == 3
    run = run_of(out)
    assert run["inputs"] == ["http://***@127.0.0.1:9/a.jpg"]
    assert "secret" not in json.dumps(run)

"""The command that trains the bundled detector."""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner

from sidscan.training.mini.train import train_command
from sidscan.training.windows.reserved import repository_digest


def test_reserved_repositories_are_refused_before_anything_is_read(tmp_path: Path) -> None:
    rows = "file,label,generator,kind,repo,license\ngone.png,real,,web,owner/name,MIT\n"
    (tmp_path / "manifest.csv").write_text(rows, encoding="utf-8")
    reserved = tmp_path / "reserved.txt"
    reserved.write_text(repository_digest("owner/name"), encoding="utf-8")
    folders = ["--corpus", str(tmp_path), "--out", str(tmp_path / "out"), "--folds", str(tmp_path / "folds")]
    result = CliRunner().invoke(train_command, [*folders, "--reserved", str(reserved)])
    assert result.exit_code == 2
    assert "reserves owner/name: leave out" in " ".join(result.output.split())

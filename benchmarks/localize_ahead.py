"""Is the localizer kept busy: are images read and drawn while it computes?

    python benchmarks/localize_ahead.py FOLDER [--before TREE] --images 6 --rounds 3 --out FILE

Makes maps of photographs in FOLDER with a stand-in for a localizer on a GPU: it waits for a second per image
and takes no processor time. With --before, an earlier source tree takes turns with the installed one.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from statistics import median
from typing import Any

from record import publish, stamp

_WAIT = 1.0  # seconds per image, for its one batch of tiles

_ROUND = """
import json, sys, tempfile, time
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
import numpy as np
from sidscan import ScanConfig
from sidscan.localize.map_files import MapFiles
from sidscan.localize.run import Localizing, Request
from sidscan.pipeline import open_scan
from sidscan.runtimes import RuntimeInfo

class Waiting:
    runtime, batch = RuntimeInfo("a stand-in", "gpu", "fp32"), 512
    info = SimpleNamespace(
        name="a stand-in", digest="0" * 16, files={}, provenance={}, licence="", threshold=0.5,
        tile=SimpleNamespace(side=224, read=224, stride=112), alarm_area=None, card={},
    )

    def maps(self, tiles):
        if len(tiles) > 1:
            time.sleep(float(sys.argv[1]))
        return np.full((len(tiles), 224, 224), 0.25, np.float32)

if __name__ == "__main__":
    config = ScanConfig(inputs=tuple(sys.argv[2:]), models=("mini",))
    with closing((run := open_scan(config)).journal), tempfile.TemporaryDirectory() as folder:
        results = list(run)
        work = Localizing(run.journal, config, Waiting(), Request(files=MapFiles(Path(folder), run.journal)))
        work.check(results)
        wall, processor = time.perf_counter(), time.process_time()
        made = list(work.run(results))
        wall, processor = time.perf_counter() - wall, time.process_time() - processor
        assert not any(each.facts.message for each in made), made
        print(json.dumps({"maps": len(made), "wall": wall, "processor": processor}))
"""


def measure(images: list[str], tree: Path | None) -> dict[str, Any]:
    """Maps, and seconds without the scan before; processor time is that of the parent process."""
    env = {**os.environ, **({"PYTHONPATH": str(tree)} if tree else {})}
    command = [sys.executable, "-c", _ROUND, str(_WAIT), *images]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    figures: dict[str, Any] = json.loads(done.stdout)
    return figures


def main() -> None:
    """Measure in turns, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--before", type=Path)
    parser.add_argument("--images", type=int, default=6)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    images = [str(path.absolute()) for path in sorted(options.folder.iterdir())[: options.images]]
    trees = {**({"before": options.before.absolute()} if options.before else {}), "now": None}
    rounds = [{name: measure(images, tree) for name, tree in trees.items()} for _ in range(options.rounds)]
    medians = {
        name: {key: round(median(each[name][key] for each in rounds), 2) for key in ("wall", "processor")}
        for name in trees
    }
    publish(
        {
            **stamp("localize_ahead", "PIL"),
            "load_average": os.getloadavg(),
            "images": len(images),
            "seconds_of_the_localizer": _WAIT * len(images),
            "medians": medians,
            "rounds": rounds,
        },
        options.out,
    )


if __name__ == "__main__":
    main()

"""Kill the build of a benchmark at random moments, and compare its table with an uninterrupted one.

    python experiments/build_kills.py [--kills 10] [--seed 0]

Twenty cells of clutter-nb201 on few and small images, two workers; every process of the build is
killed with -9 after a random time, and the same settings go on. Prints each moment, how many runs
were finished, how many were made twice, and whether the tables are equal but for the seconds.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from msgspec.structs import replace

from foretell.benchmarks import Table
from foretell.errors import RunFolderError
from foretell.studies.build_benchmark.config import CLUTTER
from foretell.studies.build_benchmark.study import BuildConfig, run
from foretell.studies.run.session import reading

SETTINGS = replace(
    CLUTTER,
    data="clutter?train=200&val=100&test=100&size=8",
    input_shape=(1, 8, 8),
    cells=20,
    repeat_every=3,
    long_every=6,
    long_epochs=8,
    epochs=4,
    attacked=40,
)
CODE = """
import json, sys
from foretell.studies.build_benchmark.study import BuildConfig, run
if __name__ == "__main__":
    run(BuildConfig.from_json(json.loads(sys.argv[1])), sys.argv[2])
"""


def finished(work: Path) -> dict[str, int]:
    """Key of each finished run -> how often it was begun."""
    try:
        with reading(work, BuildConfig.KIND) as store:
            return {t.key: t.attempts for t in store.trials(BuildConfig.KIND, "done")}  # type: ignore[arg-type]
    except RunFolderError:
        return {}


def values(path: Path) -> dict[str, bytes]:
    """Every column but the seconds."""
    table = Table.open(path)
    return {k: table.read(k).tobytes() for k in table.metrics if not k.endswith("train_seconds")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        script = folder / "build.py"
        script.write_text(CODE)
        whole = replace(SETTINGS, file=str(folder / "whole.foretell"))
        run(whole, folder / "whole")
        config = replace(SETTINGS, file=str(folder / "killed.foretell"), workers=2)
        words = [sys.executable, str(script), json.dumps(config.to_json()), str(folder / "work")]
        for kill in range(options.kills):
            process = subprocess.Popen(words, start_new_session=True)
            before, moment = len(finished(folder / "work")), float(rng.uniform(0, 3))
            if kill % 2:  # while runs are made, else while processes start
                while process.poll() is None and len(finished(folder / "work")) == before:
                    time.sleep(0.05)
            time.sleep(moment)
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            done = finished(folder / "work")
            where = "after another run" if kill % 2 else "after the start"
            print(f"kill {kill + 1}, {moment:.1f} s {where}: {len(done)} runs finished", flush=True)
        run(config, folder / "work")
        done = finished(folder / "work")
        again = sum(n > 1 for n in done.values())
        same = values(folder / "whole.foretell") == values(folder / "killed.foretell")
        print(f"{len(done)} runs, {again} of them begun again; tables equal: {same}")


if __name__ == "__main__":
    main()

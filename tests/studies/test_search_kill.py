"""SIGKILL at random moments: nothing finished is lost or run twice, and the result is the same."""

import multiprocessing
import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from foretell.errors import UnknownNameError
from foretell.store import Store
from foretell.studies import STUDY, SearchConfig, SearchOutcome
from foretell.studies.search.study import run

CONFIG = SearchConfig(
    pool=16,
    trials=6,
    epochs=1,
    final_epochs=3,
    proxies=("params", "grad_norm", "synflow", "jacov"),
    constraints=("params<=100k",),
    attacks=("fgsm",),
    attack_images=40,
    onnx=False,
)
KILLS = 20


def run_search(config: SearchConfig, folder: Path) -> SearchOutcome:
    """What is in memory after a search."""
    return run(config, folder).outcome


def finished_trials(folder: Path) -> dict[str, tuple[object, ...]]:
    """Key -> everything about a finished trial that a second run of it would change."""
    if not (folder / "study.db").is_file():
        return {}
    try:
        with Store(folder / "study.db") as store:
            return {
                t.key: (t.attempts, t.started, t.finished, t.seconds, str(t.value))
                for t in store.trials(STUDY)
                if t.state.final
            }
    except UnknownNameError:  # killed before the study was written
        return {}


@pytest.mark.slow
def test_kill_at_random_moments_loses_and_repeats_nothing(tmp_path):
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["foretell.studies", "foretell.proxies", "foretell.training"])
    warm = context.Process(target=run_search, args=(CONFIG, tmp_path / "whole"))
    warm.start()  # the server imports torch once, here
    warm.join()
    start = time.perf_counter()
    warm = context.Process(target=run_search, args=(CONFIG, tmp_path / "timed"))
    warm.start()
    warm.join()
    length = time.perf_counter() - start
    whole = run_search(CONFIG, tmp_path / "whole")
    rng = np.random.default_rng(int.from_bytes(os.urandom(4), "big"))
    kills, episode, stages = 0, 0, set()
    while kills < KILLS:
        folder = tmp_path / f"killed{episode}"
        episode += 1
        kept: dict[str, tuple[object, ...]] = {}
        while kills < KILLS:
            run = context.Process(target=run_search, args=(CONFIG, folder))
            run.start()
            run.join(float(rng.uniform(0.05, 0.7) * length))
            if run.is_alive():
                os.kill(run.pid, signal.SIGKILL)
                kills += 1
            run.join()
            now = finished_trials(folder)
            assert {k: now.get(k) for k in kept} == kept
            stages.add(len(now))
            kept = now
            if run.exitcode == 0:
                break
            assert run.exitcode == -signal.SIGKILL
        resumed = run_search(CONFIG, folder)
        assert {k: finished_trials(folder).get(k) for k in kept} == kept
        assert [t.key for t in resumed.trials] == [t.key for t in whole.trials]
        assert [t.value["curves"] for t in resumed.trials] == [
            t.value["curves"] for t in whole.trials
        ]
        assert resumed.final.arch == whole.final.arch
        assert resumed.final.result.curves == whole.final.result.curves
        assert resumed.final.result.test_accuracy == whole.final.result.test_accuracy
        assert resumed.final.robustness == whole.final.robustness
    assert kills == KILLS
    assert len(stages) > 2, "the kills all hit the same moment: widen the delays"

"""SIGKILL at random moments: nothing finished is lost or run twice, and the result is the same."""

import os
import time

import forked
import numpy as np
import own_evaluation as own

from foretell.studies import STUDY, Resources, SearchConfig
from foretell.studies.search.study import run

CONFIG = SearchConfig(
    space="tiny",
    data="synthetic:1x4x4x2",
    pool=12,
    trials=8,
    epochs=1,
    final_epochs=2,
    proxies=("params", "grad_norm", "synflow", "jacov"),
    constraints=("params<=100k",),
    attacks=("fgsm",),
    attack_images=40,
    onnx=False,
)
KILLS = int(os.environ.get("FORETELL_KILLS", "5"))
SEED = int(os.environ.get("FORETELL_KILL_SEED", "0"))


def search(folder):
    """To the end, and what is in memory then."""
    return run(CONFIG, folder, resources=Resources(own.tiny)).outcome


def result_of(outcome):
    """All that must not depend on how often a search was killed."""
    final = outcome.final
    return (
        [
            (t.key, t.state, t.value["values"]["accuracy"], t.value["curves"])
            for t in outcome.trials
        ],
        {name: values.tolist() for name, values in outcome.pool.scores.items()},
        (final.arch, final.result.curves, final.result.test_accuracy, final.robustness),
    )


def test_kill_at_random_moments_loses_and_repeats_nothing(tmp_path):
    whole = result_of(search(tmp_path / "whole"))
    start = time.perf_counter()
    assert forked.run_for(search, tmp_path / "timed") == 0
    length = time.perf_counter() - start
    rng = np.random.default_rng(SEED)
    kills, episode, stages = 0, 0, set()
    while kills < KILLS:
        folder = tmp_path / f"killed{episode}"
        episode += 1
        before, code = {}, None
        while kills < KILLS and code != 0:
            code = forked.run_for(search, folder, seconds=float(rng.uniform(0.05, 0.9) * length))
            kills += code == -9
            now = forked.finished(folder, STUDY)
            assert {key: now.get(key) for key in before} == before
            before = now
            stages.add(len(now))
            assert code in (0, -9)
        assert result_of(search(folder)) == whole
        now = forked.finished(folder, STUDY)
        assert {key: now.get(key) for key in before} == before
    print(f"{kills} kills in {episode} searches, with {sorted(stages)} trials finished")
    assert kills == KILLS
    assert len(stages) > 1, "the kills all hit the same moment: widen the delays"

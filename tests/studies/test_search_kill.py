"""SIGKILL at random moments: nothing finished is lost or run twice, and the result is the same.

Five kills of searches without workers here; ``experiments/kills.py`` makes any number, also of
searches with workers, where each kill hits the search or one of its workers.
"""

import os
import time

import forked
import msgspec
import numpy as np
import own_evaluation as own

from foretell.store import Store
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
WORKERS = int(os.environ.get("FORETELL_KILL_WORKERS", "0"))
KILLS = int(os.environ.get("FORETELL_KILLS", "5"))
SEED = int(os.environ.get("FORETELL_KILL_SEED", "0"))


def search(folder):
    """To the end, and what is in memory then."""
    config = msgspec.structs.replace(CONFIG, workers=WORKERS)
    return run(config, folder, resources=Resources(own.tiny)).outcome


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


def facts(folder):
    """What a search keeps of networks that it gave up."""
    with Store(folder / "study.db", read_only=True) as store:
        values = store.values(STUDY)
    names = ("pool failures", "pool losses", "lost costs", "interrupted", "slowest")
    return {name: values.get(name) for name in names}


def test_kill_at_random_moments_loses_and_repeats_nothing(tmp_path):
    whole = result_of(search(tmp_path / "whole"))
    start = time.perf_counter()
    assert forked.run_for(search, tmp_path / "timed") == 0
    length = time.perf_counter() - start
    rng = np.random.default_rng(SEED)
    kills, children, episode, stages = 0, 0, 0, set()

    def victim(process):
        nonlocal kills, children
        kills += 1
        own_children = forked.children(process.pid)
        if WORKERS and own_children and rng.random() < 0.5:
            children += 1
            return int(rng.choice(own_children))
        return process.pid

    def at_a_trial(folder):
        """In one of two searches, however fast the machine is: when some more trials are done."""
        if rng.random() < 0.5:
            return lambda: False
        number = len(forked.finished(folder, STUDY)) + int(rng.integers(0, CONFIG.trials // 2))
        return lambda: len(forked.finished(folder, STUDY)) > number

    while kills < KILLS:
        folder = tmp_path / f"killed{episode}"
        episode += 1
        before, code = {}, None
        while kills < KILLS and code != 0:
            seconds = float(rng.uniform(0.05, 0.9) * length)
            code = forked.run_for(
                search, folder, seconds=seconds, condition=at_a_trial(folder), victim=victim
            )
            now = forked.finished(folder, STUDY)
            assert {key: now.get(key) for key in before} == before
            before = now
            stages.add(len(now))
            assert code in (0, -9)
        for part, expected in zip(result_of(search(folder)), whole, strict=True):
            assert part == expected, facts(folder)
        now = forked.finished(folder, STUDY)
        assert {key: now.get(key) for key in before} == before
    print(
        f"{kills} kills, {children} of them of workers, in {episode} searches, when "
        f"{sorted(stages)} trials were finished"
    )
    assert len(stages) > 1, "the kills all hit the same moment: widen the delays"

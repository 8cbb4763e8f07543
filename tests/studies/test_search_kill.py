"""SIGKILL at random moments: nothing finished is lost or run twice, and the result is the same.

Five kills of searches without workers here; ``experiments/kills.py`` makes any number, also of
searches with workers. Each hits a chosen stage, by the log and the store: costs and pool, scoring,
between any two trials, the winner's training, attack and export, the report; and the search itself
or a process that it started.
"""

import os
import time
from collections import Counter

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


STAGES = ("start", "pool", "score", *["train"] * 8, "final", "attack", "export", "report")
"""Where kills land; "train" has one for each trial that may be finished by then."""


def lines_of(folder):
    """What the log says, without times."""
    try:
        lines = (folder / "log.txt").read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    return [line.partition(" ")[2] for line in lines]


def moment(folder, stage, number, delay):
    """A condition: this call has begun the stage, or so many trials are done, a while ago."""
    before = len(lines_of(folder))
    since = None
    sign = {"start": "start", "report": "export: 1 of 1"}.get(stage, f"{stage}: 0 of")

    def now():
        nonlocal since
        if since is None:
            if stage == "train":
                begun = len(forked.finished(folder, STUDY)) > number
            else:
                begun = any(line.startswith(sign) for line in lines_of(folder)[before:])
            if begun:
                since = time.monotonic()
        return since is not None and time.monotonic() - since >= delay

    return now


def test_kill_at_random_moments_loses_and_repeats_nothing(tmp_path):
    whole = result_of(search(tmp_path / "whole"))
    rng = np.random.default_rng(SEED)
    kills, children, episode = 0, 0, 0
    at, finished = Counter(), Counter()

    def victim(process):
        nonlocal kills, children
        kills += 1
        own_children = forked.children(process.pid)
        if own_children and rng.random() < 0.5:
            children += 1
            return int(rng.choice(own_children))
        return process.pid

    while kills < KILLS:
        folder = tmp_path / f"killed{episode}"
        episode += 1
        before, code = {}, None
        while kills < KILLS and code != 0:
            stage = STAGES[int(rng.integers(len(STAGES)))]
            number = len(before) + int(rng.integers(0, max(1, CONFIG.trials - len(before))))
            hit = moment(folder, stage, number, float(rng.uniform(0, 0.1)))
            count = kills
            code = forked.run_for(search, folder, seconds=600, condition=hit, victim=victim)
            now = forked.finished(folder, STUDY)
            assert {key: now.get(key) for key in before} == before
            before = now
            if kills > count:
                at[stage] += 1
                finished[len(now)] += 1
            assert code in (0, -9)
        for part, expected in zip(result_of(search(folder)), whole, strict=True):
            assert part == expected, facts(folder)
        now = forked.finished(folder, STUDY)
        assert {key: now.get(key) for key in before} == before
    print(
        f"{kills} kills, {children} of them of processes that it had started, in {episode} "
        f"searches; in {dict(at)}; with so many trials finished: {dict(sorted(finished.items()))}"
    )
    assert len(at) > 1, "the kills all hit the same moment"

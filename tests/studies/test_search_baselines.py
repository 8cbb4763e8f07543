"""What a search won: figures by hand, draws, failures, and nothing that is trained twice."""

import csv
import math
import shutil
from types import SimpleNamespace

import forked
import numpy as np
import own_evaluation as own
import pytest

from foretell.arch import Arch
from foretell.errors import UsageError
from foretell.execution import InlineExecutor
from foretell.report import render, summary
from foretell.rng import stream, stream_seed
from foretell.store import Store
from foretell.studies import Resources, SearchConfig
from foretell.studies.search.baselines import STUDY, baselines_of, interval_of
from foretell.studies.search.goals import Goals
from foretell.studies.search.read import read
from foretell.studies.search.study import run
from foretell.studies.search.trial import Job

CONFIG = SearchConfig(
    space="tiny",
    data="synthetic:1x4x4x2",
    pool=8,
    trials=3,
    round=3,
    epochs=1,
    final_epochs=1,
    proxies=("params",),
    constraints=("params<=600",),
    attacks=(),
    onnx=False,
)
T2 = 4.302652729911275
"""Quantile .975 of Student's t with 2 degrees of freedom."""


def search(folder, executor=InlineExecutor, **more):
    config = SearchConfig.from_json({**CONFIG.to_json(), **more})
    return run(config, folder, resources=Resources(own.tiny), executor=executor)


def stored(folder):
    with Store(folder / "study.db", read_only=True) as store:
        return store.trials(STUDY) if STUDY in {s.name for s in store.studies()} else []


@pytest.fixture(scope="module", autouse=True)
def unchecked():
    """Without the clean process that looks at the exported folder: other tests have it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("foretell.export.check_folder", lambda *_, **__: ())
        yield


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """A search without baselines."""
    folder = tmp_path_factory.mktemp("plain") / "run"
    return folder, search(folder)


@pytest.fixture(scope="module")
def three(plain, tmp_path_factory):
    """The same search, asked for three of them afterwards."""
    folder = tmp_path_factory.mktemp("three") / "run"
    shutil.copytree(plain[0], folder)
    return folder, search(folder, baselines=3)


@pytest.fixture
def copy(plain, tmp_path):
    return shutil.copytree(plain[0], tmp_path / "copy")


def trial(name, value, right=None, *, state="done", violation="", objective="accuracy", params=10):
    """A finished training."""
    found = {"values": {objective: value}, "violation": violation}
    if right is not None:
        bits = np.packbits(np.array(right, dtype=bool)).tobytes().hex()
        found |= {"right": bits, "images": len(right)}
    return SimpleNamespace(
        key=name, state=state, error="NonFiniteLossError", message="the loss became nan",
        value=found if state == "done" else None,
        payload={"text": name, "costs": {"params": params, "flops": 2 * params}},
    )  # fmt: skip


def chosen(draws, biggest="big", winner="win", equal=1):
    return {"winner": winner, "draws": draws, "biggest": biggest, "equal": equal}


def goals(*objectives):
    return Goals.of(SearchConfig(objectives=objectives or ("accuracy",)))


class TestFigures:
    def test_of_three_draws_are_those_of_numpy(self):
        rng = np.random.default_rng(0)
        right = rng.random((5, 41)) < np.array([0.9, 0.8, 0.7, 0.6, 0.85])[:, None]
        names = ("win", "a", "b", "c", "big")
        trials = [trial(n, r.mean(), r) for n, r in zip(names, right, strict=True)]
        table = baselines_of(chosen(["a", "b", "c"]), trials, goals(), 3)
        random, biggest = table.won

        gaps = right[0].mean() - right[1:4].mean(axis=1)
        images = right[0] - right[1:4].mean(axis=0)
        variance = ((images**2).sum() + 1 - images.sum() ** 2 / 43) / 43**2
        half = math.hypot(T2 * gaps.std(ddof=1) / math.sqrt(3), 1.959964 * math.sqrt(variance))
        assert random.mean == pytest.approx(gaps.mean(), abs=1e-12)
        assert (random.low, random.high) == pytest.approx(
            (gaps.mean() - half, gaps.mean() + half), abs=1e-7
        )
        assert random.n == 3
        assert "which 3 networks are drawn" in random.text
        assert "41 validation images" in random.text
        assert "It does not hold the noise of the winner's own training" in random.text

        more, fewer = (right[0] & ~right[4]).sum(), (~right[0] & right[4]).sum()
        b, c, m = more + 0.5, fewer + 0.5, 43  # Agresti and Min (2005), section 3
        half = 1.959964 * math.sqrt((b + c - (b - c) ** 2 / m) / m**2)
        gap = (more - fewer) / 41
        assert (biggest.mean, biggest.low, biggest.high) == pytest.approx(
            (gap, gap - half, gap + half), abs=1e-7
        )
        assert "It does not hold the noise of training: each network was trained once" in (
            biggest.text
        )

    def test_two_draws_have_the_sampling_of_images_only(self):
        win, a, b = [1, 1, 1, 0], [1, 0, 1, 0], [0, 0, 1, 0]
        trials = [trial("win", 0.75, win), trial("a", 0.5, a), trial("b", 0.25, b)]
        trials.append(trial("big", 0.75, win))
        random, biggest = baselines_of(chosen(["a", "b"]), trials, goals(), 2).won
        assert random.mean == pytest.approx(0.375)
        images = np.array([0.5, 1.0, 0.0, 0.0])
        half = 1.959964 * math.sqrt((1.25 + 1 - 1.5**2 / 6) / 36)
        assert (random.low, random.high) == pytest.approx((0.375 - half, 0.375 + half), abs=1e-6)
        assert interval_of(np.array([0.5, 0.25]), images) == (random.low, random.high)
        assert "does not hold the noise of training" in random.text
        assert biggest.mean == 0
        assert biggest.low < 0 < biggest.high, "equal outcomes leave an interval"

    def test_a_difference_of_everything_stays_within_100_points(self):
        trials = [trial("win", 1.0, [1] * 3), trial("big", 0.0, [0] * 3)]
        random, biggest = baselines_of(chosen([]), trials, goals(), 1).won
        assert biggest.high == 1.0
        assert math.isnan(random.mean)
        assert random.text == "No other network that fits was drawn."

    def test_another_objective_has_its_own_sign_and_no_images(self):
        values = {"win": 0.4, "a": 0.5, "b": 0.7, "c": 0.9, "big": 0.3}
        trials = [trial(n, v, objective="loss") for n, v in values.items()]
        random, biggest = baselines_of(chosen(["a", "b", "c"]), trials, goals("loss"), 3).won
        assert random.mean == pytest.approx(0.3)
        half = T2 * 0.2 / math.sqrt(3)
        assert (random.low, random.high) == pytest.approx((0.3 - half, 0.3 + half))
        assert random.text.endswith("trained anew once; nor the choice of images.")
        assert biggest.mean == pytest.approx(-0.1)
        assert math.isnan(biggest.low)
        assert biggest.text.startswith("No interval: ")


class TestFailures:
    def test_one_that_failed_is_named_and_left_out(self):
        trials = [
            trial("win", 1.0, [1, 1]), trial("a", 0.5, [1, 0]), trial("b", 0, state="not_finite"),
            trial("c", 0.5, [0, 1], violation="pgd@8 10% < 60%"), trial("big", 1.0, [1, 1]),
        ]  # fmt: skip
        table = baselines_of(chosen(["a", "b", "c"]), trials, goals(), 3)
        assert (table.won[0].n, table.won[0].mean) == (1, 0.5)
        assert "2 of 3 gave no number and are left out" in table.won[0].text
        by_name = {row.arch: row for row in table.rows}
        assert by_name["b"].message == "NonFiniteLossError: the loss became nan"
        assert by_name["c"].state == "infeasible"
        assert math.isnan(by_name["c"].value)

    @pytest.mark.parametrize(
        ("bad", "words"),
        [
            ("ab", "None of 2 random networks that fit gave a number, the first: NonFinite"),
            (["win"], "The winner's new training gave no accuracy (NonFiniteLossError: the"),
            (["big"], "The biggest network that fits gave no number: NonFiniteLossError"),
        ],
    )
    def test_where_all_failed_there_is_a_sentence_and_no_number(self, bad, words):
        trials = [
            trial(n, 0.5, [0, 1], state="not_finite" if n in bad else "done")
            for n in ("win", "a", "b", "big")
        ]
        won = baselines_of(chosen(["a", "b"]), trials, goals(), 2).won
        (row,) = {w.text: w for w in won if w.text.startswith(words)}.values()
        assert row.n == 0
        assert math.isnan(row.mean)

    def test_fewer_draws_than_asked_and_the_winner_as_the_biggest(self):
        trials = [trial("win", 1.0, [1, 1]), trial("a", 0.5, [1, 0])]
        table = baselines_of(chosen(["a"], "win", equal=2), trials, goals(), 4)
        assert "Only 1 of 4 could be drawn" in table.won[0].text
        assert table.won[1].same
        assert "nothing was won over size. 1 more is equally big" in table.won[1].text
        assert [r.role for r in table.rows] == ["winner", "random"]


def test_by_default_nothing_is_trained_and_nothing_is_said(plain):
    folder, result = plain
    assert stored(folder) == []
    assert result.baselines is None
    assert set(result.tables()) == {"trials"}
    assert "baselines" not in result.stages
    assert not (folder / "baselines.csv").exists()
    assert 'id="won"' not in render(result)
    with pytest.raises(UsageError, match="baselines must be at least 0"):
        SearchConfig(baselines=-1)


def test_draws_fit_are_random_and_are_no_trainings_of_the_search(plain, three):
    folder, result = three
    archs, winner = result.outcome.pool.archs, result.outcome.final.arch
    order = stream(0, "baselines").permutation(len(archs))
    expected = [archs[i] for i in order if archs[i] != winner][:3]
    rows = {t.key: t for t in stored(folder)}
    texts = [own.tiny.format(a) for a in expected]
    assert [r.arch for r in result.baselines.rows if r.role == "random"] == texts
    costs = result.outcome.book(archs)
    assert (costs.live_params <= 600).all()
    top = max(zip(costs.live_params.tolist(), costs.flops.tolist(), strict=True))
    biggest = next(a for a, p, f in zip(archs, *sizes(costs), strict=True) if (p, f) == top)
    assert set(rows) == {str(a) for a in (winner, biggest, *expected)}

    value = rows[str(expected[0])].value  # the same by hand
    job = Job(result.outcome.config, Resources(own.tiny))
    module, seed = job._build(expected[0], "baseline")
    assert seed == stream_seed(0, "baseline", *expected[0].genes)
    from foretell.training import get_recipe, train

    recipe = type(get_recipe("short"))(epochs=1)
    again = train(module, result.outcome.task, recipe, seed=seed, test=False)
    assert value["values"]["accuracy"] == again.val_accuracy
    right = np.unpackbits(np.frombuffer(bytes.fromhex(value["right"]), np.uint8))
    assert right[: value["images"]].mean() == again.val_accuracy
    mine = {t.key: t.value["curves"] for t in result.outcome.trials}
    assert all(row.value["curves"] != mine.get(key) for key, row in rows.items())


def sizes(costs):
    return costs.live_params.tolist(), costs.flops.tolist()


def test_a_resumed_run_trains_none_again_and_more_draws_keep_the_first(three, tmp_path):
    folder = shutil.copytree(three[0], tmp_path / "more")
    before = forked.finished(folder, STUDY)
    more = search(folder, baselines=4)
    now = forked.finished(folder, STUDY)
    assert {k: now[k] for k in before} == before
    first = three[1].baselines
    assert [r for r in more.baselines.rows if r.role == "random"][:3] == [
        r for r in first.rows if r.role == "random"
    ]
    off = search(folder)
    assert off.baselines is None
    assert not (folder / "baselines.csv").exists()


def test_read_csv_page_and_terminal_say_the_same(three):
    folder, result = three
    assert read(folder).baselines == result.baselines
    rows = list(csv.DictReader((folder / "baselines.csv").read_text().splitlines()))
    assert [r["role"] for r in rows][:4] == ["winner", "random", "random", "random"]
    assert [float(r["value"]) for r in rows] == [r.value for r in result.baselines.rows]
    won = list(csv.DictReader((folder / "won.csv").read_text().splitlines()))
    assert [r["over"] for r in won] == ["random", "biggest"]
    assert float(won[0]["mean"]) == result.baselines.won[0].mean
    page = render(result)
    assert 'id="won"' in page
    assert page.count("over 3 random networks that fit") >= 2
    from rich.console import Console

    console = Console(width=200)
    with console.capture() as shown:
        console.print(summary(result))
    assert "over 3 random networks that fit" in shown.get()


def test_a_kill_between_them_trains_none_twice(copy):
    def some():
        return len(forked.finished(copy, STUDY)) >= 2

    def search_slowly():
        search(copy, lambda job: InlineExecutor(Slow(job)), baselines=3)

    assert forked.run_for(search_slowly, condition=some) == -9
    before = forked.finished(copy, STUDY)
    assert before
    result = search(copy, baselines=3)
    now = forked.finished(copy, STUDY)
    assert {k: now[k] for k in before} == before
    assert len(now) == len({r.arch for r in result.baselines.rows})


class Slow:
    """Gives a kill the time to come between two trainings."""

    def __init__(self, job):
        self.job = job

    def __call__(self, payload):
        import time

        time.sleep(0.1)
        return self.job(payload)


def test_another_objective_is_measured_as_in_a_trial_and_the_failed_are_named(
    tmp_path, monkeypatch
):
    inner = Job._trial

    def failing(self, arch, payload):
        if payload.get("fresh") and arch.genes == (3, 0):
            raise ArithmeticError("no luck")
        return inner(self, arch, payload)

    monkeypatch.setattr(Job, "_trial", failing)
    result = search(
        tmp_path / "pgd", objectives=("fgsm@8",), searcher="random", baselines=7, trials=2,
        attack_images=10,
    )  # fmt: skip
    table = result.baselines
    assert result.outcome.pool.archs == ()
    ok = [t for t in stored(tmp_path / "pgd") if t.state == "done"]
    assert all("fgsm@8" in t.value["values"] for t in ok)
    bad = own.tiny.format(Arch("tiny", (3, 0)))
    (row,) = [r for r in table.rows if r.arch == bad]
    assert row.role == "random"
    assert row.message == "ArithmeticError: no luck"
    assert "1 of 7 gave no number and is left out" in table.won[0].text
    values = {r.role: r.value for r in table.rows}
    random = [r.value for r in table.rows if r.role == "random" and math.isfinite(r.value)]
    assert table.won[0].mean == pytest.approx(values["winner"] - np.mean(random))
    archs = [r.arch for r in table.rows if r.role != "biggest"]
    assert len(set(archs)) == len(archs)
    assert all(r.params <= 600 for r in table.rows)

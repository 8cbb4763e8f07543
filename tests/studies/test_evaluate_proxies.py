"""The evaluation of proxies against scipy and plain loops, on small tables."""

import re
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace as with_
from scipy import stats

from foretell.benchmarks import Metric, TableData, from_data
from foretell.data import load_task
from foretell.errors import (
    BenchmarkError,
    RunFolderError,
    StoreError,
    UnknownNameError,
    UsageError,
)
from foretell.metrics import unreachable
from foretell.spaces import get_space
from foretell.studies._base import Resources
from foretell.studies.evaluate_proxies.study import (
    ProxiesConfig,
    Recompute,
    evaluate_proxies,
    read,
    run,
)
from foretell.studies.run.session import reading

N = 160
SCIPY = {"kendall": stats.kendalltau, "spearman": stats.spearmanr, "pearson": stats.pearsonr}
SPACE = get_space("nb201")


def cells(n=N, seed=0):
    rng = np.random.default_rng(seed)
    return list(dict.fromkeys(SPACE.sample(rng) for _ in range(2 * n)))[:n]


def make(n=N, seed=0, space="nb201", drop=(), facts=None):
    """A table of two datasets, with two runs of the first third."""
    rng = np.random.default_rng(seed)
    archs = cells(n, seed)
    costs = SPACE.costs(archs, SPACE.skeleton())
    good = stats.rankdata(costs.live_params) / n + 0.2 * rng.normal(size=n)
    metrics, values = {}, {}

    def add(metric, block):
        if metric.key not in drop:
            metrics[metric.key], values[metric.key] = metric, np.asarray(block, dtype=np.float64)

    runs = 90 + good[:, None, None] + 0.1 * rng.normal(size=(n, 2, 3)) + np.arange(3)
    runs[n // 3 :, 1] = np.nan
    common = {"split": "test", "seeds": (0, 1), "epochs": (1, 2, 12)}
    add(Metric("test_accuracy", "a", "fraction", True, scale=0.01, **common), runs)
    add(Metric("train_accuracy", "a", "fraction", True, split="train"), runs[:, :1, :1])
    add(Metric("val_loss", "a", "nats", False, split="val"), -good[:, None, None])
    other = good + rng.normal(size=n)
    other[3] = np.nan
    add(Metric("val_accuracy", "b", "fraction", True, split="val"), other[:, None, None])
    for name, dataset, noise in (("nwot", "a", 0.3), ("nwot", "b", 0.6), ("zen", "a", 2.0)):
        score = good + noise * rng.normal(size=n)
        score[~costs.alive] = np.nan
        score[rng.integers(n, size=5)] = np.nan
        add(Metric(name, dataset, kind="proxy", higher_is_better=True), score[:, None, None])
    add(Metric("loss_guess", "a", kind="proxy", higher_is_better=False), -good[:, None, None])
    add(Metric("nwot_seconds", "a", "seconds", kind="cost"), np.full((n, 1, 1), 0.25))
    add(Metric("params", unit="count", kind="cost"), costs.params[:, None, None])
    genes = SPACE.genes(archs) if space == "nb201" else None
    texts = [SPACE.format(a) for a in archs]
    return from_data(TableData("small", texts, metrics, values, space, genes, facts or {}))


@pytest.fixture(scope="module")
def table():
    return make()


@pytest.fixture(scope="module")
def found(table):
    return evaluate_proxies(table, samples=100)


def place(found, population, proxy, target):
    return (
        found.populations.index(population),
        [p.name for p in found.proxies].index(proxy),
        [t.key for t in found.targets].index(target),
    )


def masks(truth):
    """The populations, written out plainly."""
    archs = cells()
    graphs = [SPACE.graph(a) for a in archs]
    first = {}
    for i, graph in enumerate(graphs):
        first.setdefault(graph.hash(), i)
    order = sorted((v for v in truth if v == v), reverse=True)
    return {
        "all": np.ones(N, dtype=bool),
        "alive": np.array([g.alive for g in graphs]),
        "no unreachable op": np.array([not unreachable(g) for g in graphs]),
        "deduplicated": np.array([i in first.values() for i in range(N)]),
        "top 100": np.array([v >= order[99] for v in truth]),
    }


def truth_of(table, key):
    return table.query(None, key, missing="nan")


def test_what_is_compared_by_default(found):
    assert [t.key for t in found.targets] == ["a/test_accuracy", "b/val_accuracy"]
    assert [p.name for p in found.proxies] == [
        *("nwot", "zen", "loss_guess"),
        *("params", "live_params", "sum_log_params", "flops"),
    ]
    assert [p.source for p in found.proxies] == ["table"] * 3 + ["baseline"] * 4
    assert found.populations == tuple(masks(np.zeros(N)))
    assert (found.n, found.total, found.kind, found.space) == (N, N, "kendall", "nb201")
    target = found.targets[0]
    assert (target.epochs, target.runs, target.known, target.turned) == (12, (1, 2), N, False)
    assert found.targets[1].known == N - 1
    assert found.notes == ("Not computed for b: zen, loss_guess.",)
    assert "100 resamples" in found.intervals


@pytest.mark.parametrize("kind", list(SCIPY))
def test_every_correlation_is_that_of_scipy(table, kind):
    found = evaluate_proxies(table, kind=kind, samples=0)
    costs = SPACE.costs(cells(), SPACE.skeleton())
    for t, target in enumerate(found.targets):
        truth = truth_of(table, target.key)
        for p, proxy in enumerate(found.proxies):
            if proxy.source == "baseline":
                score = np.asarray(getattr(costs, proxy.name), dtype=float)
            elif f"{target.dataset}/{proxy.name}" in table.metrics:
                sign = -1 if proxy.name == "loss_guess" else 1
                score = sign * truth_of(table, f"{target.dataset}/{proxy.name}")
            else:
                assert np.isnan(found.value[:, p, t]).all()
                assert (found.pairs[:, p, t] == 0).all()
                continue
            for k, (name, mask) in enumerate(masks(truth).items()):
                both = mask & ~np.isnan(score) & ~np.isnan(truth)
                theirs = SCIPY[kind](score[both], truth[both]).statistic
                assert found.value[k, p, t] == pytest.approx(theirs, abs=1e-9), (name, proxy.name)
                assert found.pairs[k, p, t] == both.sum()
                assert found.sizes[k, t] == (mask & ~np.isnan(truth)).sum()


def test_intervals_hold_the_value_and_come_from_the_seed(table, found):
    known = np.isfinite(found.value)
    assert (np.isfinite(found.low) == known).all()
    assert (found.low[known] <= found.value[known]).all()
    assert (found.value[known] <= found.high[known]).all()
    again = evaluate_proxies(table, samples=100)
    assert np.array_equal(again.low, found.low, equal_nan=True)
    other = evaluate_proxies(table, samples=100, seed=1)
    assert not np.array_equal(other.low, found.low, equal_nan=True)
    assert np.array_equal(other.value, found.value, equal_nan=True)
    wide = evaluate_proxies(table, samples=100, level=0.99)
    assert np.nanmean(wide.high - wide.low) > np.nanmean(found.high - found.low)


def test_a_pair_alone_says_the_same_as_among_many(table, found):
    """Neither the other targets nor the other proxies nor populations matter."""
    alone = evaluate_proxies(
        table, targets=["a/test_accuracy"], proxies=["nwot"], populations=["alive"], samples=100
    )
    k, p, t = place(found, "alive", "nwot", "a/test_accuracy")
    assert alone.value.shape == (1, 1, 1)
    for name in ("value", "pairs", "found", "rank", "favourite"):
        assert getattr(alone, name)[0, 0, 0] == pytest.approx(getattr(found, name)[k, p, t])


def test_first_choices_are_those_of_a_plain_loop(table, found):
    for t, target in enumerate(found.targets):
        truth = truth_of(table, target.key)
        for k, mask in enumerate(masks(truth).values()):
            for proxy in ("nwot", "params"):
                p = [q.name for q in found.proxies].index(proxy)
                key = f"{target.dataset}/nwot" if proxy == "nwot" else "params"
                score = truth_of(table, key)
                rows = [i for i in range(N) if mask[i] and truth[i] == truth[i]]
                scored = [i for i in rows if score[i] == score[i]]
                best = max(score[i] for i in scored)
                first = [i for i in scored if score[i] == best]
                value = sum(truth[i] for i in first) / len(first)
                assert found.favourite[k, p, t] == first[0]
                assert found.ties[k, p, t] == len(first)
                assert found.found[k, p, t] == pytest.approx(value)
                lost = max(truth[i] for i in rows) - value
                assert found.regret[k, p, t] == pytest.approx(lost)
                assert found.rank[k, p, t] == 1 + sum(truth[i] > value for i in rows)


def test_two_runs_of_the_same_networks_are_compared(table, found):
    k, _, t = place(found, "alive", "nwot", "a/test_accuracy")
    runs = table.read("a/test_accuracy")[:, :, -1]
    both = masks(runs[:, 0])["alive"] & ~np.isnan(runs).any(axis=1)
    theirs = stats.kendalltau(runs[both, 0], runs[both, 1]).statistic
    assert found.between_runs[k, t] == pytest.approx(theirs)
    assert found.between_runs_pairs[k, t] == both.sum()
    assert np.isnan(found.between_runs[:, 1]).all()
    assert np.isnan(found.between_runs[-1]).all()  # the best are chosen by these runs


def test_a_loss_is_turned_around(table):
    found = evaluate_proxies(table, targets=["val_loss"], samples=0)
    loss = truth_of(table, "a/val_loss")
    score = truth_of(table, "a/nwot")
    both = ~np.isnan(score)
    k, p, t = place(found, "all", "nwot", "a/val_loss")
    assert found.targets[0].turned
    assert found.value[k, p, t] == pytest.approx(
        stats.kendalltau(score, -loss, nan_policy="omit")[0]
    )
    assert found.found[k, p, t] == loss[np.nanargmax(score)]
    assert found.regret[k, p, t] == pytest.approx(loss[np.nanargmax(score)] - loss.min())
    assert found.targets[0].optimum == loss.min()
    assert both.sum() == found.pairs[k, p, t]


def test_targets_and_proxies_are_chosen_by_name_key_or_pattern(table):
    everything = evaluate_proxies(table, targets=["*"], samples=0)
    assert len(everything.targets) == 4
    both = evaluate_proxies(table, targets=["b/*", "*_loss"], proxies=["flops", "nwot"], samples=0)
    assert [t.key for t in both.targets] == ["b/val_accuracy", "a/val_loss"]
    assert [p.name for p in both.proxies] == ["nwot", "flops"]
    across = evaluate_proxies(table, targets=["b/*"], proxies=["a/zen", "zen"], samples=0)
    assert np.isfinite(across.value[:, 0]).all()
    assert np.isnan(across.value[:, 1]).all()


def test_missing_values_and_times_are_counted(table, found):
    nwot, zen = found.proxies[0], found.proxies[1]
    assert nwot.missing == {
        "a": int(np.isnan(truth_of(table, "a/nwot")).sum()),
        "b": int(np.isnan(truth_of(table, "b/nwot")).sum()),
    }
    assert set(zen.missing) == {"a"}
    assert nwot.seconds == 0.25
    assert np.isnan(zen.seconds)
    assert found.proxies[3].missing == {"a": 0, "b": 0}


def test_a_sample_is_drawn_by_the_seed(table):
    one = evaluate_proxies(table, n=50, samples=0)
    assert (one.n, one.total, len(one.texts)) == (50, N, 50)
    assert one.populations[-1] == "deduplicated"  # 50 networks have no top 100
    assert one.texts == evaluate_proxies(table, n=50, samples=0).texts
    assert one.texts != evaluate_proxies(table, n=50, samples=0, seed=1).texts
    truth = table.query(one.texts, "a/test_accuracy")
    score = table.query(one.texts, "a/nwot", missing="nan")
    theirs = stats.kendalltau(score, truth, nan_policy="omit").statistic
    assert one.value[place(one, "all", "nwot", "a/test_accuracy")] == pytest.approx(theirs)


def test_populations_are_chosen(table):
    found = evaluate_proxies(table, populations=["top 7", "alive"], samples=0)
    assert found.populations == ("alive", "top 7")
    assert found.sizes[1, 0] == 7


def test_a_table_without_a_space_has_what_is_left():
    found = evaluate_proxies(make(space="elsewhere"), samples=0)
    assert found.populations == ("all", "top 100")
    assert [p.name for p in found.proxies] == ["nwot", "zen", "loss_guess", "params"]
    assert found.skeleton == found.space == ""
    assert "not known here" in found.notes[0]
    with pytest.raises(UsageError, match="not known"):
        evaluate_proxies(make(space="elsewhere"), populations=["alive"])
    with pytest.raises(UsageError, match="no space"):
        evaluate_proxies(make(space="elsewhere"), recompute=Recompute("digits"))


def test_costs_of_the_table_stand_in_for_closed_forms():
    """They may differ by dataset; a file may say of a cost that lower is better."""
    rng = np.random.default_rng(0)
    size = rng.random((2, 30, 1, 1))
    metrics, values = {}, {}
    for i, dataset in enumerate("ab"):
        truth = Metric("accuracy", dataset, higher_is_better=True, split="test")
        flops = Metric("flops", dataset, kind="cost", higher_is_better=False)
        metrics |= {truth.key: truth, flops.key: flops}
        values |= {truth.key: size[i], flops.key: 100 * size[i]}
    table = from_data(TableData("t", [f"net {i}" for i in range(30)], metrics, values))
    found = evaluate_proxies(table, samples=0)
    assert [(p.name, p.source) for p in found.proxies] == [("flops", "baseline")]
    assert found.value == pytest.approx(np.ones((1, 1, 2)))


def test_a_column_that_says_what_the_closed_form_says_is_not_shown_twice():
    archs = cells()
    costs = SPACE.costs(archs, SPACE.skeleton())
    data = {"live_params": np.where(costs.alive, costs.live_params, np.nan), "flops": -costs.flops}
    metrics = {n: Metric(n, kind="proxy", higher_is_better=True) for n in data}
    metrics["accuracy"] = Metric("accuracy", unit="fraction", higher_is_better=True, split="test")
    values = {n: np.asarray(v, dtype=float)[:, None, None] for n, v in data.items()}
    values["accuracy"] = np.linspace(0, 1, N)[:, None, None]
    texts = [SPACE.format(a) for a in archs]
    table = from_data(TableData("t", texts, metrics, values, "nb201", SPACE.genes(archs)))
    names = [p.name for p in evaluate_proxies(table, samples=0).proxies]
    assert names == ["flops (table)", "params", "live_params", "sum_log_params", "flops"]
    asked = evaluate_proxies(table, proxies=["live_params"], samples=0).proxies
    assert [p.name for p in asked] == ["live_params (table)", "live_params"]


def test_the_skeleton_comes_from_the_table():
    facts = {"skeleton": "8 channels, 1 cell in each of three stages, 1x8x8 images, 7 classes"}
    found = evaluate_proxies(make(facts=facts), samples=0)
    assert found.skeleton == "1x8x8, 8 channels, 1 cells"
    assert evaluate_proxies(make(), samples=0).skeleton == "3x32x32, 16 channels, 5 cells"


def test_sizes_tell_networks_of_equal_graphs_apart():
    """In the size space every network has the same cell."""
    space = get_space("size")
    rng = np.random.default_rng(0)
    archs = list(dict.fromkeys(space.sample(rng) for _ in range(60)))
    metrics = {"accuracy": Metric("accuracy", higher_is_better=True, split="test")}
    values = {"accuracy": rng.random((len(archs), 1, 1))}
    texts = [space.format(a) for a in archs]
    table = from_data(TableData("s", texts, metrics, values, "size", space.genes(archs)))
    found = evaluate_proxies(table, samples=0)
    assert found.sizes[found.populations.index("deduplicated"), 0] > 50


def test_tables_for_files_have_a_row_each(found):
    rows = found.correlations()
    lengths = {len(v) for v in rows.values()}
    assert lengths == {found.value.size}
    i = rows["proxy"].index("zen")
    assert rows["kendall"][i] == found.value.ravel()[i]
    assert rows["population"][i] == "all"
    assert set(rows["runs"]) == {"1-2", "1"}
    chosen = found.favourites()
    assert len(chosen["arch"]) == (found.favourite >= 0).sum()
    assert set(chosen["arch"]) <= set(found.texts)


def test_the_order_is_by_the_highest_coefficient(found):
    order = found.order(1, 0)
    values = found.value[1, order, 0]
    assert (np.diff(values[np.isfinite(values)]) <= 0).all()


def test_truth_without_any_value_gives_nothing():
    empty = make()
    data = TableData(
        "e",
        list(empty.texts),
        {
            "accuracy": Metric("accuracy", higher_is_better=True, split="test"),
            "guess": Metric("guess", kind="proxy", higher_is_better=True),
        },
        {"accuracy": np.full((N, 1, 1), np.nan), "guess": np.full((N, 1, 1), np.nan)},
    )
    found = evaluate_proxies(from_data(data), samples=10)
    assert np.isnan(found.value).all()
    assert (found.favourite == -1).all()
    assert (found.sizes == 0).all()
    assert (found.targets[0].known, found.targets[0].runs) == (0, (0, 0))
    assert np.isnan(found.targets[0].optimum)


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"targets": ["b/val_acuracy"]}, UnknownNameError, "did you mean b/val_accuracy"),
        ({"targets": ["nwot"]}, UnknownNameError, "target"),
        ({"proxies": ["nwt"]}, UnknownNameError, "did you mean nwot"),
        ({"populations": ["best"]}, UsageError, "all, alive, no unreachable op"),
        ({"populations": ["top 0"]}, UsageError, "top 100"),
        ({"kind": "tau"}, UnknownNameError, "kendall"),
        ({"samples": -1}, UsageError, "samples >= 0"),
        ({"level": 1.0}, UsageError, "level"),
        ({"n": 1}, UsageError, "2 to 160"),
        ({"n": 161}, UsageError, "2 to 160"),
    ],
)
def test_what_cannot_be_asked_is_refused(table, options, error, words):
    with pytest.raises(error, match=words):
        evaluate_proxies(table, **options)


def test_tables_without_truth_or_proxies_are_refused():
    with pytest.raises(BenchmarkError, match="no accuracy"):
        evaluate_proxies(make(drop=("a/test_accuracy", "b/val_accuracy")))
    bare = make(space="x", drop=("a/nwot", "b/nwot", "a/zen", "a/loss_guess", "params"))
    with pytest.raises(UsageError, match="no proxy"):
        evaluate_proxies(bare)


def test_the_example_of_the_docs_runs(capsys):
    page = Path(__file__).resolve().parents[2] / "docs" / "evaluation.md"
    (block,) = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.S)
    exec(compile(block, page.name, "exec"), {})
    names, shape = capsys.readouterr().out.splitlines()
    assert names == "['params', 'live_params', 'sum_log_params', 'flops']"
    assert shape.endswith("(4, 4, 1)")


def test_proxies_are_timed_where_the_table_does_not_say(table):
    facts = {"skeleton": "8 channels, 1 cell, 1x8x8 images"}
    found = evaluate_proxies(make(facts=facts), samples=0, time=2)
    seconds = {p.name: p.seconds for p in found.proxies}
    assert seconds["nwot"] == 0.25  # as the table says
    assert 1e-4 < seconds["zen"] < 60
    assert np.isnan(seconds["loss_guess"])  # unknown here
    assert 0 < seconds["params"] == seconds["flops"] < seconds["zen"]
    assert "median of 2 networks, 2 batches of 64 images of 1x8x8" in found.notes[0]
    with pytest.raises(UsageError, match="to time"):
        evaluate_proxies(table, time=-1)


class TestRecompute:
    """Own proxies beside the table's, and going on after a stop."""

    def test_own_scores_stand_beside_the_published(self, table, tmp_path):
        from foretell.proxies import make_batches, score

        config = ProxiesConfig(
            data="digits", batch_size=16, proxies=("nwot", "params", "snip"), n=12, bootstrap=0,
            seed=3,
        )  # fmt: skip
        seen = []
        found = run(config, tmp_path, resources=Resources(benchmark=table), on_progress=seen.append)
        names = [(p.name, p.source) for p in found.proxies]
        assert names == [
            ("nwot", "table"),
            ("params", "baseline"),
            ("nwot (own)", "own"),
            ("snip (own)", "own"),
        ]
        assert (seen[-1].stage, seen[-1].done, seen[-1].total) == ("score", 12, 12)
        assert "1x8x8" in found.data
        assert "seed 3" in found.data
        task = load_task("digits", seed=3)
        archs = [SPACE.parse(t) for t in found.texts]
        batches = make_batches(task, batch_size=16, count=2, seed=3)
        skeleton = SPACE.skeleton(task.input_shape, task.classes)
        mine = score(archs, ["snip"], batches, skeleton=skeleton, seed=3).column("snip")
        truth = table.query(found.texts, "a/test_accuracy")
        theirs = stats.kendalltau(mine, truth, nan_policy="omit").statistic
        at = place(found, "all", "snip (own)", "a/test_accuracy")
        assert found.value[at] == pytest.approx(theirs)
        again = run(config, tmp_path, resources=Resources(benchmark=table))
        assert np.array_equal(again.value, found.value, equal_nan=True)
        assert again.notes == found.notes  # seconds included: nothing was computed again
        alone = evaluate_proxies(
            table,
            proxies=["nwot", "params", "snip"],
            n=12,
            samples=0,
            seed=3,
            recompute=Recompute("digits", batch_size=16),
        )
        assert np.array_equal(alone.value, found.value, equal_nan=True)

    def test_it_goes_on_where_it_stopped(self, table, tmp_path, monkeypatch):
        config = ProxiesConfig(data="digits", batch_size=16, proxies=("snip",), n=6, bootstrap=0)

        def stop(progress):
            if progress.done == 3:
                raise KeyboardInterrupt

        here = {"resources": Resources(benchmark=table)}
        with pytest.raises(KeyboardInterrupt):
            run(config, tmp_path, **here, on_progress=stop)
        half = read(tmp_path)
        assert [p.name for p in half.proxies] == ["snip (own)"]
        assert half.proxies[0].missing["a"] >= 3
        assert half.notes[0] == "3 of 6 networks have no own proxies yet."
        told = []
        kept = run(config, tmp_path, **here, on_progress=told.append)
        assert [p.done for p in told] == [3, 4, 5, 6]
        with reading(tmp_path, "evaluate_proxies") as store:
            trials = store.trials("evaluate_proxies")
        assert [(t.state, t.attempts) for t in trials] == [("done", 1)] * 6
        plain = evaluate_proxies(
            table, proxies=["snip"], n=6, samples=0, recompute=Recompute("digits", batch_size=16)
        )
        assert np.array_equal(kept.value, plain.value, equal_nan=True)

    def test_while_they_are_computed_all_that_is_there_can_be_read(self, table, tmp_path):
        config = ProxiesConfig(data="digits", batch_size=16, proxies=("nwot",), n=6, bootstrap=0)

        def look(progress):
            half = read(tmp_path)
            assert [p.name for p in half.proxies] == ["nwot", "nwot (own)"]
            waiting = sum("no own proxies yet" in note for note in half.notes)
            assert waiting == (progress.done < 6)

        found = run(config, tmp_path, resources=Resources(benchmark=table), on_progress=look)
        assert repr(read(tmp_path).tables()) == repr(found.tables())

    def test_more_networks_populations_and_targets_go_on(self, table, tmp_path):
        config = ProxiesConfig(data="digits", batch_size=16, proxies=("snip",), n=3, bootstrap=0)
        here = {"resources": Resources(benchmark=table)}
        run(config, tmp_path, **here)
        told = []
        more = with_(config, n=5, populations=("all",), targets=("b/*",), metric="spearman")
        found = run(more, tmp_path, **here, on_progress=told.append)
        assert [p.done for p in told] == [3, 4, 5]
        assert found.value.shape == (1, 1, 1)
        assert found.kind == "spearman"

    def test_other_settings_or_a_damaged_file_are_refused(self, table, tmp_path):
        config = ProxiesConfig(data="digits", batch_size=16, proxies=("snip",), n=2, bootstrap=0)
        here = {"resources": Resources(benchmark=table)}
        run(config, tmp_path, **here)
        for name, value in (("proxies", ("grad_norm",)), ("batch_size", 8), ("seed", 1)):
            with pytest.raises(RunFolderError, match=f"with {name} "):
                run(with_(config, **{name: value}), tmp_path, **here)
        (tmp_path / "study.db").write_text("not json")
        with pytest.raises(StoreError, match=r"study\.db"):
            run(config, tmp_path, **here)

    def test_by_default_every_registered_proxy_but_the_baselines(self, table):
        from foretell.proxies import proxies

        found = evaluate_proxies(
            table, n=2, samples=0, recompute=Recompute(load_task("digits"), batch_size=8)
        )
        own = [p.name.removesuffix(" (own)") for p in found.proxies if p.source == "own"]
        free = {p.name for p in found.proxies if p.source == "baseline"}
        assert set(own) == set(proxies.names()) - free

    def test_unknown_names_are_refused(self, table):
        with pytest.raises(UnknownNameError, match="did you mean"):
            evaluate_proxies(table, proxies=["snipp"], recompute=Recompute("digits"))

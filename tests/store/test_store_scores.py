import math
import sqlite3

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from foretell.errors import StudyConflictError, UsageError
from foretell.store import _scores
from foretell.store._codec import pack, unpack


def back(values: np.ndarray, *, exact: bool = False) -> np.ndarray:
    out = np.full(values.shape, -1.0)
    unpack(pack(values, exact=exact), out)
    return out


def test_scores_come_back_in_order(store):
    rng = np.random.default_rng(0)
    values = rng.normal(size=(7, 3)).astype(np.float32)
    store.put_scores("s", "proxies", list("abcdefg"), ["x", "y", "z"], values)
    table = store.scores("s", "proxies")
    keys, names, found = table
    assert keys == tuple("abcdefg")
    assert names == ("x", "y", "z")
    assert found.dtype == np.float64
    np.testing.assert_array_equal(found, values)
    assert store.score_kinds("s") == ("proxies",)


def test_nothing_stored_is_an_empty_table(store):
    table = store.scores("s", "proxies")
    assert table.keys == table.names == ()
    assert table.values.shape == (0, 0)
    store.put_scores("s", "proxies", [], ["x", "y"], np.empty((0, 2)))
    assert store.scores("s", "proxies").names == ("x", "y")
    assert store.scores("s", "proxies").values.shape == (0, 2)


def test_rows_are_appended_and_blocks_are_split(store, monkeypatch):
    monkeypatch.setattr(_scores, "_ROWS", 4)
    values = np.arange(22.0).reshape(11, 2)
    keys = [f"k{i}" for i in range(11)]
    store.put_scores("s", "p", keys[:9], ["a", "b"], values[:9])
    store.put_scores("s", "p", keys[9:], ["a", "b"], values[9:])
    rows = [r for (r,) in store._db.read("SELECT rows FROM score_blocks ORDER BY id")]
    assert rows == [4, 4, 1, 2]
    table = store.scores("s", "p")
    assert table.keys == tuple(keys)
    np.testing.assert_array_equal(table.values, values)


def test_very_wide_tables_get_short_blocks(store, monkeypatch):
    monkeypatch.setattr(_scores, "_VALUES", 10)
    values = np.arange(12.0).reshape(3, 4)
    store.put_scores("s", "p", list("abc"), list("wxyz"), values)
    assert store._db.read("SELECT count(*) FROM score_blocks") == [(2,)]
    np.testing.assert_array_equal(store.scores("s", "p").values, values)


def test_a_key_written_again_replaces_its_row(store):
    store.put_scores("s", "p", ["a", "b"], ["x"], [[1], [2]])
    store.put_scores("s", "p", ["c", "a"], ["x"], [[3], [4]])
    table = store.scores("s", "p")
    assert dict(zip(table.keys, table.values[:, 0], strict=True)) == {"a": 4, "b": 2, "c": 3}
    assert table.keys == ("a", "b", "c")


def test_kinds_are_separate_and_keep_their_names(store):
    store.put_scores("s", "p", ["a"], ["x"], [[1]])
    store.put_scores("s", "q", ["a"], ["x", "y"], [[1, 2]])
    with pytest.raises(StudyConflictError, match=r"under the names x, but got x, y.*another kind"):
        store.put_scores("s", "p", ["b"], ["x", "y"], [[1, 2]])
    assert store.scores("s", "p").keys == ("a",)
    assert store.score_kinds("s") == ("p", "q")


@pytest.mark.parametrize("shape", [(2, 2), (3,), (3, 3), (0, 0)])
def test_shapes_must_fit(store, shape):
    with pytest.raises(UsageError, match=r"\(3, 2\), but got"):
        store.put_scores("s", "p", list("abc"), list("xy"), np.zeros(shape))
    assert store.score_kinds("s") == ()


def test_an_error_in_a_later_block_leaves_nothing(store, monkeypatch):
    monkeypatch.setattr(_scores, "_ROWS", 1)
    real, calls = _scores.pack, []

    def fails_at_the_third(values, *, exact):
        calls.append(1)
        if len(calls) == 3:
            raise MemoryError
        return real(values, exact=exact)

    monkeypatch.setattr(_scores, "pack", fails_at_the_third)
    with pytest.raises(MemoryError):
        store.put_scores("s", "p", list("abcd"), ["x"], np.zeros((4, 1)))
    assert store.score_kinds("s") == ()
    assert store._db.read("SELECT count(*) FROM score_blocks") == [(0,)]


def test_not_a_number_and_infinities_stay(store):
    values = [[math.nan, math.inf, -math.inf, -0.0]]
    store.put_scores("s", "p", ["a"], list("wxyz"), values)
    found = store.scores("s", "p").values
    np.testing.assert_array_equal(found, values)
    assert np.signbit(found[0, 3])
    assert store._db.read("SELECT types FROM score_blocks") == [("ffff",)]


def test_each_column_gets_the_type_that_holds_it(store):
    """Synflow passes float32's range, small losses its lower end, flops its whole numbers."""
    rows = np.array(
        [
            # accuracy, synflow, tiny, subnormal, params, flops, huge infinite, ids
            [0.1, 3.7e49, 1e-300, 1e-40, 344346, 150_123_457, math.inf, 2.0],
            [0.2, 1.1, 0.0, 0.5, 73306, 7_783_051, 1.0, math.nan],
        ]
    )
    names = ["accuracy", "synflow", "tiny", "subnormal", "params", "flops", "infinite", "ids"]
    store.put_scores("s", "p", ["a", "b"], names, rows)
    assert store._db.read("SELECT types FROM score_blocks") == [("fdddfdff",)]
    found = store.scores("s", "p").values
    exact = [1, 2, 3, 4, 5, 6, 7]
    np.testing.assert_array_equal(found[:, exact], rows[:, exact])
    np.testing.assert_allclose(found[:, 0], rows[:, 0], rtol=6e-8, atol=0)


def test_exact_keeps_every_bit(store):
    values = np.random.default_rng(0).normal(size=(5, 2))
    store.put_scores("s", "p", list("abcde"), ["x", "y"], values, exact=True)
    np.testing.assert_array_equal(store.scores("s", "p").values, values)


FLOATS = st.floats(width=64, allow_nan=True, allow_infinity=True)
MATRICES = hnp.arrays(
    np.float64, hnp.array_shapes(min_dims=2, max_dims=2, min_side=0, max_side=6), elements=FLOATS
)


@settings(max_examples=200, deadline=None)
@given(MATRICES)
@example(np.array([[5.7658522943641296e-39]]))  # float32 has fewer bits left there
def test_no_number_moves_by_more_than_float32_rounding(values):
    found = back(values)
    finite = np.isfinite(values)
    np.testing.assert_array_equal(found[~finite], values[~finite])
    np.testing.assert_allclose(found[finite], values[finite], rtol=6e-8, atol=0)
    np.testing.assert_array_equal(back(values, exact=True), values)
    np.testing.assert_array_equal(back(found), found)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(-(2**53), 2**53), min_size=1, max_size=8))
def test_whole_numbers_stay_whole(numbers):
    values = np.array(numbers, dtype=np.float64)[:, None]
    np.testing.assert_array_equal(back(values), values)


@settings(max_examples=50, deadline=None)
@given(MATRICES)
def test_order_is_kept_up_to_ties(values):
    """Ranks, which searchers use, never turn around."""
    found = back(values)
    for before, after in zip(values.T, found.T, strict=True):
        order = np.argsort(before, kind="stable")
        kept = after[order]
        kept = kept[~np.isnan(kept)]
        assert (kept[1:] >= kept[:-1]).all()


def test_integers_and_lists_are_taken(store):
    store.put_scores("s", "p", ["a"], ["x"], np.array([[3]]))
    store.put_scores("s", "p", ("b",), ("x",), [[4]])
    assert store.scores("s", "p").values.tolist() == [[3.0], [4.0]]


def test_any_text_is_a_key(store):
    keys = ["|nor_conv_3x3~0|+", 'quote"', "new\nline", "ü", "", "\udcff"]
    store.put_scores("s", "p", keys, ["x"], np.zeros((6, 1)))
    assert store.scores("s", "p").keys == tuple(keys)


def test_a_reader_in_another_program_needs_no_foretell(store):
    """The layout that the documentation states, read by hand."""
    values = np.array([[1.5, 1e49], [2.5, 2e49]])
    store.put_scores("s", "p", ["a", "b"], ["x", "y"], values)
    raw = sqlite3.connect(store.path)
    rows, types, data = raw.execute("SELECT rows, types, data FROM score_blocks").fetchone()
    assert (rows, types) == (2, "fd")
    np.testing.assert_array_equal(np.frombuffer(data[:8], "<f4"), [1.5, 2.5])
    np.testing.assert_array_equal(np.frombuffer(data[8:], "<f8"), [1e49, 2e49])
    raw.close()

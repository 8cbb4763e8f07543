import math

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from foretell.errors import StudyConflictError, UnknownNameError, UsageError
from foretell.store import Store, Study

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4)
    ),
    max_leaves=6,
)


def test_put_study_says_whether_it_was_there(store, clock):
    clock.time = 5.0
    config = {"space": "nb201", "lr": 0.1, "pool": [1, 2]}
    assert store.put_study("a", config) is False
    clock.time = 9.0
    assert store.put_study("a", dict(reversed(config.items()))) is True, "order does not matter"
    assert store.put_study("a", {**config, "pool": (1, 2)}) is True, "JSON knows no tuples"
    assert store.study("a") == Study("a", config, created=5.0)
    assert [s.name for s in store.studies()] == ["s", "a"]


def test_another_configuration_is_refused_and_named(store):
    with pytest.raises(StudyConflictError, match="seed: stored 0, asked for 1") as caught:
        store.put_study("s", {"seed": 1})
    assert "repeat the stored one to resume" in str(caught.value)
    assert store.study("s").config == {"seed": 0}
    with pytest.raises(StudyConflictError, match="lr: stored nothing, asked for 1"):
        store.put_study("s", {"seed": 0, "lr": 1})
    with pytest.raises(StudyConflictError, match="seed: stored 0, asked for nothing"):
        store.put_study("s", {})
    many = {f"option{i}": "long " * 40 for i in range(9)}
    with pytest.raises(StudyConflictError, match=r"and 6 more") as caught:
        store.put_study("s", {"seed": 0, **many})
    assert len(str(caught.value)) < 500


def test_nan_in_a_configuration_equals_itself(store):
    store.put_study("n", {"x": math.nan})
    assert store.put_study("n", {"x": math.nan}) is True


def test_an_unknown_study_is_a_typed_error_everywhere(store):
    calls = [
        lambda: store.study("t"),
        lambda: store.add_trials("t", [("k", 1)]),
        lambda: store.claim("t", "me"),
        lambda: store.release("me", "t"),
        lambda: store.release_dead("t"),
        lambda: store.retry("t", ["failed"]),
        lambda: store.trials("t"),
        lambda: store.counts("t"),
        lambda: store.put_scores("t", "p", [], [], np.empty((0, 0))),
        lambda: store.scores("t", "p"),
        lambda: store.score_kinds("t"),
        lambda: store.put_value("t", "k", 1),
        lambda: store.value("t", "k"),
        lambda: store.values("t"),
    ]
    for call in calls:
        with pytest.raises(UnknownNameError, match="Unknown study 't'") as caught:
            call()
        assert caught.value.known == ("s",)


def test_values_are_replaced_and_listed(store):
    assert store.value("s", "k") is None
    assert store.value("s", "k", 7) == 7
    store.put_value("s", "k", {"accuracy": 0.5})
    store.put_value("s", "k", {"accuracy": 0.75})
    store.put_value("s", "a", None)
    assert store.value("s", "k") == {"accuracy": 0.75}
    assert store.value("s", "a", 7) is None, "a stored None is a value"
    assert store.values("s") == {"a": None, "k": {"accuracy": 0.75}}
    assert list(store.values("s")) == ["a", "k"]


def test_studies_do_not_see_each_others_things(store):
    store.put_study("t", {})
    store.put_value("s", "k", 1)
    store.add_trials("s", [("k", 1)])
    store.put_scores("s", "p", ["k"], ["n"], [[1]])
    assert store.values("t") == {}
    assert store.trials("t") == []
    assert store.claim("t", "me") == []
    assert store.scores("t", "p").keys == ()
    assert store.score_kinds("t") == ()


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(JSON, st.text(max_size=5))
def test_any_json_comes_back(store: Store, value, key):
    store.put_value("s", key, value)
    assert store.value("s", key) == value


def test_special_numbers_and_numpy_scalars_come_back(store):
    store.put_value("s", "k", [math.nan, math.inf, -math.inf, np.float32(0.5), np.int64(2**60)])
    nan, *rest = store.value("s", "k")
    assert math.isnan(nan)
    assert rest == [math.inf, -math.inf, 0.5, 2**60]
    store.put_value("s", "k", np.bool_(True))
    assert store.value("s", "k") is True


def test_undecodable_characters_in_json_come_back(store):
    store.put_value("s", "k", "\udcff\x00")
    assert store.value("s", "k") == "\udcff\x00"


@pytest.mark.parametrize("value", [np.zeros(3), {1, 2}, object(), b"bytes", {(1, 2): 3}])
def test_what_is_no_json_is_refused(store, value):
    with pytest.raises(UsageError, match="value 'k' cannot be stored as JSON"):
        store.put_value("s", "k", value)
    with pytest.raises(UsageError, match="configuration of the study 'x'"):
        store.put_study("x", {"a": value})
    loop: list[object] = []
    loop.append(loop)
    with pytest.raises(UsageError):
        store.put_value("s", "k", loop)
    assert store.values("s") == {}

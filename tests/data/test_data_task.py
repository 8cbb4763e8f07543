"""Splits, statistics, fingerprints and the checks of make_task."""

import dataclasses
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foretell.data import Split, Task, make_task, stratified_sample
from foretell.data._base import channel_statistics, fraction_of
from foretell.errors import EmptySplitError, LabelError, OneClassError


def split(labels, seed=0, dtype=np.uint8, shape=(3, 4, 5)):
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (len(labels), *shape), dtype=np.uint8)
    if dtype != np.uint8:
        images = (images / 255).astype(dtype)
    return Split(images, np.array(labels, dtype=np.int64))


def rows(part):
    return {image.tobytes() for image in part.images}


def test_parts_are_disjoint_complete_and_class_balanced():
    labels = [0] * 50 + [1] * 30 + [2] * 20
    whole = split(labels)
    task = make_task("t", whole)
    parts = (task.train, task.val, task.test)
    assert [len(p) for p in parts] == [64, 16, 20]
    assert set().union(*map(rows, parts)) == rows(whole)
    assert sum(len(rows(p)) for p in parts) == 100
    assert np.bincount(task.test.labels).tolist() == [10, 6, 4]
    assert np.bincount(task.val.labels).tolist() == [8, 5, 3]
    by_pixels = {i.tobytes(): k for i, k in zip(whole.images, whole.labels, strict=True)}
    for part in parts:
        assert [by_pixels[i.tobytes()] for i in part.images] == part.labels.tolist()


def test_order_is_random_so_that_a_first_batch_shows_every_class():
    task = make_task("t", split([0] * 50 + [1] * 50))
    assert len(set(task.train.labels[:16].tolist())) == 2


def test_same_seed_same_splits_other_seed_other_splits():
    whole = split([0, 1] * 50)
    first, again, other = (make_task("t", whole, seed=s) for s in (1, 1, 2))
    assert first.fingerprint == again.fingerprint
    assert first.fingerprint != other.fingerprint
    assert rows(first.test) != rows(other.test)


def test_given_parts_are_kept_and_only_missing_ones_drawn():
    train, test = split([0, 1] * 20), split([0, 1] * 5, seed=1)
    task = make_task("t", train, test=test)
    assert rows(task.test) == rows(test)
    assert [len(task.train), len(task.val)] == [32, 8]
    val = split([0, 1] * 3, seed=2)
    task = make_task("t", train, val, test)
    assert rows(task.train) == rows(train)
    assert rows(task.val) == rows(val)


def test_limit_keeps_class_balance_and_a_quarter_for_the_other_parts():
    task = make_task("t", split([0] * 600 + [1] * 200), limit=40)
    assert [len(p) for p in (task.train, task.val, task.test)] == [40, 10, 10]
    assert np.bincount(task.train.labels).tolist() == [30, 10]
    whole = make_task("t", split([0] * 6 + [1] * 6), limit=1000)
    assert len(whole.train) + len(whole.val) + len(whole.test) == 12


@given(
    st.lists(st.integers(0, 4), min_size=2, max_size=80),
    st.floats(0, 1),
    st.integers(0, 5),
)
def test_stratified_sample_laws(labels, share, seed):
    array = np.array(labels)
    count = round(share * len(array))
    drawn, left = stratified_sample(array, count, np.random.default_rng(seed))
    assert sorted([*drawn, *left]) == list(range(len(array)))
    names, sizes = np.unique(array, return_counts=True)
    if count in (0, len(array)):
        assert len(drawn) == count
        return
    slack = 0
    for name, size in zip(names, sizes, strict=True):
        mine = int((array[drawn] == name).sum())
        fair = count * size / len(array)
        assert abs(mine - fair) <= 1
        if size > 1:
            assert 1 <= mine < size
            slack += 1
    assert abs(len(drawn) - count) <= slack


def test_stratified_sample_is_exact_where_no_class_is_scarce():
    labels = np.repeat(np.arange(7), [31, 17, 40, 23, 11, 29, 19])
    for count in (10, 33, 85, 160):
        drawn, _ = stratified_sample(labels, count, np.random.default_rng(0))
        assert len(drawn) == count


def test_fraction_of():
    assert [fraction_of(n) for n in (2, 9, 10, 1797, 60000)] == [1, 1, 2, 359, 5000]


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_mean_and_std_are_those_of_the_training_images(dtype):
    task = make_task("t", split([0, 1] * 1200, dtype=dtype))
    scale = 255 if dtype == np.uint8 else 1
    flat = task.train.images.astype(np.float64).transpose(1, 0, 2, 3).reshape(3, -1) / scale
    np.testing.assert_allclose(task.mean, flat.mean(axis=1), rtol=1e-12)
    np.testing.assert_allclose(task.std, flat.std(axis=1), rtol=1e-12)


def test_a_channel_that_never_varies_has_std_one():
    images = np.full((10, 2, 3, 3), 7, dtype=np.uint8)
    images[:, 1] = np.arange(10, dtype=np.uint8)[:, None, None]
    mean, std = channel_statistics(images)
    assert std[0] == 1
    assert mean[0] == pytest.approx(7 / 255)
    assert std[1] == pytest.approx(np.arange(10).std() / 255)


def test_fingerprint_sees_every_change():
    task = make_task("t", split([0, 1] * 20))
    seen = {task.fingerprint}
    for part in ("train", "val", "test"):
        old = getattr(task, part)
        images, labels = old.images.copy(), old.labels.copy()
        images[0, 0, 0, 0] ^= 1
        labels[0] ^= 1
        for new in (Split(images, old.labels), Split(old.images, labels)):
            seen.add(dataclasses.replace(task, **{part: new}).fingerprint)
    for change in ({"class_names": ("a", "b")}, {"flip": True}, {"crop": 2}):
        seen.add(dataclasses.replace(task, **change).fingerprint)
    assert len(seen) == 10
    assert all(len(f) == 16 and int(f, 16) >= 0 for f in seen)
    assert dataclasses.replace(task, name="other").fingerprint == task.fingerprint


def test_fingerprint_ignores_memory_layout_and_survives_pickling():
    task = make_task("t", split([0, 1] * 20))
    turned = np.asfortranarray(task.train.images)
    assert (
        dataclasses.replace(task, train=Split(turned, task.train.labels)).fingerprint
        == task.fingerprint
    )
    assert pickle.loads(pickle.dumps(task)).fingerprint == task.fingerprint


def test_facts_and_repr():
    task = make_task("mine", split([0, 1] * 20), class_names=["cat", "dog"], flip=True, crop=2)
    assert task.input_shape == (3, 4, 5)
    assert task.classes == 2
    assert task.class_names == ("cat", "dog")
    assert repr(task) == (
        "Task('mine', train/val/test 26/6/8, shape (3, 4, 5), 2 classes, flip=True, crop=2)"
    )
    with pytest.raises(dataclasses.FrozenInstanceError):
        task.name = "x"  # type: ignore[misc]


def test_make_task_does_not_change_what_it_is_given():
    whole = split([0, 1] * 20)
    before = whole.images.copy(), whole.labels.copy()
    task = make_task("t", whole)
    assert isinstance(task, Task)
    np.testing.assert_array_equal(whole.images, before[0])
    np.testing.assert_array_equal(whole.labels, before[1])
    assert not np.shares_memory(whole.images, task.train.images)


def test_class_names_may_name_classes_without_images():
    assert make_task("t", split([0, 2] * 20), class_names="abcd").classes == 4


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"train": split([1] * 20)}, OneClassError, "only one class, '1'"),
        ({"train": split([])}, EmptySplitError, "training part of 't' has no image"),
        ({"train": split([0, 1] * 9), "val": split([])}, EmptySplitError, "validation part"),
        ({"train": split([0, 1] * 9), "test": split([])}, EmptySplitError, "test part"),
        ({"train": split([0] * 9 + [1] * 2)}, EmptySplitError, r"has 2 image\(s\), but 3"),
        (
            {"train": split([0] * 9 + [1]), "test": split([0, 1])},
            EmptySplitError,
            r"has 1 image\(s\), but 2",
        ),
        ({"train": split([0, 1] * 9), "class_names": ["a"]}, LabelError, "there are 1 class"),
        ({"train": split([0, -1] * 9)}, LabelError, "from -1 to 0"),
        ({"train": split([0, 1] * 9), "test": split([0, 2])}, LabelError, "from 0 to 2"),
        (
            {"train": split([0, 1] * 9), "test": split([0, 2]), "class_names": "abc"},
            LabelError,
            "'c', of which there is no training image",
        ),
        (
            {"train": split([0, 1] * 9), "val": split([2]), "class_names": "abc"},
            LabelError,
            "validation part of 't' shows the class 'c'",
        ),
    ],
)
def test_bad_splits(arguments, error, words):
    with pytest.raises(error, match=words):
        make_task("t", **arguments)

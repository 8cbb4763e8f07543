"""Digits in clutter: made by a rule, the same everywhere, no digit in two parts."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foretell.data import load_task
from foretell.data.clutter import Clutter, compose
from foretell.data.digits import read_digits
from foretell.errors import UsageError

SMALL = "train=200&val=100&test=150"


def clean(**options):
    """The parts without noise, and without fragments unless asked for."""
    return compose(Clutter(**{"fragments": 0, "noise": 0, **options}))


def shown(images):
    """The 8x8 square of ink in each image without fragments or noise, as 0 to 16.

    A digit whose border is empty may lie in several squares: the embedded digits are compared by
    their ink alone, moved to the upper left corner.
    """
    found = []
    for image in images[:, 0].astype(np.int64):
        rows, columns = np.flatnonzero(image.any(1)), np.flatnonzero(image.any(0))
        found.append((image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] // 15).tobytes())
    return found


def test_sizes_classes_and_range():
    task = load_task("clutter")
    assert [len(p) for p in (task.train, task.val, task.test)] == [2000, 2000, 4000]
    assert (task.input_shape, task.classes, task.flip, task.crop) == ((1, 16, 16), 10, False, 0)
    assert task.train.images.dtype == np.uint8
    for part in (task.train, task.val, task.test):
        assert set(np.bincount(part.labels)) == {len(part) // 10}


def test_the_bytes_are_the_same_on_every_machine():
    """Two fingerprints that were computed once."""
    assert load_task(f"clutter?{SMALL}").fingerprint == "fb9517bcddacedae"
    assert load_task(f"clutter?{SMALL}&channels=3&seed=5").fingerprint == "1fb17341cf4ebdc4"


def test_every_image_shows_a_digit_of_its_label():
    images, labels = read_digits()
    by_ink = {}
    for mark, label in zip(shown(np.rint(images * 16 * 15)), labels.tolist(), strict=True):
        by_ink.setdefault(mark, set()).add(label)
    for part in clean(train=400).values():
        for mark, label in zip(shown(part.images), part.labels.tolist(), strict=True):
            assert label in by_ink[mark]


def test_no_digit_is_in_two_parts():
    marks = [set(shown(part.images)) for part in clean(train=9000, val=3000, test=3000).values()]
    assert [len(m) > 300 for m in marks] == [True] * 3
    assert not marks[0] & marks[1]
    assert not marks[0] & marks[2]
    assert not marks[1] & marks[2]


def test_places_are_drawn_evenly():
    images = clean(train=9000, size=10)["train"].images[:, 0] > 0
    rows = images.any(2)
    top, bottom = rows[:, 0].mean(), rows[:, -1].mean()  # the digit lies at 0, 1 or 2
    assert 0.25 < top < 0.4
    assert abs(top - bottom) < 0.1


def test_fragments_add_ink_and_leave_the_digit_alone():
    few, many = (clean(train=500, fragments=f)["train"].images for f in (0, 8))
    assert many.astype(int).sum() > 1.5 * few.astype(int).sum()
    # with images as small as the digit, its square covers every fragment
    sizes = {"train": 500, "size": 8}
    labels, images = zip(
        *((p.labels, p.images) for p in (clean(**sizes, fragments=f)["train"] for f in (0, 5))),
        strict=True,
    )
    np.testing.assert_array_equal(*labels)
    assert set(shown(images[1])) <= set(shown(clean(train=9000, size=8)["train"].images))


def test_noise_has_the_standard_deviation_that_was_asked_for():
    quiet, loud = (clean(train=2000, noise=n)["train"].images for n in (0, 24))
    # where half of the noise is not cut off at black or white
    grey = (quiet > 100) & (quiet < 160)
    assert (loud.astype(float) - quiet)[grey].std() == pytest.approx(24, rel=0.05)


def test_colours():
    task = load_task(f"clutter?{SMALL}&channels=3&noise=0&fragments=0")
    assert task.input_shape == (3, 16, 16)
    corners = task.train.images[:, :, 0, 0]
    assert corners.max() < 240
    assert len({tuple(c) for c in corners.tolist()}) > 50


def test_the_seed_changes_everything():
    first, second = (compose(Clutter(train=100, val=50, test=50), s) for s in (0, 1))
    for part in first:
        assert not np.array_equal(first[part].images, second[part].images)


@settings(max_examples=15, deadline=None)
@given(
    size=st.integers(8, 24),
    fragments=st.integers(0, 12),
    piece=st.integers(1, 8),
    noise=st.integers(0, 127),
    channels=st.sampled_from([1, 3]),
    train=st.integers(20, 60),
)
def test_any_options_give_valid_images(**options):
    parts = compose(Clutter(val=20, test=20, **options))
    shape = (options["channels"], options["size"], options["size"])
    assert parts["train"].images.shape == (options["train"], *shape)
    assert parts["train"].images.max() > 100


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("clutter:here", "takes no path"),
        ("clutter?size=7", "size of the data source 'clutter' to be from 8 to 256"),
        ("clutter?channels=2", "channels .* to be 1 or 3"),
        ("clutter?piece=0", "piece .* from 1 to 8"),
        ("clutter?noise=128", "noise .* from 0 to 127"),
        ("clutter?train=10", "train .* from 20 to 200,000"),
        ("clutter?fragments=9999", "fragments .* from 0 to 1000"),
        ("clutter?fragments=few", "Expected a whole number after fragments="),
        ("clutter?pieces=3", "Unknown data option 'pieces': known are .*fragments"),
        ("digits?fragments=3", "Unknown data option 'fragments'"),
    ],
)
def test_what_cannot_be_drawn_is_a_sentence(text, words):
    with pytest.raises(UsageError, match=words):
        load_task(text)

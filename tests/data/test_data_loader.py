"""Tasks from loaders: batches of any usual form, and what is refused."""

import itertools

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from foretell.data import task_from_loader
from foretell.errors import DataError, EmptySplitError, ImageShapeError, LabelError

GENERATOR = torch.Generator().manual_seed(0)
X = torch.rand(60, 3, 8, 8, generator=GENERATOR)
Y = torch.arange(60) % 3


def loader(x=X, y=Y, batch_size=16):
    return DataLoader(TensorDataset(x, y), batch_size=batch_size)


def test_a_data_loader():
    task = task_from_loader(loader(), class_names="abc", flip=True, crop=1)
    assert task.name == "loader"
    assert task.class_names == ("a", "b", "c")
    assert (task.flip, task.crop, task.input_shape) == (True, 1, (3, 8, 8))
    assert [len(p) for p in (task.train, task.val, task.test)] == [39, 9, 12]
    rows = {x.numpy().tobytes(): int(y) for x, y in zip(X, Y, strict=True)}
    for part in (task.train, task.val, task.test):
        assert [rows[i.tobytes()] for i in part.images] == part.labels.tolist()


def test_three_loaders():
    task = task_from_loader(loader(), loader(X[:9], Y[:9]), loader(X[9:30], Y[9:30]), name="mine")
    assert [len(p) for p in (task.train, task.val, task.test)] == [60, 9, 21]
    assert task.name == "mine"


@pytest.mark.parametrize(
    "batches",
    [
        [(X.numpy(), Y.numpy())],
        [[X, Y.tolist()]],
        [{"image": X, "label": Y, "id": None}],
        [{"pixel_values": X, "labels": Y}],
        [(X.double(), Y.int(), "more")],
        ((X[i : i + 1], Y[i]) for i in range(60)),
        [(X, Y[:, None])],
        [(X.clone().requires_grad_(), Y)],
    ],
)
def test_forms_of_batches(batches):
    task = task_from_loader(batches)
    assert task.fingerprint == task_from_loader(loader()).fingerprint


def test_low_precision_and_bytes():
    low = task_from_loader([(X.bfloat16(), Y)])
    assert low.train.images.dtype == np.float32
    byte = task_from_loader([((X * 255).byte(), Y)])
    assert byte.train.images.dtype == np.uint8


def test_channels_last_images():
    last = task_from_loader([(X.permute(0, 2, 3, 1), Y)], layout="nhwc")
    assert last.fingerprint == task_from_loader(loader()).fingerprint
    assert task_from_loader([(X.permute(0, 2, 3, 1), Y)], layout=None).input_shape == (3, 8, 8)


@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
def test_normalisation_is_undone(layout):
    mean, std = [0.1, 0.5, 0.9], [0.2, 0.3, 0.4]
    x = X if layout == "nchw" else X.permute(0, 2, 3, 1)
    shape = (-1, 1, 1) if layout == "nchw" else (-1,)
    normal = (x - torch.tensor(mean).view(shape)) / torch.tensor(std).view(shape)
    task = task_from_loader([(normal, Y)], normalised=(mean, std), layout=layout)
    plain = task_from_loader(loader())
    np.testing.assert_allclose(task.train.images, plain.train.images, atol=1e-6)
    with pytest.raises(DataError, match="do not normalise"):
        task_from_loader([(normal, Y)], layout=layout)


def test_limit_ends_endless_loaders():
    task = task_from_loader(itertools.cycle([(X, Y)]), limit=30)
    assert len(task.train) == 30


@pytest.mark.parametrize(
    ("batches", "error", "words"),
    [
        ([], EmptySplitError, "training loader yields no image"),
        ([X], DataError, "but got a Tensor"),
        ([(X,)], DataError, "but got a tuple"),
        ([{"a": X, "b": Y}], DataError, "with the keys a, b"),
        ([(X, Y), (X[..., :4], Y)], ImageShapeError, "different shapes"),
        ([(X, Y[:3])], LabelError, "60 images but 3 labels"),
        ([(X, ["a"] * 60)], DataError, "no integers"),
        ([(X, torch.rand(60, 3))], LabelError, "one label for each image"),
        ([(X[0, 0], Y)], ImageShapeError, "Expected images"),
        ([(X * torch.nan, Y)], DataError, "NaN"),
    ],
)
def test_bad_batches(batches, error, words):
    with pytest.raises(error, match=words):
        task_from_loader(batches)


def test_a_missing_training_loader_is_named():
    with pytest.raises(DataError, match="a loader of training batches, but got None"):
        task_from_loader(None)


def test_parts_of_different_shapes():
    with pytest.raises(ImageShapeError, match="training and test images"):
        task_from_loader(loader(), test_loader=loader(X[..., :4]))

"""Images and labels from a NumPy file."""

from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from foretell.data._archives import read_arrays
from foretell.data._arrays import as_images, as_labels, number_labels, shrink
from foretell.data._base import Split, Task, make_task
from foretell.data._source import Options, existing, pick, sources
from foretell.errors import DataError, LabelError

__all__ = ["npz"]


@sources.add("npz", summary="arrays x, y (or x_train, y_train, x_test, y_test)", form="npz:PATH")
def npz(location: str, options: Options) -> Task:
    """A task from an ``.npz`` file.

    The file holds ``x`` and ``y``, or ``x_train``, ``y_train`` and as many of ``x_val``,
    ``y_val``, ``x_test``, ``y_test`` as there are; ``classes`` may hold the names. Images are
    (n, h, w), (n, h, w, c) or (n, c, h, w), uint8 or floats in [0, 1].

    Raises:
        MissingDataError: there is no such file.
        DataError: the file, an array or the labels cannot be used; the class says why.
    """
    path = existing(location, "npz")
    arrays = read_arrays(path)
    keys = ("x_train", "y_train") if "x_train" in arrays else ("x", "y")
    for key in keys:
        if key not in arrays:
            raise DataError(
                f"{path.name} holds no array {key!r} but {', '.join(sorted(arrays)) or 'none'}: "
                f"save x and y, or x_train, y_train, x_test and y_test."
            )
    names = [keys, ("x_val", "y_val"), ("x_test", "y_test")]
    images: list[NDArray[Any] | None] = []
    labels: list[NDArray[Any] | None] = []
    for x, y in names:
        if (x in arrays) != (y in arrays):
            here, gone = (x, y) if x in arrays else (y, x)
            raise LabelError(f"{path.name} holds {here!r} but not {gone!r}: save both or neither.")
        if x not in arrays:
            images.append(None)
            labels.append(None)
            continue
        made = as_images(arrays.pop(x), f"{x!r} of {path.name}", options.layout)
        images.append(shrink(made, options.image_size, path.name))
        labels.append(as_labels(arrays[y], len(made), f"{y!r} of {path.name}"))
    classes = _class_names(arrays, labels, path)
    numbered, label_names = number_labels(*labels)
    if classes is not None:
        numbered = labels
    splits = [
        None if x is None or y is None else Split(x, y)
        for x, y in zip(images, numbered, strict=True)
    ]
    train, val, test = splits
    assert train is not None
    return make_task(
        f"npz:{path.name}",
        train,
        val,
        test,
        class_names=classes or label_names,
        seed=options.seed,
        flip=bool(options.flip),
        crop=pick(options.crop, 0),
        limit=options.limit,
    )


def _class_names(
    arrays: dict[str, NDArray[Any]], labels: list[NDArray[Any] | None], path: Path
) -> tuple[str, ...] | None:
    """The class names in the file, if labels are indices into them; otherwise None."""
    if "classes" not in arrays:
        return None
    if any(y is not None and y.dtype.kind == "U" for y in labels):
        return None
    names = arrays["classes"]
    if names.ndim != 1:
        raise LabelError(
            f"'classes' of {path.name} has the shape {names.shape}: save a list of names."
        )
    return tuple(str(v) for v in names)

"""From a text such as ``folder:flowers?size=32`` to a task."""

import difflib
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from foretell.data._base import Task
from foretell.data._source import Options, sources
from foretell.errors import DataError, UnknownNameError, UsageError
from foretell.registry import resolve

__all__ = ["load_task", "skipping_broken"]

QUERY = re.compile(r"\?([\w.]+=[\w.]*(?:&[\w.]+=[\w.]*)*)$")
NUMBERS = {"size": "image_size", "crop": "crop", "limit": "limit", "seed": "seed"}
SWITCHES = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}


def load_task(
    spec: str,
    *,
    seed: int = 0,
    image_size: int | None = None,
    flip: bool | None = None,
    crop: int | None = None,
    limit: int | None = None,
    skip_broken: bool = False,
) -> Task:
    """Load the task that a text names.

    The text is a source and what it reads, such as ``digits``, ``npz:data.npz`` or
    ``cifar10:downloads``; options may follow: ``folder:flowers?flip=0&size=32``. A text such as
    ``my_data.py:task`` names a task, or a function without arguments that returns one.

    Args:
        spec: the text; ``foretell list sources`` prints the forms.
        seed: of the splits, and of synthetic images.
        image_size: pixels a side after resizing; in the text ``size``.
        flip: whether mirroring keeps the label; by default that of the source.
        crop: pixels of padding for random crops; by default that of the source.
        limit: keep at most this many training images and a quarter as many in the other parts.
        skip_broken: whether image files that cannot be decoded are left out; the task's ``notes``
            count and list them.

    Raises:
        UnknownNameError: no such source.
        UsageError: no such option, or an invalid value.
        DataError: the data cannot be used; the subclass and the sentence say why.

    >>> load_task("synthetic:1x8x8x3?limit=60").input_shape
    (1, 8, 8)
    """
    options = Options(
        seed=seed,
        image_size=image_size,
        flip=flip,
        crop=crop,
        limit=limit,
        skip_broken=skip_broken,
    )
    text = spec.strip()
    match = QUERY.search(text)
    text = text[: match.start()] if match else text
    name, colon, location = text.partition(":")
    if match:
        own = sources.entry(name).facts.get("options", ()) if name in sources else ()
        options = replace(options, **_parse(match.group(1), own))
    if name in sources:
        return sources[name](location, options)
    if colon and (name.endswith(".py") or "." in name):
        return _from_python(text)
    raise UnknownNameError(
        "data source", name, difflib.get_close_matches(name, sources, 3, 0.5), sources
    )


def skipping_broken(spec: str) -> str:
    """The same text with the option ``skip_broken=1``."""
    if "skip_broken=" in spec:
        return spec
    return f"{spec}{'&' if QUERY.search(spec) else '?'}skip_broken=1"


def _parse(query: str, own: Sequence[str]) -> dict[str, Any]:
    """Options by their names in ``Options``; those of the source itself under "own"."""
    parsed: dict[str, Any] = {"own": {}}
    for pair in query.split("&"):
        key, _, value = pair.partition("=")
        if key in NUMBERS or key in own:
            if not value.isdecimal():
                raise UsageError(f"Expected a whole number after {key}=, but got {value!r}.")
            if key in own:
                parsed["own"][key] = int(value)
            else:
                parsed[NUMBERS[key]] = int(value)
        elif key in ("flip", "skip_broken"):
            if value.lower() not in SWITCHES:
                raise UsageError(f"Expected {key}=0 or {key}=1, but got {value!r}.")
            parsed[key] = SWITCHES[value.lower()]
        elif key == "layout":
            parsed[key] = value.lower()
        else:
            options = ", ".join([*NUMBERS, "flip", "layout", "skip_broken", *own])
            raise UsageError(f"Unknown data option {key!r}: known are {options}.")
    return parsed


def _from_python(text: str) -> Task:
    target = resolve(text)
    try:
        task = target() if callable(target) else target
    except DataError:
        raise
    except Exception as error:
        raise DataError(
            f"Calling {text!r} raised {type(error).__name__}: {error}. Mend it, then run again."
        ) from error
    if not isinstance(task, Task):
        raise DataError(
            f"Expected {text!r} to be a Task or to return one, but got {type(task).__name__}."
        )
    return task

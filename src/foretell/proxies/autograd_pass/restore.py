"""What a forward may change beside its result comes back: what modules hold, random streams."""

import random
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn

__all__ = ["RandomState", "random_state", "seeded", "unchanged"]

_CONTAINER, _STREAM = 1, 2
_KINDS: dict[type, int] = {
    **dict.fromkeys((dict, OrderedDict, list, set, deque), _CONTAINER),
    **dict.fromkeys((torch.Generator, np.random.Generator, np.random.RandomState), _STREAM),
    random.Random: _STREAM,
}
"""Types of what modules hold that may change without being exchanged."""


@contextmanager
def unchanged(modules: Sequence[nn.Module], *, train: bool) -> Iterator[None]:
    """Run a module in train or eval mode; afterwards its parts hold what they held before.

    That is their attributes, what is in lists, dictionaries and sets among these, and the state of
    random streams of their own; the default type of numbers comes back as well.

    Args:
        modules: all of its parts, itself first.
        train: the mode.
    """
    held, dtype = _Held(), torch.get_default_dtype()
    for m in modules:
        if not isinstance(m, torch.jit.ScriptModule):
            held.remember(m.__dict__)
    if any(type(m).train is not nn.Module.train for m in modules):
        modules[0].train(train)
    else:  # the same without a call for each part
        for m in modules:
            if m.training != train:
                m.training = train
    try:
        yield
    finally:
        torch.set_default_dtype(dtype)
        held.restore()


class _Held:
    """What containers hold, those in them too, and the state of random streams in them."""

    def __init__(self) -> None:
        """Nothing yet."""
        self._seen: set[int] = set()
        self._contents: list[tuple[Any, list[Any], list[Any]]] = []
        self._empty: list[Any] = []
        self._streams: list[Callable[[], None]] = []

    def remember(self, container: Any) -> None:
        """Keep what a container holds."""
        self._seen.add(id(container))
        keys: list[Any] = []
        if isinstance(container, dict):
            keys, values = [*container], [*container.values()]
        else:
            values = [*container]
        self._contents.append((container, keys, values))
        for value in values:
            kind = _KINDS.get(type(value))
            if kind is None or id(value) in self._seen:
                continue
            if kind == _STREAM:
                self._seen.add(id(value))
                self._streams.append(_stream(value))
            elif value:
                self.remember(value)
            else:
                self._empty.append(value)

    def restore(self) -> None:
        """Bring it back."""
        for container, keys, values in self._contents:
            mapping = isinstance(container, dict)
            now = container.values() if mapping else container
            if [*map(id, now)] == [*map(id, values)] and (not mapping or [*container] == keys):
                continue
            container.clear()
            if mapping:
                container.update(zip(keys, values, strict=True))
            elif isinstance(container, set):
                container.update(values)
            else:
                container.extend(values)
        for container in self._empty:
            if container:
                container.clear()
        for step in self._streams:
            step()


def _stream(stream: Any) -> Callable[[], None]:
    if isinstance(stream, np.random.Generator):
        state = stream.bit_generator.state
        return lambda: setattr(stream.bit_generator, "state", state)
    if isinstance(stream, random.Random):
        own = stream.getstate()
        return lambda: stream.setstate(own)
    given = stream.get_state()
    return lambda: stream.set_state(given)


RandomState: TypeAlias = tuple[bytes, object, object]
"""Of PyTorch, NumPy and Python."""


def random_state() -> RandomState:
    """What the next random numbers follow from."""
    keys = np.random.get_state(legacy=False)["state"]  # noqa: NPY002
    of_numpy = bytes(keys["key"]), keys["pos"]
    return bytes(torch.get_rng_state().numpy()), of_numpy, random.getstate()


@contextmanager
def seeded(seed: int, x: Tensor) -> Iterator[None]:
    """Random numbers come from a stream of its own; the caller's random state comes back.

    Args:
        seed: of that stream.
        x: on the device whose state is kept as well.
    """
    devices: list[Any] = [x.device] if x.is_cuda else []
    of_numpy, of_python = np.random.get_state(), random.getstate()  # noqa: NPY002
    try:
        with torch.random.fork_rng(devices=devices):
            torch.default_generator.manual_seed(seed)
            np.random.seed(seed % 2**32)  # noqa: NPY002
            random.seed(seed)
            if x.is_cuda:
                torch.cuda.manual_seed(seed)
            yield
    finally:
        np.random.set_state(of_numpy)  # noqa: NPY002
        random.setstate(of_python)

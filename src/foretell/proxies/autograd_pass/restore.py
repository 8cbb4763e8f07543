"""What a forward may change beside its result comes back: what modules hold, random streams."""

import random
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from operator import is_
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

__all__ = ["Draws", "Held", "seeded", "streams_kept"]

_CONTAINER, _STREAM = 1, 2
_KINDS: dict[type, int] = {
    **dict.fromkeys((dict, OrderedDict, list, set, deque), _CONTAINER),
    **dict.fromkeys((torch.Generator, np.random.Generator, np.random.RandomState), _STREAM),
    random.Random: _STREAM,
}
"""Types of what modules hold that may change without being exchanged."""


class Held:
    """What the parts of a module hold, to bring it back after any number of forwards.

    That is their attributes, what is in lists, dictionaries and sets among these, and the state of
    random streams of their own.

    Args:
        modules: all of its parts, itself first.
    """

    def __init__(self, modules: Sequence[nn.Module]) -> None:
        """Look at all of it once."""
        self._modules = modules
        self._own_train = any(type(m).train is not nn.Module.train for m in modules)
        self._seen: set[int] = set()
        self._contents: list[tuple[Any, list[Any] | None, list[Any]]] = []
        self._empty: list[Any] = []
        self._streams: list[Callable[[], None]] = []
        for m in modules:
            if not isinstance(m, torch.jit.ScriptModule):
                self._remember(m.__dict__)

    @contextmanager
    def unchanged(self, *, train: bool) -> Iterator[None]:
        """Run the module in train or eval mode; afterwards its parts hold what they held before.

        The default type of numbers comes back as well.

        Args:
            train: the mode.
        """
        dtype = torch.get_default_dtype()
        if self._own_train:
            self._modules[0].train(train)
        else:  # the same without a call for each part
            for m in self._modules:
                if m.training != train:
                    m.training = train
        try:
            yield
        finally:
            torch.set_default_dtype(dtype)
            self._restore()

    def _remember(self, container: Any) -> None:
        """Keep what a container holds, and what is in containers in it."""
        seen = self._seen
        seen.add(id(container))
        if isinstance(container, dict):
            keys, values = [*container], [*container.values()]
        else:
            keys, values = None, [*container]
        self._contents.append((container, keys, values))
        for value in values:
            kind = _KINDS.get(type(value))
            if kind is None or id(value) in seen:
                continue
            if kind == _STREAM:
                seen.add(id(value))
                self._streams.append(_stream(value))
            elif value:
                self._remember(value)
            else:
                self._empty.append(value)

    def _restore(self) -> None:
        for container, keys, values in self._contents:
            now = container if keys is None else container.values()
            same = len(container) == len(values) and all(map(is_, now, values))
            if same and (keys is None or [*container] == keys):
                continue
            container.clear()
            if keys is not None:
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


@contextmanager
def streams_kept() -> Iterator[None]:
    """The random states of NumPy and Python come back."""
    of_numpy, of_python = np.random.get_state(), random.getstate()  # noqa: NPY002
    try:
        yield
    finally:
        np.random.set_state(of_numpy)  # noqa: NPY002
        random.setstate(of_python)


@contextmanager
def seeded(seed: int, x: Tensor, *, everywhere: bool = True) -> Iterator["Draws"]:
    """PyTorch's random numbers come from a stream of its own; the caller's state comes back.

    Args:
        seed: of that stream.
        x: on the device whose state is kept as well.
        everywhere: seed NumPy and Python, too; ``streams_kept`` brings back their states.
    """
    devices: list[Any] = [x.device] if x.is_cuda else []
    with torch.random.fork_rng(devices=devices):
        if everywhere:
            np.random.seed(seed % 2**32)  # noqa: NPY002
            random.seed(seed)
        torch.default_generator.manual_seed(seed)
        if x.is_cuda:
            torch.cuda.manual_seed(seed)
        yield Draws(everywhere)


class Draws:
    """Which random streams were drawn from since it was made.

    Args:
        everywhere: look at NumPy's and Python's, too.
    """

    def __init__(self, everywhere: bool) -> None:
        """Look at their states."""
        self._torch = torch.get_rng_state()
        self._others = _others() if everywhere else None

    def of_torch(self) -> bool:
        """Whether PyTorch's was."""
        return not torch.equal(torch.get_rng_state(), self._torch)

    def of_others(self) -> bool:
        """Whether NumPy's or Python's was; False where nobody looked."""
        return self._others is not None and _others() != self._others


def _others() -> tuple[bytes, int, object]:
    of_numpy = np.random.get_state(legacy=False)["state"]  # noqa: NPY002
    return bytes(of_numpy["key"]), of_numpy["pos"], random.getstate()

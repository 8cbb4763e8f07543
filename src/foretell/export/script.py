"""The text of ``train.py``: trains a network again, with torch and the files beside it."""

import pprint
import string
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from types import ModuleType

from foretell.export import imports
from foretell.export.sources import Source
from foretell.networks import lazy
from foretell.training import Recipe
from foretell.types import Json

__all__ = ["train_script"]


def train_script(
    description: Mapping[str, Json], recipe: Recipe, source: Source | None, loop: str
) -> str:
    """A script for one network.

    Args:
        description: what ``arch.json`` holds.
        recipe: how it was trained.
        source: how it is built; None through this library.
        loop: the file beside it that trains.
    """
    result = description["result"]
    skeleton = {k: _tuple(v) for k, v in description["skeleton"].items()}
    if source is None:
        genes = tuple(description["genes"])
        make = _FALLBACK.substitute(
            space=repr(description["space"]), genes=genes, skeleton=skeleton
        )
        needs = "torch, foretell and the package of the search space"
    elif source.space:
        module, _, name = source.space.partition(":")
        builder = "    function = resolve(space.builder())\n"
        if source.builder:
            there, _, function = source.builder.partition(":")
            head, _, rest = function.partition(".")
            builder = f"    from {there} import {head} as function\n\n"
            if rest:
                builder = f"    from {there} import {head}\n\n    function = {function}\n"
        make = _SPACE.substitute(
            module=module,
            name=name,
            head=name.partition(".")[0],
            genes=tuple(description["genes"]),
            skeleton=skeleton,
            builder=builder,
            ready=_READY.format(shape=skeleton["input_shape"]),
        )
        needs = "torch, foretell and what the files in source/ import"
    else:
        module, _, name = source.target.partition(":")
        make = _MAKER.substitute(
            stand_in=_STAND_IN if source.users else "",
            module=module,
            name=name,
            head=name.partition(".")[0],
            arguments=pprint.pformat(dict(source.arguments), sort_dicts=False, width=90),
            prune=_PRUNE if description["pruned"] else "",
            lazy=_LAZY.format(code=_code(lazy, "def materialised")) if source.users else "",
            ready=_READY.format(shape=skeleton["input_shape"]) if source.users else "",
        )
        needs = "torch" if source.files else f"torch and the package of {module}"
        if source.users and source.files:
            needs += ", and what the files in source/ import"
    files = dict(source.copies) if source is not None else {}
    trainer = "loop"
    while trainer in files:
        trainer += "_"
    return _TRAIN.substitute(
        text=_plain(description["text"]),
        params=f"{description['params']:,}",
        task=_plain(description["task"]["name"]),
        needs=needs,
        imports=_code(imports, "class Sources"),
        files=pprint.pformat({**files, trainer: loop}, sort_dicts=False, width=90),
        trainer=trainer,
        make=make,
        recipe=_call(asdict(recipe)),
        seed=description["seed"],
        threads=description["threads"],
        test=result["test_accuracy"],
        torch=description["versions"]["torch"],
    )


def _code(module: ModuleType, start: str) -> str:
    """The code of a file of this library from some words on, for a script that runs without it."""
    text = Path(str(module.__file__)).read_text(encoding="utf-8")
    return text[text.index(start) :].rstrip()


def _plain(text: str) -> str:
    """A text as it can stand in a docstring."""
    return " ".join(text.replace("\\", "/").replace('"', "'").split())


def _tuple(value: Json) -> Json:
    return tuple(value) if isinstance(value, list) else value


def _call(arguments: Mapping[str, object]) -> str:
    return "Recipe(\n" + "".join(f"    {k}={v!r},\n" for k, v in arguments.items()) + ")"


_MAKER = string.Template('''\
${stand_in}${lazy}from ${module} import ${head}

ARGUMENTS = ${arguments}


def make_network():
    """The network with its initial weights."""
    torch.manual_seed(SEED)
    network = ${name}(**ARGUMENTS)
${prune}${ready}    return network
''')

_READY = "    network = materialised(network, torch.zeros(2, *{shape}))\n"

_LAZY = """\
import copy
from typing import Any

from torch import Tensor, nn
from torch.nn.parameter import is_lazy


{code}


"""

_PRUNE = "    network.prune()  # operations that do not reach the output\n"

_SPACE = string.Template('''\
from foretell import Arch, Skeleton, Space
from foretell.networks.lazy import materialised
from foretell.registry import resolve
from ${module} import ${head}

SKELETON = Skeleton(**${skeleton})


def make_network():
    """The network with its initial weights."""
    space = ${name}
    if not isinstance(space, Space):
        space = space()
${builder}    torch.manual_seed(SEED)
    network = function(space, Arch(space.name, ${genes}), SKELETON)
${ready}    return network
''')

_FALLBACK = string.Template('''\
from foretell import Arch, Skeleton
from foretell.networks import build

ARCH = Arch(${space}, ${genes})
SKELETON = Skeleton(**${skeleton})


def make_network():
    """The network with its initial weights."""
    return build(ARCH, SKELETON, seed=SEED)
''')

_STAND_IN = '''\
import importlib.abc
import importlib.machinery
import types

try:
    import foretell  # the file that builds the network may import it to declare its space
except ModuleNotFoundError:

    class StandIn(types.ModuleType):
        """Takes the place of foretell, of which building the network needs nothing."""

        __path__ = ()

        def __call__(self, *items, **_):
            if len(items) == 1 and callable(items[0]) and not isinstance(items[0], StandIn):
                return items[0]  # what it decorates
            return self

        def __mro_entries__(self, bases):
            return ()

        def __getattr__(self, name):
            if name.startswith("__"):
                raise AttributeError(name)
            return self

    class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
        """Finds a stand-in for foretell and whatever is below it."""

        def find_spec(self, name, path=None, target=None):
            if name.partition(".")[0] == "foretell":
                return importlib.machinery.ModuleSpec(name, self, is_package=True)

        def create_module(self, spec):
            return StandIn(spec.name)

        def exec_module(self, module):
            pass

    sys.meta_path.insert(0, Finder())

'''

_TRAIN = string.Template('''\
"""Train this network again, from its initial weights to its test accuracy.

Network     ${text}
Parameters  ${params}
Data        ${task}, in data.pt beside this file
Needs       ${needs}

    python train.py                       the same run; writes retrained.pt
    python train.py --epochs 100          a longer one
    python train.py --device cuda
    python train.py --check               a few steps, to see that everything is there

With the same version of torch (${torch}), number of threads (${threads}) and machine, the same run
gives the very same weights. loop.py holds the training itself.
"""

import os
import sys

# what else lies in this folder, such as a file named torch.py, is not imported
HERE = os.path.realpath(os.path.dirname(__file__))
sys.path[:] = [p for p in sys.path if os.path.realpath(p or os.curdir) != HERE]

import argparse
import importlib.machinery
import importlib.util
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.abc import MetaPathFinder
from pathlib import Path
from types import ModuleType
from types import ModuleType

import torch

HERE = Path(HERE)


${imports}


sys.meta_path.insert(0, Sources(${files}, str(HERE)))

from ${trainer} import DivergenceError, Part, Recipe, fit, load_tensor_task

SEED = ${seed}
THREADS = ${threads}
TEST_ACCURACY = ${test}
RECIPE = ${recipe}

${make}

def check(network, task, recipe, arguments):
    """Two steps on a few images; nothing is written."""
    few = 2 * recipe.batch_size
    parts = {
        name: Part(part.images[:few], part.labels[:few])
        for name, part in (("train", task.train), ("val", task.val), ("test", task.test))
    }
    try:
        fit(
            network, replace(task, **parts), replace(recipe, epochs=1),
            seed=arguments.seed, device=arguments.device,
        )
    except DivergenceError:
        pass
    print("It works.")


def main():
    parser = argparse.ArgumentParser(description="Train this network again.")
    parser.add_argument("--data", type=Path, default=HERE / "data.pt", help="images and labels")
    parser.add_argument("--out", type=Path, default=HERE / "retrained.pt", help="trained weights")
    parser.add_argument("--epochs", type=int, default=RECIPE.epochs)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=THREADS)
    parser.add_argument("--seed", type=int, default=SEED, help="of shuffling and augmentation")
    parser.add_argument("--check", action="store_true", help="only see that it works: a few steps")
    arguments = parser.parse_args()

    torch.set_num_threads(arguments.threads)
    recipe = replace(RECIPE, epochs=arguments.epochs)
    task = load_tensor_task(arguments.data)
    network = make_network()
    if arguments.check:
        check(network, task, recipe, arguments)
        return

    def show(epoch):
        print(
            f"epoch {epoch.index + 1:3d}/{recipe.epochs}  loss {epoch.train_loss:.4f}  "
            f"validation {epoch.val_accuracy:.4f}",
            flush=True,
        )

    start = time.perf_counter()
    result = fit(
        network, task, recipe, seed=arguments.seed, device=arguments.device, on_epoch=show
    )
    torch.save(network.state_dict(), arguments.out)
    print(f"{time.perf_counter() - start:.1f} s, weights in {arguments.out}")
    print(f"recorded test accuracy {TEST_ACCURACY!r}")
    print(f"test accuracy {result.test_accuracy!r}")


if __name__ == "__main__":
    main()
''')

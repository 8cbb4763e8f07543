"""How far single precision is from double in each way through a network.

    OMP_NUM_THREADS=1 python experiments/proxies/precision.py

Relative differences to the general pass in float64, for two cells of NAS-Bench-201 on 32 images of
32x32: the general pass in float32, the fast one with PyTorch's operations, the same with kernels.
"""

import argparse
import copy
from functools import reduce
from operator import or_

import torch

from foretell.arch import Arch
from foretell.networks import build
from foretell.proxies import Batches, Needs, collect, make_plan, needs_of, proxies
from foretell.proxies.cell_pass import _fuse
from foretell.spaces import Skeleton

NAMES = [
    *("grad_norm", "snip", "plain", "fisher", "jacov", "epe_nas", "nwot", "l2_norm", "grasp"),
    *("synflow",),
]
CELLS = {"all 3x3": (3, 3, 3, 3, 3, 3), "mixed": (3, 1, 2, 4, 2, 3)}
WAYS = {"any module": (False, 0), "by hand": (True, 0), "by hand, kernels": (True, 2)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--cells-per-stage", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    images = [torch.randn((32, 3, 32, 32), generator=generator) for _ in range(2)]
    labels = tuple(torch.randint(5, (32,), generator=generator) for _ in range(2))
    plan = make_plan(reduce(or_, (needs_of(proxies.entry(n)) for n in NAMES), Needs.NONE), 2)
    print("| cell | way | " + " | ".join(NAMES) + " |")
    print("|---|---|" + "---|" * len(NAMES))
    for label, genes in CELLS.items():
        skeleton = Skeleton((3, 32, 32), 10, 16, options.cells_per_stage)
        net = build(Arch("nb201", genes), skeleton, seed=1)

        def values(module: torch.nn.Module, dtype: torch.dtype, fast: bool, threads: int):
            _fuse.THREADS = threads
            data = Batches(tuple(x.to(dtype) for x in images), labels)
            found = collect(module, data, plan, seed=3, fast=fast)
            return [float(proxies[name](found)) for name in NAMES]

        exact = values(copy.deepcopy(net).double(), torch.float64, False, 0)
        for way, (fast, threads) in WAYS.items():
            found = values(net, torch.float32, fast, threads)
            errors = [abs(a - b) / abs(b) for a, b in zip(found, exact, strict=True)]
            print(f"| {label} | {way} | " + " | ".join(f"{e:.0e}" for e in errors) + " |")


if __name__ == "__main__":
    main()

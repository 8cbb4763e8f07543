"""CPU cost of the proxies, as a multiple of one plain forward and backward of the same network.

    OMP_NUM_THREADS=1 OMP_WAIT_POLICY=passive python experiments/proxies/cost.py --repeats 7

Both are measured in CPU seconds of the process, interleaved, medians, one thread. The plain forward
and backward is PyTorch's own: NCHW, float32, train mode, mean cross-entropy, the same network and
batch. The proxies get a built network and its closed-form costs, and run every step from there on.
``--kernels`` says which kernels take the time of the last set.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import argparse
import time
from collections.abc import Callable
from functools import reduce
from operator import or_
from statistics import median

import torch
import torch.nn.functional as F

from foretell.arch import Arch
from foretell.networks import build
from foretell.proxies import Batches, Costs, Needs, collect, make_plan, needs_of, proxies
from foretell.proxies.cell_pass import _fuse
from foretell.proxies.cell_pass.heap import kept_heap
from foretell.spaces import Skeleton

SUITE = [
    *("epe_nas", "fisher", "flops", "grad_norm", "grasp", "jacov", "l2_norm"),
    *("nwot", "params", "plain", "snip", "synflow", "zen"),
]
COSTS = Costs(1, 1, 1, 1.0)
CELLS = {
    "all 3x3": (3, 3, 3, 3, 3, 3),
    "mixed": (3, 1, 2, 4, 2, 3),
    "mixed, no pooling": (3, 1, 2, 1, 2, 3),
    "all skip": (1, 1, 1, 1, 1, 1),
}


KERNELS = {
    "convolutions": ("mkldnn_convolution", "convolution_backward", "_slow_conv2d"),
    "batch normalisation": ("native_batch_norm", "batch_norm"),
    "normalisation, sum and ReLU in one": ("moments", "merge", "gather", "spread", "agreements"),
    "sums, ReLUs, copies": ("add", "relu", "threshold", "copy", "cat", "sign", "fill", "zero"),
}


def kernels(run: Callable[[], object]) -> None:
    """Print the shares of groups of kernels in the CPU seconds of a run."""
    compiled = _fuse._kernels()
    names = [*KERNELS["normalisation, sum and ReLU in one"]]
    plain = {name: getattr(compiled, name) for name in names}

    def recorded(name: str) -> Callable[..., None]:
        def call(*arguments: object) -> None:
            with torch.profiler.record_function(name):
                plain[name](*arguments)

        return call

    for name in names:
        setattr(compiled, name, recorded(name))
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profiler:
        whole = seconds(run)
    for name, function in plain.items():
        setattr(compiled, name, function)
    totals = dict.fromkeys([*KERNELS], 0.0)
    for event in profiler.key_averages():
        name = event.key.removeprefix("aten::")
        group = next((g for g, starts in KERNELS.items() if name.startswith(starts)), None)
        if group is not None:
            totals[group] += event.self_cpu_time_total / 1e6
    totals["other"] = whole - sum(totals.values())
    print("    " + ", ".join(f"{g} {t / whole:.0%}" for g, t in totals.items()), flush=True)


def seconds(run: Callable[[], object]) -> float:
    """CPU seconds of the process."""
    start = time.process_time()
    run()
    return time.process_time() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--cell", choices=CELLS, action="append")
    parser.add_argument("--each", action="store_true", help="also what single needs cost")
    parser.add_argument("--kernels", action="store_true", help="where the last set's time goes")
    parser.add_argument("--without-kernels", action="store_true", help="as without Numba")
    parser.add_argument("--generic", action="store_true", help="also the pass over any module")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.without_kernels:
        _fuse.THREADS = 0
    generator = torch.Generator().manual_seed(0)
    shape = (options.batch, 3, 32, 32)
    batches = Batches(
        tuple(torch.randn(shape, generator=generator) for _ in range(2)),
        tuple(torch.randint(10, (options.batch,), generator=generator) for _ in range(2)),
    )
    all_names = [*SUITE, "zico"]
    sets: dict[str, list[str]] = {
        "13 suite proxies": SUITE,
        "13 and zico": all_names,
        "without grasp": [n for n in SUITE if n != "grasp"],
        "13 and zico without grasp": [n for n in all_names if n != "grasp"],
    }
    if options.each:
        sets |= {
            n: [n]
            for n in ("grad_norm", "fisher", "jacov", "nwot", "synflow", "zen", "zico", "grasp")
        }
    print("| cell | plain F+B, CPU-s | " + " | ".join(sets) + " |")
    print("|---|---|" + "---|" * len(sets))
    for label in options.cell or CELLS:
        arch = Arch("nb201", CELLS[label])
        module = build(arch, Skeleton((3, 32, 32), 10, 16, 5), seed=0).train()

        def plain(module: torch.nn.Module = module) -> None:
            loss = F.cross_entropy(module(batches.images[0]), batches.labels[0])
            loss.backward()  # type: ignore[no-untyped-call]
            module.zero_grad()

        def proxy_set(names: list[str], fast: bool, module: torch.nn.Module = module) -> None:
            plan = make_plan(
                reduce(or_, (needs_of(proxies.entry(n)) for n in names), Needs.NONE),
                2,
                closed_form=True,
            )
            found = collect(module, batches, plan, seed=0, costs=COSTS, fast=fast)
            for name in names:
                float(proxies[name](found))

        modes = [True, False] if options.generic else [True]
        runs = {(k, fast): [] for k in sets for fast in modes}
        base: list[float] = []
        for repeat in range(options.repeats + 1):
            base.append(seconds(plain))
            for (key, fast), times in runs.items():
                times.append(seconds(lambda k=key, f=fast: proxy_set(sets[k], f)))  # type: ignore[misc]
            if not repeat:  # warm-up
                base.clear()
                for times in runs.values():
                    times.clear()
        unit = median(base)
        for fast in modes:
            cells = " | ".join(f"{median(runs[k, fast]) / unit:.2f}" for k in sets)
            print(
                f"| {label}{'' if fast else ' (any module)'} | {unit:.3f} | {cells} |", flush=True
            )
        if options.kernels:
            kernels(lambda f=proxy_set: f(sets["13 and zico without grasp"], True))  # type: ignore[misc]


if __name__ == "__main__":
    with kept_heap():  # as in score(); the plain forward and backward profits as well
        main()

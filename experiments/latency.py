"""How well measured latency repeats itself, and what a measurement and an export cost.

    OMP_NUM_THREADS=1 python experiments/latency.py --archs 30

Sampled NAS-Bench-201 cells are measured twice, one list after the other; printed are |log(first /
second)| (median and 90 % quantile) and Kendall's tau of the two, of ``median`` and ``relative``.
"""

import argparse
import os
import time

import numpy as np
import torch

from foretell import get_space
from foretell.cost import measure_latency
from foretell.metrics import kendall
from foretell.networks import build
from foretell.networks.to_onnx import Exporter, onnx_bytes
from foretell.types import Shape3

SHAPES: tuple[Shape3, ...] = ((1, 16, 16), (3, 32, 32))
EXPORTERS: tuple[Exporter, ...] = ("torchscript", "dynamo")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--archs", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    space = get_space("nb201")
    for shape in SHAPES:
        rng = np.random.default_rng(arguments.seed)
        skeleton = space.skeleton(shape, 10)
        networks = [build(space.sample(rng), skeleton, seed=0) for _ in range(arguments.archs)]
        for exporter in EXPORTERS:
            few = networks if exporter == "torchscript" else networks[:5]
            seconds = []
            for network in few:
                start = time.perf_counter()
                onnx_bytes(network.eval(), torch.rand(1, *shape), exporter=exporter)
                seconds.append(time.perf_counter() - start)
            print(f"{shape} {exporter}: {np.median(seconds):.2f} s, most {max(seconds):.2f} s")
        for runtime in ("torch", "onnxruntime"):
            start = time.perf_counter()
            twice = [
                [measure_latency(n, shape, runtime=runtime) for n in networks] for _ in range(2)
            ]
            call = (time.perf_counter() - start) / (2 * len(networks))
            noisy = sum(m.noisy for row in twice for m in row)
            load = os.getloadavg()[0]
            print(f"{shape} {runtime}: {call:.2f} s a call, {noisy} noisy, load {load:.1f}")
            for name in ("median", "relative"):
                first, second = (np.array([getattr(m, name) for m in row]) for row in twice)
                away = np.abs(np.log(first / second))
                print(
                    f"    {name}: {np.median(away):.3f} ({np.quantile(away, 0.9):.3f}), "
                    f"tau {float(kendall(first, second)):.2f}"
                )


if __name__ == "__main__":
    main()

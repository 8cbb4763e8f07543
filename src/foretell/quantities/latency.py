"""Measured latency on this machine's CPU."""

import math
from dataclasses import asdict

from foretell.quantities._base import Quantity, Stage, Subject, register

__all__ = ["LATENCY"]


def _latency(subject: Subject, runtime: str) -> dict[str, float]:
    from foretell.cost import measure_latency

    assert subject.module is not None
    assert subject.skeleton is not None
    measured = measure_latency(
        subject.module, subject.skeleton.input_shape, runtime=runtime, seed=subject.seed
    )
    details = {k: float(v) for k, v in asdict(measured).items() if not isinstance(v, str)}
    # With one thread CPU seconds are the time that a run takes where nothing else wants the CPU.
    speed = measured.cpu_seconds / measured.relative
    chosen = subject.reference if math.isfinite(subject.reference) else speed
    return {"value": measured.at(chosen), **details, "reference": speed}


LATENCY = Quantity(
    "latency", "s", "min", Stage.BUILT, reproducible=False, measure=_latency,
    argument="runtime", arguments=("torch", "onnxruntime"), default="torch",
    summary="CPU time of one image in a runtime, one thread of this machine's CPU.",
)  # fmt: skip
"""Latency in a runtime."""
register(LATENCY)

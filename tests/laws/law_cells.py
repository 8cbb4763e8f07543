"""The matrix of networks, rewrites and proxies: what is invariant, and how it is scored."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from law_networks import NETWORKS, make, twin
from law_references import Layer, layer_values, references
from law_rewrites import REWRITES, split_name
from torch import nn

from foretell.proxies import Batches, proxies, score

__all__ = [
    *("CUT", "NAMES", "NO_VALUE", "NO_VALUE_IN", "Row", "Scored", "agree"),
    *("expected", "rewritten", "same_function", "scored", "tolerance", "values_of", "wrong_cells"),
]

NAMES = tuple(proxies.names())

CUT = {
    ("layer split", name): "two layers of half the size are two terms of a sum over layers"
    for name in ("grad_norm", "l2_norm", "sum_log_params", "zico", "zico_code")
}
"""(rewrite, proxy) -> why the value depends on how layers are cut; all others are invariant."""

NO_RELU = "has no ReLU whose result reaches the output"

NO_VALUE: dict[tuple[str, str], str] = {
    ("silu", "nwot"): NO_RELU,
    ("gelu", "nwot"): NO_RELU,
    ("vit_gelu", "nwot"): NO_RELU,
}
"""(network, proxy) -> a part of the sentence that stands instead of the value."""

NO_VALUE_IN: dict[tuple[str, str, str], str] = {
    ("recurrent", "in place", "zen"): "features before the head are overwritten",
    ("orthogonal", "parameters listed twice", "zen"): "Zen cannot draw them",
    ("layernorm", "batch axis moved", "fisher"): "no value by image can be told",
    ("layernorm", "batch axis moved", "fisher_channels"): "no value by image can be told",
}
"""(network, rewrite, proxy) -> the same, where the network as it was built has a value."""

_SINGLE = {"zico": 3e-2, "zico_code": 3e-2, "grasp": 2e-3, "plain": 2e-3, "epe_nas": 2e-3}
"""Relative tolerances in single precision; 1e-4 for the others."""


def tolerance(name: str, dtype: torch.dtype) -> float:
    """Relative tolerance of a proxy for weights of that type.

    ZiCo divides by the difference of two gradients, GraSP, plain and EPE-NAS cancel: rounding shows
    there first.
    """
    if dtype == torch.bfloat16:
        return 0.3 if name in _SINGLE else 3e-2
    if dtype == torch.float32:
        return _SINGLE.get(name, 1e-4)
    return 1e-7


def agree(name: str, value: float, right: float, dtype: torch.dtype) -> bool:
    """Whether a value is the right one, NaN where that is NaN."""
    if math.isnan(right) or math.isnan(value):
        return math.isnan(right) and math.isnan(value)
    scale = max(abs(right), 1e-3 if name in ("plain", "grasp") else 0)
    return abs(value - right) <= tolerance(name, dtype) * scale


def batches(dtype: torch.dtype) -> Batches:
    """Two batches of eight images in four classes."""
    generator = torch.Generator().manual_seed(1)
    images = tuple(torch.randn((8, 3, 8, 8), generator=generator).to(dtype) for _ in range(2))
    labels = torch.arange(8) % 4
    return Batches(images, (labels, labels.flip(0)))


@dataclass
class Row:
    """The values of one network in one spelling.

    Args:
        values: by proxy; NaN where there is none.
        reasons: why a value is missing.
    """

    values: dict[str, float]
    reasons: dict[str, str]


def values_of(net: nn.Module, names: Sequence[str], dtype: torch.dtype) -> Row:
    """Score one module."""
    result = score([net], names, batches(dtype))
    values = dict(zip(names, result.values[0].tolist(), strict=True))
    failure = result.failures.get(0, "" if result.alive[0] else "dead")
    reasons = {n: result.reasons.get((0, n), failure) for n in names if math.isnan(values[n])}
    return Row(values, reasons)


@dataclass
class Scored:
    """One network: as it was built, rewritten, and what is right.

    Args:
        right: values of the plain references and the hand-written sums.
        layers: of the plain twin.
        plain: the twin.
        base: as it was built.
        rows: rewritten.
    """

    name: str
    right: dict[str, float]
    layers: list[Layer]
    plain: nn.Module
    base: Row
    rows: dict[str, Row] = field(default_factory=dict)


def scored(name: str, rewrites: Sequence[str] = tuple(REWRITES)) -> Scored:
    """Score a network in some spellings, every proxy at once."""
    spec = NETWORKS[name]
    train, still = (twin(name, make(name), train=mode) for mode in (True, False))
    data = batches(torch.float64)
    images = [x.to(spec.dtype) for x in data.images]
    right, layers = references(train, still, images, data.labels)
    right |= {"params": spec.params, "live_params": spec.params - spec.idle, "flops": spec.flops}
    of_images = spec.images or spec.dtype
    row = Scored(name, right, layers, train, values_of(make(name), NAMES, of_images))
    for rewrite in rewrites:
        net = rewritten(name, rewrite)
        if net is None:
            continue
        to = torch.float32 if rewrite == "single precision" else of_images
        row.rows[rewrite] = values_of(net, NAMES, to)
    return row


def rewritten(name: str, rewrite: str) -> nn.Module | None:
    """The network in that spelling, None where the rewrite does not apply."""
    return REWRITES[rewrite](make(name))


def wrong_cells(row: Scored) -> dict[tuple[str, str], str]:
    """(spelling, proxy) -> what came and what is right, where the two differ."""
    wrong = {}
    for name in NAMES:
        value, dtype = row.base.values[name], NETWORKS[row.name].dtype
        right = row.right.get(name, value)
        if (row.name, name) in NO_VALUE:
            right = math.nan
            if NO_VALUE[row.name, name] not in row.base.reasons.get(name, ""):
                wrong["as built", name] = f"{value} {row.base.reasons.get(name)}"
        elif math.isnan(value) or not agree(name, value, right, dtype):
            wrong["as built", name] = f"{value} {row.base.reasons.get(name, '')} for {right}"
    for rewrite, other in row.rows.items():
        for name in NAMES:
            value, right = other.values[name], expected(row, rewrite, name)
            if sentence := NO_VALUE_IN.get((row.name, rewrite, name)):
                right = math.nan if sentence in other.reasons.get(name, "") else right
            if not agree(name, value, right, dtype_of(row.name, rewrite)):
                reason = other.reasons.get(name, "")
                wrong[rewrite, name] = f"{value} {reason} for {right}"
            elif math.isnan(value) and not other.reasons.get(name):
                wrong[rewrite, name] = "NaN without a reason"
    return wrong


def same_function(name: str, rewrite: str) -> bool:
    """Whether a rewritten network gives the outputs of the network, in both modes."""
    dtype = dtype_of(name, rewrite)
    x = batches(dtype).images[0]
    for train in (True, False):
        outputs = []
        for net in (make(name).to(dtype), rewritten(name, rewrite)):
            assert net is not None
            with torch.random.fork_rng(), torch.no_grad():
                torch.manual_seed(0)
                outputs.append(net.train(train)(x))
        if not torch.allclose(*outputs, rtol=1e-4, atol=1e-5 if dtype != torch.bfloat16 else 0.1):
            return False
    return True


def dtype_of(name: str, rewrite: str) -> torch.dtype:
    """The precision in which a row is computed."""
    return torch.float32 if rewrite == "single precision" else NETWORKS[name].dtype


def expected(row: Scored, rewrite: str, name: str) -> float:
    """The right value for a rewritten network: that of the network, or the closed form."""
    base = math.nan if (row.name, name) in NO_VALUE else row.right.get(name, row.base.values[name])
    if (rewrite, name) not in CUT:
        return base
    weight = f"{split_name(make(row.name))}.weight"
    cut: list[Layer] = []
    for layer in row.layers:
        if layer.name == weight:
            parts = [x.chunk(2) for x in (layer.weight, *layer.grads)]
            cut += [Layer(weight, p[0], list(p[1:])) for p in zip(*parts, strict=True)]
        else:
            cut.append(layer)
    if name == "sum_log_params":
        whole = next(p.numel() for n, p in make(row.name).named_parameters() if n.endswith(weight))
        return base - math.log(whole) + 2 * math.log(whole / 2)
    return layer_values(cut)[name]

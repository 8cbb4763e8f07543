"""Measured latency: figures against a plain loop, what is left as it was, the lock, errors."""

import gc
import itertools
import json
import os
import signal
import subprocess
import sys
import time
import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from foretell import get_space
from foretell.cost import _lock, latency, measure_latency, runtimes
from foretell.cost.latency import _Round, reference_network
from foretell.errors import (
    ExportError,
    MeasurementLockError,
    MissingExtraError,
    ModuleRaisedError,
    NetworkError,
    UnknownNameError,
    UsageError,
)
from foretell.networks import build
from foretell.networks.to_onnx import onnx_bytes

SHAPE = (3, 16, 16)
QUICK = {"budget_seconds": 0.05, "warmup": 2}


@pytest.fixture(autouse=True)
def own_lock(tmp_path, monkeypatch):
    """A lock of the test's own: what else the machine measures is not waited for."""
    monkeypatch.setattr(_lock.tempfile, "tempdir", str(tmp_path))


def net(width: int, depth: int = 2) -> nn.Module:
    layers = [nn.Conv2d(3, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU()]
    for _ in range(depth):
        layers += [nn.Conv2d(width, width, 3, padding=1), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 5))


def need(runtime: str) -> None:
    if runtime == "onnxruntime":
        pytest.importorskip("onnx")
        pytest.importorskip("onnxruntime")


# --- figures --------------------------------------------------------------------------------------


@pytest.mark.parametrize("runtime", ["torch", "onnxruntime"])
def test_a_far_larger_network_takes_longer(runtime):
    need(runtime)
    small = measure_latency(net(4), SHAPE, runtime=runtime, **QUICK)
    large = measure_latency(net(128, 8), SHAPE, runtime=runtime, batch=4, **QUICK)
    assert large.minimum > 3 * small.minimum
    assert large.relative > 3 * small.relative
    for found in (small, large):
        assert 0 < found.minimum <= found.median <= found.p90
        assert found.spread >= 0
        assert found.runs >= 5
        assert found.cpu_seconds > 0
        assert found.reference > 0
        assert found.runtime == runtime
        assert found.threads == 1
    assert (small.batch, large.batch) == (1, 4)


def test_seconds_are_those_of_a_plain_loop():
    module = net(64, 6).eval()
    found = measure_latency(module, SHAPE, batch=8, **QUICK)
    images, seconds = torch.randn(8, *SHAPE), []
    with torch.no_grad():
        for _ in range(12):
            start = time.perf_counter()
            module(images)
            seconds.append(time.perf_counter() - start)
    assert min(seconds) / 6 < found.minimum < min(seconds) * 6


def test_the_summary_by_hand(monkeypatch):
    rounds = [
        _Round([1.0, 2.0], 1.5, [0.5, 0.5], 0.5),
        _Round([3.0, 10.0], 2.0, [0.5, 0.5], 1.0),
        _Round([2.0], 2.0, [1.0], 0.5),
    ]
    monkeypatch.setattr(latency, "_interleave", lambda *_, **__: rounds)
    found = measure_latency(net(4), SHAPE)
    assert (found.median, found.spread, found.minimum, found.p90) == (2.0, 1.0, 1.0, 10.0)
    assert (found.runs, found.cpu_seconds, found.reference) == (5, 2.0, 0.5)
    assert found.relative == 3.0  # of 3, 2 and 4
    assert found.at(0.25) == 0.75
    assert found.drift == pytest.approx((0.9 - 0.5) / 0.5)
    assert found.noisy
    assert measure_latency(net(4), SHAPE, threads=2).relative == 3.0  # of 3, 13 and 2


@pytest.mark.parametrize(
    ("walls", "cpu", "references", "noisy"),
    [
        ([1.0, 1.0, 1.0], 1.0, (1.0, 1.0), False),
        ([0.95, 1.0, 1.05], 1.0, (1.0, 1.2), False),
        ([0.8, 1.0, 1.2], 1.0, (1.0, 1.0), True),
        ([1.0, 1.0, 1.0], 1.0, (1.0, 1.5), True),
        ([1.0, 1.0, 1.0], 0.7, (1.0, 1.0), True),
    ],
)
def test_the_rule_for_noise(monkeypatch, walls, cpu, references, noisy):
    rounds = [_Round(walls, cpu, [r], r) for r in references]
    monkeypatch.setattr(latency, "_interleave", lambda *_, **__: rounds)
    assert measure_latency(net(4), SHAPE).noisy is noisy


def test_networks_take_turns():
    order = []
    rounds = latency._interleave(
        lambda: order.append("own"), lambda: order.append("reference"), warmup=3, runs=50, budget=60
    )
    assert sum(len(r.walls) for r in rounds) == 50
    timed = order[6:]  # three runs of each before
    assert (
        timed
        == ["own"] * 20
        + ["reference"] * 10
        + ["own"] * 20
        + ["reference"] * 10
        + ["own"] * 10
        + ["reference"] * 10
    )


def test_the_budget_ends_a_slow_measurement():
    calls = []

    def slow():
        calls.append(time.sleep(0.03))

    rounds = latency._interleave(slow, lambda: None, warmup=10, runs=1000, budget=0.02)
    assert sum(len(r.walls) for r in rounds) == 5
    assert len(calls) == 2 + 5


def test_a_reference_of_ones_own():
    found = measure_latency(net(4), SHAPE, reference=net(128, 8), batch=2, **QUICK)
    assert found.relative < 0.5
    with pytest.raises(ModuleRaisedError, match="Linear raised"):
        measure_latency(net(4), SHAPE, reference=nn.Linear(7, 1), **QUICK)


# --- nothing else changes -------------------------------------------------------------------------


@pytest.mark.parametrize("runtime", ["torch", "onnxruntime"])
def test_the_module_and_the_process_are_left_as_they_were(runtime):
    need(runtime)
    module = net(4).train()
    module[1].eval()
    module[0].weight.grad = torch.ones_like(module[0].weight)
    modes = [m.training for m in module.modules()]
    state = {k: v.clone() for k, v in module.state_dict().items()}
    threads, generator, grad = torch.get_num_threads(), torch.get_rng_state(), module[0].weight.grad
    measure_latency(module, SHAPE, runtime=runtime, threads=threads + 1, **QUICK)
    assert [m.training for m in module.modules()] == modes
    assert all(torch.equal(v, state[k]) for k, v in module.state_dict().items())
    assert module[0].weight.grad is grad
    assert all(p.requires_grad for p in module.parameters())
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.get_rng_state(), generator)
    assert torch.is_grad_enabled()
    assert not torch.is_inference_mode_enabled()
    assert gc.isenabled()


def test_the_process_is_left_as_it_was_after_an_error():
    threads = torch.get_num_threads()
    with pytest.raises(ModuleRaisedError):
        measure_latency(Raises(after=3), SHAPE, threads=threads + 1, **QUICK)
    assert torch.get_num_threads() == threads
    assert gc.isenabled()
    assert not torch.is_inference_mode_enabled()
    measure_latency(net(4), SHAPE, wait_seconds=0.0, **QUICK)  # the lock is free


def test_the_reference_network_is_always_the_same():
    generator = torch.get_rng_state()
    a, b = reference_network().state_dict(), reference_network().state_dict()
    assert all(torch.equal(a[k], b[k]) for k in a)
    assert torch.equal(torch.get_rng_state(), generator)


# --- networks of every kind -----------------------------------------------------------------------


class Pair(nn.Module):
    """Two outputs; one is not finite."""

    def forward(self, x):
        return {"a": x.flatten(1).sum(1) * float("inf"), "b": x.mean((2, 3))}


@pytest.mark.parametrize("runtime", ["torch", "onnxruntime"])
@pytest.mark.parametrize(
    "module",
    [
        Pair(),
        nn.Flatten(),
        nn.Sequential(nn.LazyConv2d(4, 3), nn.Flatten()),
        nn.Sequential(nn.ReLU(inplace=True), nn.Conv2d(3, 2, 1), nn.Sigmoid()),
    ],
    ids=["not finite", "no parameters", "lazy", "in place"],
)
def test_other_networks(runtime, module):
    need(runtime)
    assert measure_latency(module, SHAPE, runtime=runtime, **QUICK).median > 0


def test_onnx_gives_the_outputs_of_torch():
    need("onnxruntime")
    package = pytest.importorskip("onnxruntime")
    space = get_space("nb201")
    skeleton = space.skeleton(SHAPE, 5)
    for seed in range(3):
        module = build(space.sample(np.random.default_rng(seed)), skeleton, seed=0).eval()
        images = torch.rand(2, *SHAPE)
        session = package.InferenceSession(onnx_bytes(module, images, exporter="torchscript"))
        assert [o.name for o in session.get_outputs()] == ["logits"]
        (got,) = session.run(None, {"images": images.numpy()})
        np.testing.assert_allclose(got, module(images).detach().numpy(), atol=1e-4)


def test_the_exported_network_is_the_module():
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    module, images = net(8).eval(), torch.randn(2, *SHAPE)
    (got,) = runtimes["onnxruntime"](module, images, 1)()
    np.testing.assert_allclose(got, module(images).detach().numpy(), atol=1e-4)
    torch.testing.assert_close(runtimes["torch"](module, images, 1)(), module(images))


# --- errors ---------------------------------------------------------------------------------------


class Raises(nn.Module):
    """Raises once it has run some times."""

    def __init__(self, after: int = 0):
        super().__init__()
        self.left = after

    def forward(self, x):
        self.left -= 1
        if self.left < 0:
            raise RuntimeError("no more")
        return x


class Branches(nn.Module):
    """Decides by the values of its input."""

    def forward(self, x):
        return x.flatten(1) * 2 if float(x[0, 0, 0, 0]) > 0 else x.flatten(1) * 3


class Unknown(nn.Module):
    """Uses an operation that ONNX has not."""

    def forward(self, x):
        return torch.linalg.svdvals(x[:, 0])


class NoCopy(nn.Module):
    """Refuses to be copied."""

    def __deepcopy__(self, memo):
        raise TypeError("one of a kind")


@pytest.mark.parametrize("after", [0, 4])
def test_a_module_that_raises(after):
    with pytest.raises(ModuleRaisedError, match=r"Raises raised RuntimeError .*no more") as caught:
        measure_latency(Raises(after), SHAPE, **QUICK)
    assert isinstance(caught.value, NetworkError)
    assert isinstance(caught.value.__cause__, RuntimeError)


def test_a_module_that_cannot_be_copied():
    with pytest.raises(NetworkError, match="cannot be copied"):
        measure_latency(NoCopy(), SHAPE)


def test_an_unknown_runtime():
    with pytest.raises(UnknownNameError, match="did you mean onnxruntime") as caught:
        measure_latency(net(4), SHAPE, runtime="onnx-runtime")
    assert caught.value.kind == "runtime"


@pytest.mark.parametrize(
    "options",
    [
        {"batch": 0},
        {"runs": 0},
        {"threads": 0},
        {"warmup": -1},
        {"budget_seconds": 0.0},
        {"budget_seconds": float("nan")},
        {"wait_seconds": -1.0},
    ],
)
def test_numbers_out_of_range(options):
    with pytest.raises(UsageError, match=next(iter(options))):
        measure_latency(net(4), SHAPE, **options)


@pytest.mark.parametrize("package", ["onnx", "onnxruntime"])
def test_without_the_extra(monkeypatch, package):
    need("onnxruntime")
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtraError, match=rf"{package}: .*'foretell\[latency\]'"):
        measure_latency(net(4), SHAPE, runtime="onnxruntime")


def test_what_onnx_cannot_hold(monkeypatch, capfd):
    need("onnxruntime")
    with pytest.raises(ExportError, match=r"operation aten::linalg_svdvals"):
        measure_latency(Unknown(), SHAPE, runtime="onnxruntime", **QUICK)
    assert capfd.readouterr().out == ""
    assert measure_latency(Unknown(), SHAPE, **QUICK).median > 0
    monkeypatch.setitem(sys.modules, "onnxscript", None)  # the first exporter alone
    with pytest.raises(ExportError, match="other outputs than the module"):
        measure_latency(Branches(), SHAPE, runtime="onnxruntime", **QUICK)


def test_other_precisions():
    assert measure_latency(net(4).double(), SHAPE, **QUICK).median > 0
    need("onnxruntime")
    with pytest.raises(ExportError, match="no operation Conv for float64"):
        measure_latency(net(4).double(), SHAPE, runtime="onnxruntime", **QUICK)
    with pytest.raises(ExportError, match="bfloat16"):
        measure_latency(net(4).bfloat16(), SHAPE, runtime="onnxruntime", **QUICK)


def test_what_onnxruntime_does_not_know(monkeypatch):
    need("onnxruntime")
    onnx = pytest.importorskip("onnx")
    node = onnx.helper.make_node("Fancy", ["images"], ["logits"], domain="my.own")
    value = [onnx.helper.make_tensor_value_info(n, 1, [1]) for n in ("images", "logits")]
    graph = onnx.helper.make_graph([node], "g", value[:1], value[1:])
    versions = [onnx.helper.make_opsetid("", 17), onnx.helper.make_opsetid("my.own", 1)]
    model = onnx.helper.make_model(graph, opset_imports=versions, ir_version=8)
    monkeypatch.setattr(
        "foretell.cost.runtime.onnx_bytes", lambda *_, **__: model.SerializeToString()
    )
    with pytest.raises(ExportError, match=r"has no operation my\.own:Fancy"):
        measure_latency(net(4), SHAPE, runtime="onnxruntime", reference=net(4))


def test_a_runtime_from_elsewhere(monkeypatch):
    monkeypatch.setattr(runtimes, "_entries", dict(runtimes._entries))
    runtimes.register("slow", lambda module, images, threads: lambda: time.sleep(0.002))
    found = measure_latency(net(4), SHAPE, runtime="slow", **QUICK)
    assert found.runtime == "slow"
    assert found.minimum >= 0.002


def test_results_are_frozen_values():
    found = measure_latency(net(4), SHAPE, **QUICK)
    assert replace(found, median=found.median) == found


# --- the lock -------------------------------------------------------------------------------------

HOLD = """
import importlib.util, sys, time
spec = importlib.util.spec_from_file_location("lock", sys.argv[4])  # the package would load torch
_lock = importlib.util.module_from_spec(spec)
spec.loader.exec_module(_lock)
_lock.tempfile.tempdir = sys.argv[1]
for _ in range(int(sys.argv[2])):
    with _lock.measuring(60.0):
        start = time.monotonic()
        print("held", flush=True)
        time.sleep(float(sys.argv[3]))
        print(start, time.monotonic(), flush=True)
"""


def hold(folder, times, seconds):
    return subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder), str(times), str(seconds), _lock.__file__],
        stdout=subprocess.PIPE,
        text=True,
    )


def test_two_processes_never_measure_at_once(tmp_path):
    workers = [hold(tmp_path, 8, 0.02) for _ in range(2)]
    lines = [line for w in workers for line in w.communicate(timeout=120)[0].splitlines()]
    spans = sorted(tuple(map(float, line.split())) for line in lines if line != "held")
    assert len(spans) == 16
    assert all(first[1] <= second[0] for first, second in itertools.pairwise(spans))


def test_a_wait_that_is_too_long_and_a_holder_that_dies(tmp_path, monkeypatch):
    monkeypatch.setattr(_lock, "TELL_AFTER", 0.0)
    with hold(tmp_path, 1, 600) as holder:
        assert holder.stdout.readline() == "held\n"
        with (
            pytest.warns(UserWarning, match="Waiting for another process"),
            pytest.raises(MeasurementLockError, match="wait for it, or end it"),
        ):
            measure_latency(net(4), SHAPE, wait_seconds=0.1, **QUICK)
        os.kill(holder.pid, signal.SIGKILL)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert measure_latency(net(4), SHAPE, wait_seconds=60.0, **QUICK).runs


def test_a_lock_that_cannot_be_opened(tmp_path, monkeypatch):
    _lock.lock_path().symlink_to(tmp_path / "elsewhere")
    with pytest.raises(MeasurementLockError, match="cannot be opened"):
        measure_latency(net(4), SHAPE, **QUICK)
    assert not (tmp_path / "elsewhere").exists()

    def refuse(*_):
        raise OSError(37, "No locks available")

    _lock.lock_path().unlink()
    monkeypatch.setattr(_lock.fcntl, "flock", refuse)
    with pytest.raises(MeasurementLockError, match="No locks available"):
        measure_latency(net(4), SHAPE, **QUICK)


def test_importing_cost_loads_no_runtime():
    code = (
        "import json, sys, foretell.cost; "
        "print(json.dumps([m for m in ('onnx', 'onnxruntime', 'onnxscript') if m in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []

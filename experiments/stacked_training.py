"""Training many small networks at once, against one after the other.

    python experiments/stacked_training.py [--networks 16] [--repeats 5]

Networks of one skeleton have layers of equal shapes, so each kind of layer of k networks can be one
grouped convolution. As cells differ, the channels of the networks that use an operation are
gathered before it, and added up behind it; the last line does without, as only equal cells can. CPU
milliseconds of one step of plain SGD on 128 images, on one thread, the least of the repeats.
"""

import argparse
import time
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from foretell import Arch
from foretell.networks import build
from foretell.networks.cells import CONV1, CONV3, POOL, SKIP, Cell, ReLUConvBN, ResidualReduction
from foretell.networks.nb201 import NB201Network
from foretell.spaces import Skeleton
from foretell.studies.build_benchmark.draw import draw_cells

IMAGES, RATE = 128, 0.01
SKELETON = Skeleton((1, 8, 8), 10, 4, 1)


class Stack(nn.Module):
    """Networks of one skeleton as one network; each computes what it would alone.

    Inside cells, values are (m, k, c): m pixels of all images, k networks, c channels.
    """

    def __init__(self, networks: Sequence[NB201Network]) -> None:
        """Copy the weights."""
        super().__init__()
        self.networks = tuple(networks)  # a tuple, so that theirs are not parameters of the stack
        count = len(self.networks)
        everyone = range(count)
        stems = [n.stem for n in self.networks]
        self.stem = _Layer([s[0] for s in stems], [s[1] for s in stems], everyone, relu=False)
        self.layers = nn.ModuleList(
            _StackedReduction(blocks)
            if isinstance(blocks[0], ResidualReduction)
            else _Cells(blocks)
            for blocks in zip(*(n.layers for n in self.networks), strict=True)
        )
        self.last = _Norm([n.last[0] for n in self.networks], everyone)
        self.heads = _Heads([n.head for n in self.networks], everyone)

    def forward(self, x: Tensor) -> Tensor:
        """Images to logits of every network.

        Args:
            x: (n, c, h, w) for all, or (n, k * c, h, w): the images of one network after another's.

        Returns:
            (n, k, classes).
        """
        x = self.stem(x.contiguous(memory_format=torch.channels_last))
        for layer in self.layers:
            x = layer(x)
        pooled = F.relu(self.last(x)).mean((2, 3))
        return self.heads(pooled.view(len(x), len(self.networks), -1))


class _Shared(nn.Module):
    """Equal layers of several networks: each tensor is theirs, one after the other.

    Args:
        members: the layers.
        owners: whose each of them is.
    """

    owners: Tensor

    def __init__(self, members: Sequence[nn.Module], owners: Sequence[int]) -> None:
        super().__init__()
        self.members = tuple(members)
        for name, value in members[0].named_parameters():
            self._adopt(name, nn.Parameter(torch.empty_like(value)))
        for name, value in members[0].named_buffers():
            if value.ndim:
                self._adopt(name, torch.empty_like(value))
        self.register_buffer("owners", torch.tensor(list(owners)), persistent=False)

    def _adopt(self, name: str, like: Tensor) -> None:
        whole = torch.cat([dict(_tensors(m))[name].detach() for m in self.members])
        if isinstance(like, nn.Parameter):
            self.register_parameter(name, nn.Parameter(whole))
        else:
            self.register_buffer(name, whole)


def _tensors(module: nn.Module) -> list[tuple[str, Tensor]]:
    return [*module.named_parameters(), *module.named_buffers()]


class _Conv(_Shared):
    weight: Tensor

    def forward(self, x: Tensor) -> Tensor:
        first = self.members[0]
        assert isinstance(first, nn.Conv2d)
        groups = x.shape[1] // first.in_channels
        weight = self.weight.contiguous(memory_format=torch.channels_last)
        return F.conv2d(x, weight, None, first.stride, first.padding, groups=groups)


class _Norm(_Shared):
    weight: Tensor
    bias: Tensor
    running_mean: Tensor
    running_var: Tensor

    def forward(self, x: Tensor) -> Tensor:
        return F.batch_norm(
            x,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            self.training,
            momentum=0.1,
            eps=1e-5,
        )


class _Heads(_Shared):
    weight: Tensor
    bias: Tensor

    def forward(self, x: Tensor) -> Tensor:
        """(n, k, c) -> (n, k, classes)."""
        k = len(self.members)
        weight = self.weight.view(k, -1, x.shape[2])
        y = torch.baddbmm(self.bias.view(k, 1, -1), x.transpose(0, 1), weight.transpose(1, 2))
        return y.transpose(0, 1)


class _Layer(nn.Module):
    """ReLU, grouped convolution and BatchNorm."""

    def __init__(
        self,
        convs: Sequence[nn.Module],
        norms: Sequence[nn.Module],
        owners: Sequence[int],
        *,
        relu: bool = True,
    ) -> None:
        super().__init__()
        self.relu = relu
        self.conv, self.norm = _Conv(convs, owners), _Norm(norms, owners)

    @classmethod
    def of(cls, layers: Sequence[ReLUConvBN], owners: Sequence[int]) -> "_Layer":
        return cls([m.conv for m in layers], [m.norm for m in layers], owners)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.norm(self.conv(F.relu(x) if self.relu else x))
        return y


class _StackedReduction(nn.Module):
    def __init__(self, blocks: Sequence[ResidualReduction]) -> None:
        super().__init__()
        everyone = range(len(blocks))
        self.first = _Layer.of([b.first for b in blocks], everyone)
        self.second = _Layer.of([b.second for b in blocks], everyone)
        self.pool = blocks[0].pool
        self.shortcut = _Conv([b.shortcut for b in blocks], everyone)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.second(self.first(x)) + self.shortcut(self.pool(x))
        return y


class _Cells(nn.Module):
    """Cells of one shape, each with operations of its own."""

    def __init__(self, cells: Sequence[Cell]) -> None:
        super().__init__()
        self.count, self.channels = len(cells), cells[0].c_out
        self.targets = nn.ModuleList(_Target(cells, target) for target in (1, 2, 3))

    def forward(self, x: Tensor) -> Tensor:
        n, _, h, w = x.shape
        nodes = [x.permute(0, 2, 3, 1).reshape(n * h * w, self.count, self.channels)]
        for target in self.targets:
            nodes.append(target(torch.cat(nodes, 1) if len(nodes) > 1 else nodes[0], (n, h, w)))
        return _images(nodes[3], (n, h, w))


class _Target(nn.Module):
    """One node of all cells: the sum of the live operations that lead to it."""

    owners: Tensor

    def __init__(self, cells: Sequence[Cell], target: int) -> None:
        super().__init__()
        self.count = len(cells)
        self.convs = nn.ModuleDict()
        owners: list[int] = []
        for kind in (CONV1, CONV3, POOL, SKIP):
            found = [
                (k, source, cell.edges[edge])
                for k, cell in enumerate(cells)
                for edge, source in cell.plan[target - 1]
                if _kind(cell.edges[edge]) == kind
            ]
            places = [source * len(cells) + k for k, source, _ in found]
            mine = [k for k, _, _ in found]
            self.register_buffer(f"from{kind}", torch.tensor(places, dtype=torch.int64))
            if found and kind in (CONV1, CONV3):
                self.convs[str(kind)] = _Layer.of([op for _, _, op in found], mine)
            owners += mine
        self.register_buffer("owners", torch.tensor(owners, dtype=torch.int64))

    def forward(self, nodes: Tensor, shape: tuple[int, int, int]) -> Tensor:
        """(m, sources * k, c) -> (m, k, c)."""
        m, _, c = nodes.shape
        parts = []
        for kind in (CONV1, CONV3, POOL, SKIP):
            places = self.get_buffer(f"from{kind}")
            if not len(places):
                continue
            x = nodes.index_select(1, places)
            if kind != SKIP:
                images = _images(x, shape)
                if kind == POOL:
                    y = F.avg_pool2d(images, 3, 1, 1, count_include_pad=False)
                else:
                    y = self.convs[str(kind)](images)
                x = y.permute(0, 2, 3, 1).reshape(m, -1, c)
            parts.append(x)
        total = nodes.new_zeros(m, self.count, c)
        return total.index_add(1, self.owners, torch.cat(parts, 1)) if parts else total


def _kind(op: nn.Module) -> int:
    """Which operation a live edge's module is."""
    if isinstance(op, ReLUConvBN):
        return CONV1 if op.conv.kernel_size == (1, 1) else CONV3
    return POOL if isinstance(op, nn.AvgPool2d) else SKIP


def _images(x: Tensor, shape: tuple[int, int, int]) -> Tensor:
    """(m, k, c) -> (n, k * c, h, w) in the channels-last format."""
    n, h, w = shape
    return x.reshape(n, h, w, -1).permute(0, 3, 1, 2)


class Widened(nn.Module):
    """Networks of one cell without any gathering: the limit of what grouping can gain."""

    def __init__(self, network: NB201Network, count: int) -> None:
        """Put ``count`` copies of each layer side by side."""
        super().__init__()
        self.count = count
        self.heads = nn.Parameter(torch.randn(count, network.head.in_features, 10))
        self.body = network
        self._widen(network)

    def _widen(self, module: nn.Module) -> None:
        k = self.count
        for name, child in module.named_children():
            if isinstance(child, nn.Conv2d):
                c_in, c_out, kernel = (
                    k * child.in_channels,
                    k * child.out_channels,
                    child.kernel_size,
                )
                wide = nn.Conv2d(
                    c_in, c_out, kernel, child.stride, child.padding, groups=k, bias=False
                )  # type: ignore[arg-type]
                setattr(module, name, wide)
            elif isinstance(child, nn.BatchNorm2d):
                setattr(module, name, nn.BatchNorm2d(k * child.num_features))
            else:
                self._widen(child)

    def forward(self, x: Tensor) -> Tensor:
        """(n, 1, h, w) -> (n, k, classes)."""
        n, k = len(x), self.count
        x = x.expand(n, k, *x.shape[2:]).contiguous(memory_format=torch.channels_last)
        pooled = self.body.features(x).mean((2, 3)).view(n, k, -1).transpose(0, 1)
        return torch.bmm(pooled, self.heads).transpose(0, 1)


def step(loss: Tensor, module: nn.Module) -> None:
    loss.backward()  # type: ignore[no-untyped-call]
    moving = [p for p in module.parameters() if p.grad is not None]
    with torch.no_grad():
        torch._foreach_add_(moving, [p.grad for p in moving if p.grad is not None], alpha=-RATE)
    for p in moving:
        p.grad = None


def alone(networks: Sequence[nn.Module], x: Tensor, y: Tensor) -> Tensor:
    """One step of each; the losses, (k,)."""
    losses = []
    for network in networks:
        loss = F.cross_entropy(network(x), y)
        losses.append(loss.detach())
        step(loss, network)
    return torch.stack(losses)


def together(stack: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """One step of all; the losses, (k,)."""
    logits = stack(x)
    n, k, classes = logits.shape
    flat = F.cross_entropy(logits.reshape(n * k, classes), y.repeat_interleave(k), reduction="none")
    losses = flat.view(n, k).mean(0)
    step(losses.sum(), stack)
    return losses.detach()


def milliseconds(function: Callable[[], object], repeats: int) -> float:
    function()
    found = []
    for _ in range(repeats):
        start = time.process_time()
        function()
        found.append(time.process_time() - start)
    return 1e3 * min(found)


def difference(archs: Sequence[Arch], x: Tensor, y: Tensor) -> float:
    """Largest relative difference of any loss in ten steps, in double precision."""
    networks = [build(a, SKELETON, seed=i).double() for i, a in enumerate(archs)]
    stack, worst = Stack(networks), 0.0
    for _ in range(10):
        one, all_ = alone(networks, x.double(), y), together(stack, x.double(), y)
        worst = max(worst, float(((one - all_).abs() / one).max()))
    return worst


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--networks", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    x, y = torch.randn(IMAGES, 1, 8, 8), torch.randint(0, 10, (IMAGES,))
    drawn = draw_cells(options.networks)
    print(f"{'cells':24s} {'alone':>8s} {'together':>9s} {'ratio':>6s} {'difference':>11s}")
    for name, archs in {"all different": drawn, "all the same": drawn[:1] * len(drawn)}.items():
        networks = [build(a, SKELETON, seed=i) for i, a in enumerate(archs)]
        stack = Stack(networks)
        for network in networks:
            network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        one = milliseconds(lambda n=networks: alone(n, x, y), options.repeats)  # type: ignore[misc]
        all_ = milliseconds(lambda s=stack: together(s, x, y), options.repeats)  # type: ignore[misc]
        gap = difference(archs, x, y)
        print(f"{name:24s} {one:8.0f} {all_:9.0f} {one / all_:6.2f} {gap:11.1e}")
    wide = Widened(build(drawn[0], SKELETON, seed=0), len(drawn))  # type: ignore[arg-type]
    wide.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    all_ = milliseconds(lambda: together(wide, x, y), options.repeats)
    print(f"{'all the same, no routing':24s} {one:8.0f} {all_:9.0f} {one / all_:6.2f}")


if __name__ == "__main__":
    main()

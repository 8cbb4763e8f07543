"""Each proxy on its own, as its paper or its authors' code defines it, by plain autograd.

Nothing is shared: every function copies the network and runs its own forwards and backwards.
"""

import copy
import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from foretell.rng import stream_seed


def layers(net):
    return [m for m in net.modules() if isinstance(m, nn.Conv2d | nn.Linear)]


def gradients(net, x, y):
    net = copy.deepcopy(net).train()
    F.cross_entropy(net(x), y).backward()
    return [(m.weight.detach(), m.weight.grad) for m in layers(net) if m.weight.grad is not None]


def l2_norm(net, batches, seed):
    return sum(w.norm() for w, _ in gradients(net, batches.images[0], batches.labels[0]))


def grad_norm(net, batches, seed):
    return sum(g.norm() for _, g in gradients(net, batches.images[0], batches.labels[0]))


def snip(net, batches, seed):
    """By masks, as the paper has it: |dloss/dmask| at a mask of ones."""
    net = copy.deepcopy(net).train()
    masks = []
    for m in layers(net):
        mask = torch.ones_like(m.weight, requires_grad=True)
        masks.append(mask)
        if isinstance(m, nn.Conv2d):
            m.forward = lambda x, m=m, k=mask: F.conv2d(
                x, m.weight * k, m.bias, m.stride, m.padding
            )
        else:
            m.forward = lambda x, m=m, k=mask: F.linear(x, m.weight * k, m.bias)
    loss = F.cross_entropy(net(batches.images[0]), batches.labels[0])
    found = torch.autograd.grad(loss, masks, allow_unused=True)
    return sum(g.abs().sum() for g in found if g is not None)


def plain(net, batches, seed):
    return sum((w * g).sum() for w, g in gradients(net, batches.images[0], batches.labels[0]))


def _fisher(net, batches, weight):
    net = copy.deepcopy(net).train()
    total = []

    def watch(m, _, out):
        def of_gradient(g):
            product = (out.detach() * g).flatten(2).sum(2) if out.ndim > 2 else out.detach() * g
            channel = product.square().mean(0) / 2
            if weight:  # one value for each weight of the channel
                channel = channel.reshape(-1, 1).expand(-1, m.weight[0].numel())
            total.append(channel.sum())

        out.register_hook(of_gradient)

    for m in layers(net):
        m.register_forward_hook(watch)
    F.cross_entropy(net(batches.images[0]), batches.labels[0]).backward()
    return sum(total)


def fisher(net, batches, seed):
    return _fisher(net, batches, True)


def fisher_channels(net, batches, seed):
    return _fisher(net, batches, False)


def grasp(net, batches, seed):
    """Two forwards and a backward through a backward, as in the authors' code."""
    net = copy.deepcopy(net).train()
    x, y = batches.images[0], batches.labels[0]
    weights = [m.weight for m in layers(net)]
    first = torch.autograd.grad(F.cross_entropy(net(x), y), weights, allow_unused=True)
    loss = F.cross_entropy(net(x), y)
    again = torch.autograd.grad(loss, weights, create_graph=True, allow_unused=True)
    z = sum((a * b).sum() for a, b in zip(first, again, strict=True) if a is not None)
    z.backward()
    return -sum((w.detach() * w.grad).sum() for w in weights if w.grad is not None)


def jacobian(net, batches):
    x = batches.images[0].clone().requires_grad_()
    copy.deepcopy(net).train()(x).sum().backward()
    return x.grad.flatten(1).double().numpy()


def jacov(net, batches, seed):
    v = np.linalg.eigvals(np.corrcoef(jacobian(net, batches))).real
    return -float(np.sum(np.log(v + 1e-5) + 1 / (v + 1e-5)))


def epe_nas(net, batches, seed):
    j, labels = jacobian(net, batches), batches.labels[0].numpy()
    total = 0.0
    for c in np.unique(labels):
        total += abs(float(np.sum(np.log(np.abs(np.corrcoef(j[labels == c])) + 1e-5))))
    return total


def nwot(net, batches, seed):
    net = copy.deepcopy(net).train()
    kernels = []

    def watch(m, args, _):
        x = (args[0].flatten(1) > 0).double()
        kernels.append(x @ x.T + (1 - x) @ (1 - x).T)

    for m in net.modules():
        if type(m) is nn.ReLU:
            m.register_forward_hook(watch)
    net(batches.images[0])
    return torch.linalg.slogdet(sum(kernels))[1]


def linear_flow(net, batches):
    net = copy.deepcopy(net).double()
    for m in list(net.modules()):
        for name, child in m.named_children():
            if isinstance(child, nn.BatchNorm2d):
                setattr(m, name, nn.Identity())
    with torch.no_grad():
        for p in net.parameters():
            p.abs_()
    net(torch.ones(1, *batches.input_shape, dtype=torch.float64)).sum().backward()
    return [(m.weight.detach(), m.weight.grad) for m in layers(net) if m.weight.grad is not None]


def synflow(net, batches, seed):
    return math.log(sum(float((w * g).abs().sum()) for w, g in linear_flow(net, batches)))


def logsynflow(net, batches, seed):
    return sum((torch.log1p(g.abs()) * w.abs()).sum() for w, g in linear_flow(net, batches))


@torch.no_grad()
def zen(net, batches, seed):
    """Zen-NAS: every weight, x and e are N(0, 1), norms the identity, and x moves by 0.01 e."""
    net = copy.deepcopy(net).train()
    seed = stream_seed(seed, "zen")
    generator = torch.Generator().manual_seed(seed)
    for m in net.modules():
        if isinstance(m, nn.Conv2d | nn.Linear):
            m.weight.copy_(torch.randn(m.weight.shape, generator=generator))
            if m.bias is not None:
                m.bias.zero_()
        elif isinstance(m, nn.BatchNorm2d):
            m.weight.fill_(1)
            m.bias.zero_()
    generator = torch.Generator().manual_seed(seed ^ 1)
    first, e = (torch.randn(batches.images[0].shape, generator=generator) for _ in range(2))
    second = first + 0.01 * e
    distance = (net.features(first) - net.features(second)).abs().sum((1, 2, 3)).mean()
    score = math.log(float(distance))
    for m in net.modules():
        if isinstance(m, nn.BatchNorm2d) and int(m.num_batches_tracked):
            score += math.log(math.sqrt(float(m.running_var.double().mean())))
    return score


def _zico(net, batches, of):
    found = [gradients(net, x, y) for x, y in zip(batches.images, batches.labels, strict=True)]
    total = 0.0
    for layer in zip(*found, strict=True):
        g = np.stack([g.flatten().numpy() for _, g in layer])
        std = np.std(of(g), axis=0)
        size = np.mean(np.abs(g), axis=0)
        moving = std != 0
        if moving.any():
            total += math.log(np.sum(size[moving] / std[moving]))
    return total


def zico(net, batches, seed):
    return _zico(net, batches, np.abs)


def zico_code(net, batches, seed):
    return _zico(net, batches, lambda g: g)


REFERENCES = {
    f.__name__: f
    for f in (
        *(l2_norm, grad_norm, snip, plain, fisher, fisher_channels, grasp, jacov, epe_nas, nwot),
        *(synflow, logsynflow, zen, zico, zico_code),
    )
}

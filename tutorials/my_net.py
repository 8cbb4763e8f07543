"""Networks of your own: any function that returns a torch.nn.Module will do.

    foretell score tutorials/my_net.py:small tutorials/my_net.py:wide
    foretell cost tutorials/my_net.py:small --input 1x8x8

foretell passes those of the arguments input_shape, in_channels, classes and num_classes that the
function has.
"""

from torch import Tensor, nn


class Residual(nn.Module):
    """x + conv(relu(norm(x))): ordinary PyTorch, with whatever control flow you like."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels)
        self.conv = nn.Conv2d(channels, channels, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv(self.norm(x).relu())


def small(in_channels: int, num_classes: int) -> nn.Module:
    return network(in_channels, num_classes, width=12, depth=2)


def wide(in_channels: int, num_classes: int) -> nn.Module:
    return network(in_channels, num_classes, width=32, depth=2)


def network(in_channels: int, num_classes: int, width: int, depth: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(in_channels, width, 3, padding=1, bias=False),
        *(Residual(width) for _ in range(depth)),
        nn.BatchNorm2d(width),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(width, num_classes),
    )

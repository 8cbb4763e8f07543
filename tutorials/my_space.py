"""A search space of your own: named choices, and a function that builds a network from them.

    foretell search --space tutorials/my_space.py:space --data digits --max-params 60k

Nothing has to be installed or registered; every proxy, searcher, constraint and the export work on
it as on the spaces that foretell knows.
"""

from torch import Tensor, nn

from foretell.spaces import CustomSpace


class Block(nn.Module):
    """One convolution, normalised, with an optional way around it."""

    def __init__(self, channels: int, kernel: int, groups: int, around: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(
            channels, channels, kernel, padding=kernel // 2, groups=groups, bias=False
        )
        self.norm = nn.BatchNorm2d(channels)
        self.around = around

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(self.conv(x)).relu()
        return x + y if self.around else y


def build(
    *,
    input_shape: tuple[int, int, int],
    classes: int,
    width: int,
    depth: int,
    kernel: int,
    groups: int,
    around: bool,
    pool: str,
) -> nn.Module:
    reduce = nn.MaxPool2d(2) if pool == "max" else nn.AvgPool2d(2)
    layers: list[nn.Module] = [
        nn.Conv2d(input_shape[0], width, 3, padding=1, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(),
    ]
    layers += [Block(width, kernel, groups, around) for _ in range(depth)]
    layers += [reduce, nn.Conv2d(width, 2 * width, 1, bias=False), nn.BatchNorm2d(2 * width)]
    layers += [nn.ReLU(), *(Block(2 * width, kernel, groups, around) for _ in range(depth))]
    return nn.Sequential(
        *layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2 * width, classes)
    )


space = CustomSpace(
    choices={
        "width": (8, 12, 16, 24, 32),
        "depth": (1, 2, 3),
        "kernel": (3, 5),
        "groups": (1, 2, 4),
        "around": (False, True),
        "pool": ("max", "avg"),
    },
    build=build,
)

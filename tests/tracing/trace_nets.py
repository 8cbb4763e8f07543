"""Small networks of well-known kinds, written here so that tests need no other package."""

import torch
import torch.nn.functional as F
from torch import nn


class Residual(nn.Module):
    """He et al.: two convolutions and a way around, projected where the shape changes."""

    def __init__(self, c_in, c_out, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(c_in, c_out, 3, stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(c_out)
        self.conv2 = nn.Conv2d(c_out, c_out, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(c_out)
        self.around = nn.Identity()
        if stride > 1 or c_in != c_out:
            self.around = nn.Sequential(
                nn.Conv2d(c_in, c_out, 1, stride, bias=False), nn.BatchNorm2d(c_out)
            )
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x):
        y = self.norm2(self.conv2(self.relu(self.norm1(self.conv1(x)))))
        y += self.around(x)
        return self.relu(y)


def resnet():
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(3, 2, 1),
        Residual(8, 8, 1),
        Residual(8, 16, 2),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Dropout(0.2),
        nn.Linear(16, 10),
    )


class Inverted(nn.Module):
    """Sandler et al. and Howard et al.: expand, depthwise, squeeze-and-excitation, project."""

    def __init__(self, channels, expand):
        super().__init__()
        wide = channels * expand
        self.expand = nn.Sequential(
            nn.Conv2d(channels, wide, 1, bias=False), nn.BatchNorm2d(wide), nn.ReLU6()
        )
        self.depthwise = nn.Sequential(
            nn.Conv2d(wide, wide, 3, padding=1, groups=wide, bias=False),
            nn.BatchNorm2d(wide),
            nn.Hardswish(),
        )
        self.squeeze = nn.Conv2d(wide, 4, 1)
        self.excite = nn.Conv2d(4, wide, 1)
        self.project = nn.Sequential(
            nn.Conv2d(wide, channels, 1, bias=False), nn.BatchNorm2d(channels)
        )

    def forward(self, x):
        y = self.depthwise(self.expand(x))
        weight = self.excite(F.relu(self.squeeze(F.adaptive_avg_pool2d(y, 1))))
        return x + self.project(y * weight.sigmoid())


def mobilenet():
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, 2, padding=1, bias=False),
        nn.BatchNorm2d(8),
        Inverted(8, 2),
        Inverted(8, 3),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, 10),
    )


class DenseBlock(nn.Module):
    """Huang et al.: each layer reads all before it, side by side."""

    def __init__(self, channels, growth, layers):
        super().__init__()
        self.layers = nn.ModuleList(
            nn.Sequential(
                nn.BatchNorm2d(channels + i * growth),
                nn.ReLU(),
                nn.Conv2d(channels + i * growth, growth, 3, padding=1, bias=False),
            )
            for i in range(layers)
        )

    def forward(self, x):
        for layer in self.layers:
            x = torch.cat([x, layer(x)], 1)
        return x


def densenet():
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        DenseBlock(8, 4, 3),
        nn.Conv2d(20, 10, 1),
        nn.AvgPool2d(2),
        DenseBlock(10, 4, 2),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(18, 10),
    )


class Attention(nn.Module):
    """Of several heads, written out or by PyTorch's own function."""

    def __init__(self, channels, heads, fused):
        super().__init__()
        self.heads, self.fused = heads, fused
        self.qkv = nn.Linear(channels, 3 * channels)
        self.out = nn.Linear(channels, channels)

    def forward(self, x):
        b, n, c = x.shape
        q, k, v = self.qkv(x).reshape(b, n, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4)
        if self.fused:
            y = F.scaled_dot_product_attention(q, k, v)
        else:
            y = torch.softmax(q @ k.transpose(-2, -1) * (c // self.heads) ** -0.5, -1) @ v
        return self.out(y.transpose(1, 2).reshape(b, n, c))


class ViT(nn.Module):
    """Dosovitskiy et al.: patches, a token for the class, positions, blocks."""

    def __init__(self, channels=8, fused=True):
        super().__init__()
        self.patches = nn.Conv2d(3, channels, 4, 4)
        self.token = nn.Parameter(torch.zeros(1, 1, channels))
        self.positions = nn.Parameter(torch.zeros(1, 17, channels))
        self.norm1, self.norm2 = nn.LayerNorm(channels), nn.LayerNorm(channels)
        self.attention = Attention(channels, 2, fused)
        self.mlp = nn.Sequential(
            nn.Linear(channels, 16), nn.GELU(), nn.Dropout(0.1), nn.Linear(16, channels)
        )
        self.scale = nn.Parameter(torch.ones(channels))
        self.head = nn.Linear(channels, 10)

    def forward(self, x):
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], 1) + self.positions
        x = x + self.scale * self.attention(self.norm1(x))
        x = x + self.mlp(self.norm2(x))
        return self.head(x[:, 0])


class Sequences(nn.Module):
    """nn.TransformerEncoder on the rows of an image."""

    def __init__(self):
        super().__init__()
        layer = nn.TransformerEncoderLayer(48, 4, 32, batch_first=True, activation="gelu")
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(48, 10)

    def forward(self, x):
        return self.head(self.encoder(x.permute(0, 2, 1, 3).flatten(2)).mean(1))


class Several(nn.Module):
    """Networks beside one another."""

    def __init__(self, networks):
        super().__init__()
        self.networks = nn.ModuleList(networks)

    def forward(self, x):
        return tuple(network(x) for network in self.networks)


NETS = {
    "resnet": resnet,
    "mobilenet": mobilenet,
    "densenet": densenet,
    "vit": ViT,
    "transformer": Sequences,
}
"""All take images of 3 x 16 x 16."""

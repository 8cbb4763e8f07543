"""A common vocabulary of operations for torch.export, torch.fx and ONNX.

Names of operations are normalised to one form (lower case, no underscores, no suffix such as "2d").
"""

import re
from collections.abc import Mapping
from types import MappingProxyType

__all__ = [
    "COPIES",
    "NORMS",
    "NO_DATA",
    "PICKS",
    "POOLS",
    "PRODUCTS",
    "RECURRENT",
    "REDUCTIONS",
    "SIDE_BY_SIDE",
    "VIEWS",
    "is_cheap",
    "plain_word",
    "words",
]


def words(text: str) -> frozenset[str]:
    """Words of a text with spaces between."""
    return frozenset(text.split())


_SAME_WORD: Mapping[str, str] = MappingProxyType(
    {
        "convolution": "conv",
        "addmm": "linear",
        "gemm": "linear",
        "mm": "matmul",
        "bmm": "matmul",
        "baddbmm": "matmul",
        "averagepool": "avgpool",
        "globalaveragepool": "mean",
        "globalmaxpool": "amax",
        "reducemean": "mean",
        "reducemax": "amax",
        "sum": "reducesum",
        "max": "amax",
        "adaptivemaxpool": "amax",
        "adaptiveavgpool": "mean",
        "maxpoolwithindices": "maxpool",
        "cat": "concat",
        "concatenate": "concat",
        "iadd": "add",
        "imul": "mul",
        "truediv": "div",
        "multiply": "mul",
        "scaleddotproductattention": "attention",
        "multiheadattention": "attention",
        "nativelayernorm": "layernorm",
        "nativebatchnorm": "batchnorm",
        "nativegroupnorm": "groupnorm",
        "hardtanh": "clamp",
        "relu6": "clamp",
        "clip": "clamp",
        "swish": "silu",
        "interpolate": "resample",
        "resize": "resample",
        "upsample": "resample",
        "upsamplenearest": "resample",
        "upsamplebilinear": "resample",
        "upsamplebicubic": "resample",
    }
)
VIEWS = words(
    "view reshape flatten unflatten transpose permute swapaxes swapdims movedim squeeze unsqueeze "
    "expand expandas broadcastto contiguous clone detach alias to type float half double typeas "
    "dropout alphadropout featuredropout featurealphadropout identity t numpyt viewas reshapeas "
    "roll flip pad constantpad zeropad reflectionpad replicationpad circularpad pixelshuffle "
    "pixelunshuffle channelshuffle repeat repeatinterleave tile lift liftfresh cast castlike "
    "depthtospace spacetodepth unfold asstrided quantizelinear dequantizelinear"
)
"""Operations that only move or copy values; they are skipped."""
PICKS = words(
    "getitem select slice narrow chunk split splitwithsizes unsafesplit unsafechunk unbind index "
    "indexselect gather tensorsplit hsplit vsplit takealongdim gatherelements gathernd"
)
"""Views of a part of a value."""
NO_DATA = words(
    "size shape dim numel len emptylike zeroslike oneslike fulllike newzeros newones newempty "
    "newfull randlike randnlike getattr device dtype symsize constantofshape fill zero"
)
"""Operations whose result depends only on shapes."""
COPIES = words(
    "clone to type float half double typeas flip roll pad constantpad zeropad reflectionpad "
    "replicationpad circularpad repeat repeatinterleave tile cast castlike index indexselect "
    "gather takealongdim"
)
"""Views and parts that are copies."""
PRODUCTS = words("linear matmul einsum conv convtranspose bilinear")
SIDE_BY_SIDE = words("mul div sub where maskedfill")
"""With one value and constants only, these and ``add`` are skipped."""
POOLS = words("maxpool avgpool lppool fractionalmaxpool")
REDUCTIONS = words("mean amax reducesum")
NORMS = words("batchnorm layernorm groupnorm instancenorm rmsnorm")
RECURRENT = words("lstm gru rnn")
_CHEAP = words("add concat relu clamp gelu silu sigmoid softmax") | NORMS


def plain_word(name: str) -> str:
    """The normalised name of an operation.

    >>> plain_word("max_pool2d"), plain_word("MaxPool"), plain_word("relu_"), plain_word("GELU")
    ('maxpool', 'maxpool', 'relu', 'gelu')
    """
    word = re.sub(r"^parametrized|alization$", "", name.lower().replace("_", ""))
    if word not in _SAME_WORD:
        word = re.sub(r"(?<=[a-z])[123]d$", "", word)
    return _SAME_WORD.get(word, word)


def is_cheap(word: str) -> bool:
    """Whether an operation certainly has no multiply-adds."""
    return word in VIEWS | PICKS | NO_DATA | SIDE_BY_SIDE | POOLS | REDUCTIONS | _CHEAP

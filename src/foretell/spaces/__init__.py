"""Search spaces; no torch."""

from foretell.spaces._base import CostTable, ProductSpace, Skeleton, Space
from foretell.spaces._registry import get_space, name_of, spaces
from foretell.spaces.custom import CustomSpace
from foretell.spaces.darts import Darts
from foretell.spaces.nb101 import NB101
from foretell.spaces.nb201 import NB201
from foretell.spaces.size import SizeSpace
from foretell.spaces.transnas_macro import TransNASMacro
from foretell.spaces.transnas_micro import TransNASMicro

__all__ = [
    "NB101",
    "NB201",
    "CostTable",
    "CustomSpace",
    "Darts",
    "ProductSpace",
    "SizeSpace",
    "Skeleton",
    "Space",
    "TransNASMacro",
    "TransNASMicro",
    "get_space",
    "name_of",
    "spaces",
]

for _space, _line, _reference in (
    (
        NB201(),
        "cells of four nodes and six edges with five operations; 15,625 architectures",
        "Dong and Yang, NAS-Bench-201, ICLR 2020",
    ),
    (
        SizeSpace(),
        "channels of five layers around the best cell; 32,768 architectures",
        "Dong et al., NATS-Bench, TPAMI 2021, section 3.2",
    ),
    (
        TransNASMicro(),
        "cells of four nodes and six edges with four operations; 4,096 architectures",
        "Duan et al., TransNAS-Bench-101, CVPR 2021, section 3",
    ),
    (
        TransNASMacro(),
        "where four to six modules widen and lower the resolution; 3,256 architectures",
        "Duan et al., TransNAS-Bench-101, CVPR 2021, section 3",
    ),
    (
        NB101(),
        "cells of up to seven vertices with three operations; 423,624 architectures",
        "Ying et al., NAS-Bench-101, ICML 2019",
    ),
    (
        Darts(),
        "a normal and a reduction cell with seven operations; about 10^18 architectures",
        "Liu et al., DARTS, ICLR 2019; Zela et al., NAS-Bench-301, ICLR 2022",
    ),
):
    spaces.register(
        _space.name,
        _space,
        summary=_line,
        reference=_reference,
        network=_space.network,
        size=_space.size,
    )
del _space, _line, _reference

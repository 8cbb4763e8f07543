"""An encoding of your own, in one file.

    foretell encode --sample 5 --encoding tutorials/my_encoding.py:operations
    foretell predict measured.csv --encoding tutorials/my_encoding.py:operations+graf

An encoding is a function from architectures to a table of numbers with named columns, a row for
each architecture. Nothing is trained for it; "+" joins several.
"""

import numpy as np

from foretell.encodings import EncodingContext, EncodingTable, encodings


@encodings.add("operations", reference="this tutorial")
def operations(context: EncodingContext) -> EncodingTable:
    """How many nodes of the canonical graph carry each operation."""
    graphs = [context.space.graph(arch).canonical() for arch in context.archs]
    names = sorted({node.op for graph in graphs for node in graph.nodes})
    counts = [[sum(n.op == name for n in g.nodes) for name in names] for g in graphs]
    return EncodingTable(tuple(names), np.array(counts, dtype=np.float64))

"""TransNAS-Bench-101: official texts, published networks and what is known about them."""

import ast
from collections import Counter
from collections.abc import Callable
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foretell.arch import Arch
from foretell.encodings import graf_transnas_macro, graf_transnas_micro
from foretell.encodings.registry import EncodingContext, encode
from foretell.errors import ArchError
from foretell.spaces import Space, TransNASMacro, TransNASMicro, get_space

MICRO, MACRO = TransNASMicro(), TransNASMacro()
MODULES = {"basic": 1, "basic_c2": 2, "basic_s2": 3, "basic_c2_s2": 4}
cells = st.tuples(*[st.integers(0, 3)] * 6)


@pytest.fixture
def published(validation_data: Path) -> Callable[[str, str], list[tuple]]:
    """Columns of the published table of a space."""
    duckdb = pytest.importorskip("duckdb")

    def read(space: str, columns: str) -> list[tuple]:
        path = validation_data / f"transbench101_{space}.parquet"
        return duckdb.sql(f"SELECT DISTINCT {columns} FROM '{path}'").fetchall()

    return read


# --- texts ----------------------------------------------------------------------------------------


def test_micro_texts() -> None:
    arch = MICRO.parse("64-41414-1_02_333")
    assert arch == Arch("transnas_micro", (1, 0, 2, 3, 3, 3))
    assert MICRO.format(arch) == "64-41414-1_02_333"
    for text in ("(1, 0, 2, 3, 3, 3)", "(1,0,2,3,3,3)", "1.0.2.3.3.3", str(arch)):
        assert MICRO.parse(text) == arch
    assert MICRO.parse("transnas_micro:64-41414-1_02_333") == arch


def test_macro_texts() -> None:
    arch = MACRO.parse("64-1234-basic")
    assert arch == Arch("transnas_macro", (1, 2, 3, 4, 0, 0))
    assert MACRO.format(arch) == "64-1234-basic"
    for text in ("(1, 2, 3, 4)", "(1, 2, 3, 4, 0, 0)", "1.2.3.4.0.0", str(arch)):
        assert MACRO.parse(text) == arch
    assert MACRO.parse("64-411111-basic").genes == (4, 1, 1, 1, 1, 1)


@pytest.mark.parametrize(
    ("space", "text"),
    [
        (MICRO, "64-41414-1_02_334"),
        (MICRO, "64-41414-1_02_33"),
        (MICRO, "64-4141-1_02_333"),
        (MICRO, "32-41414-1_02_333"),
        (MICRO, "64-1234-basic"),
        (MICRO, "(1, 0, 2, 3, 3, 4)"),
        (MICRO, "1.0.2.3.3"),
        (MACRO, "64-41414-1_02_333"),
        (MACRO, "64-123-basic"),
        (MACRO, "64-1235-basic"),
        (MACRO, "64-1111-basic"),  # neither channels nor stride change
        (MACRO, "64-2222-basic"),  # no stride
        (MACRO, "64-3333-basic"),  # no more channels
        (MACRO, "64-4444-basic"),  # channels doubled four times
        (MACRO, "64-333334-basic"),  # five strides and more
        (MACRO, "(1, 2, 3, 0, 4)"),
        (MACRO, "1.2.3.4"),
        (MACRO, "1.2.0.3.4.0"),
    ],
)
def test_what_is_no_network_is_refused(space: Space, text: str) -> None:
    with pytest.raises(ArchError, match=r"[Ee]xpected"):
        space.parse(text)


def test_bounds_are_said() -> None:
    with pytest.raises(ArchError, match=r"1 to 3 double the channels .* 1 to 4 have a stride"):
        MACRO.parse("64-4444-basic")


# --- published networks ---------------------------------------------------------------------------


def test_every_published_cell_is_one_of_ours(published: Callable) -> None:
    found = {MICRO.parse(text) for (text,) in published("micro", "arch")}
    assert len(found) == MICRO.size == 4096
    assert found == set(MICRO.enumerate())


def test_every_published_macro_network_is_one_of_ours_and_no_other_is(published: Callable) -> None:
    found = {MACRO.parse(text) for (text,) in published("macro", "arch")}
    assert len(found) == MACRO.size == 3256
    assert found == set(MACRO.enumerate())


def test_2128_cells_have_no_unreachable_operation() -> None:
    """As counted independently from the published rule."""
    whole = 0
    for arch in MICRO.enumerate():
        graph = MICRO.graph(arch)
        whole += all(
            live
            for node, live in zip(graph.nodes, graph.live, strict=True)
            if node.op not in ("zero", "input", "sum", "output")
        )
    assert whole == 2128


def test_published_costs_of_macro_networks(published: Callable) -> None:
    """Stem, what the graph's modules say, head: all 662 published counts of parameters are equal.

    Published multiply-adds count normalisations and activations, too: up to 1.2 % more.
    """
    rows = published("macro", "arch, params, flops, dataset")
    rows = [(a, p, f) for a, p, f, data in rows if p is not None and data == "class_object"]
    assert len(rows) == 662
    for text, params, flops in rows:
        modules = MACRO.graph(MACRO.parse(text)).nodes[1:-1]
        c = modules[-1].attrs["out_channels"]
        stem, head = 3 * 32 * 9 + 64 + 32 * 64 * 9 + 128, c * 100 + 100
        ours = stem + sum(n.attrs["params"] for n in modules) + head
        assert ours == round(params * 1e6)
        stem = 3 * 32 * 9 * 128**2 + 32 * 64 * 9 * 64**2
        ours = stem + sum(n.attrs["flops"] for n in modules) + c * 100
        assert 1 < flops * 1e6 / ours < 1.013


def test_modules_do_what_they_say() -> None:
    """Parameters and multiply-adds layer by layer, from channels and strides alone."""
    for arch in MACRO.enumerate():
        c, px = 64, 64
        for node in MACRO.graph(arch).nodes[1:-1]:
            out, stride = c * node.attrs["channel_factor"], node.attrs["stride"]
            px //= stride
            layers = [(c, out, 3), (out, out, 3), (out, out, 3), (out, out, 3)]
            layers += [(c, out, 1)] if out != c or stride > 1 else []
            weights = [a * b * k * k for a, b, k in layers]
            assert node.attrs["params"] == sum(weights) + 2 * out * len(layers)
            assert node.attrs["flops"] == sum(weights) * px * px
            assert (node.attrs["out_channels"], node.attrs["resolution"]) == (out, px)
            c = out


def test_published_parameters_of_cells(published: Callable) -> None:
    """Edges and operations are those of the authors: all 711 published counts are equal."""
    rows = published("micro", "arch, params, dataset")
    rows = [(a, p) for a, p, data in rows if p is not None and data == "class_object"]
    assert len(rows) == 711
    for text, millions in rows:
        genes = MICRO.parse(text).genes
        c, params = 64, 3 * 32 * 9 + 64 + 32 * 64 * 9 + 128
        for module, cell in product("41414", range(2)):
            out = 2 * c if module == "4" and not cell else c
            for (source, _), gene in zip(MICRO.edges, genes, strict=True):
                before = out if source else c
                if gene in (2, 3):
                    params += before * out * (9 if gene == 3 else 1) + 2 * out
                elif gene == 1 and before != out:
                    params += before * out + 2 * out
            c = out
        assert params + c * 100 + 100 == round(millions * 1e6)


# --- graphs ---------------------------------------------------------------------------------------


@given(cells)
def test_cells_live_as_their_graph_says(genes: tuple[int, ...]) -> None:
    arch = Arch("transnas_micro", genes)
    graph = MICRO.graph(arch)
    assert MICRO.alive([arch])[0] == graph.alive
    names = ("zero", "skip", "conv1x1", "conv3x3")
    ops = [n.op for n in graph.nodes if n.op not in ("input", "sum", "output")]
    assert ops == [names[g] for g in genes]


def test_macro_graphs_are_chains_of_their_modules() -> None:
    for arch in MACRO.enumerate():
        graph = MACRO.graph(arch)
        code = [MODULES[n.op] for n in graph.nodes[1:-1]]
        assert tuple(code) == arch.genes[: len(code)]
        assert [n.attrs["stride"] for n in graph.nodes[1:-1]] == [1 + (m > 2) for m in code]
    assert len({MACRO.graph(a).hash() for a in MACRO.enumerate()}) == 3256


# --- edits ----------------------------------------------------------------------------------------


def test_every_macro_edit_can_be_taken_back_and_leads_everywhere() -> None:
    near = {a: MACRO.neighbors(a) for a in MACRO.enumerate()}
    for arch, others in near.items():
        assert len(set(others)) == len(others)
        assert arch not in others
        assert all(arch in near[other] for other in others)
    seen = {MACRO.parse("64-1234-basic")}
    fresh = seen
    while fresh:
        fresh = {b for a in fresh for b in near[a]} - seen
        seen |= fresh
    assert len(seen) == 3256


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ("1234", "1334", "module 2: strided instead of wider"),
        ("1234", "12344", "module 5 added: wider and strided"),
        ("1234", "11234", "module 2 added: plain"),
        ("12341", "1234", "module 5 removed: plain"),
        ("41234", "1234", "module 1 removed: wider and strided"),
        ("1234", "1234", ""),
        (
            "1234",
            "1444",
            "module 2: wider and strided, wider and strided instead of wider, strided",
        ),
    ],
)
def test_macro_edits_in_words(before: str, after: str, words: str) -> None:
    first, second = (MACRO.parse(f"64-{code}-basic") for code in (before, after))
    assert MACRO.edit(first, second) == words


def test_micro_edits_in_words() -> None:
    arch = MICRO.parse("64-41414-1_02_333")
    other = MICRO.parse("64-41414-1_12_330")
    words = "skip on edge 0->2 instead of none, none on edge 2->3 instead of conv3x3"
    assert MICRO.edit(arch, other) == words


def test_children_mix_both_parents() -> None:
    first, second = MACRO.parse("64-1234-basic"), MACRO.parse("64-434121-basic")
    rng = np.random.default_rng(0)
    children = [MACRO.crossover(first, second, rng) for _ in range(300)]
    lengths = Counter(sum(g > 0 for g in c.genes) for c in children)
    assert set(lengths) == {4, 6}
    assert len(set(children)) > 10
    for child in children:
        pairs = zip(child.genes, first.genes, second.genes, strict=True)
        assert all(g in (0, a, b) for g, a, b in pairs)


def test_samples_are_uniform() -> None:
    """Lengths come as often as there are networks of each: 210, 750 and 2,296."""
    rng = np.random.default_rng(0)
    lengths = Counter(sum(g > 0 for g in MACRO.sample(rng).genes) for _ in range(3000))
    for length, count in ((4, 210), (5, 750), (6, 2296)):
        assert lengths[length] / 3000 == pytest.approx(count / 3256, abs=0.03)


# --- published features ---------------------------------------------------------------------------


def test_published_features(published: Callable) -> None:
    """Those of the authors' tuples, which the table holds as they are."""
    for name, direct in (("micro", graf_transnas_micro), ("macro", graf_transnas_macro)):
        space = get_space(f"transnas_{name}")
        texts = [text for (text,) in published(name, "arch")][:500]
        context = EncodingContext(space, [space.parse(t) for t in texts])
        table = encode("graf_compat", context).tables["graf_compat"]
        tuples = [ast.literal_eval(t) for t in texts]
        expected = direct(np.array(tuples) if name == "micro" else tuples)
        assert table.names == expected.names
        np.testing.assert_array_equal(table.values, expected.values)

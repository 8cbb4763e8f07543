"""The contract of a page: what a section is, and that a page shows what its sections return."""

from dataclasses import replace

import pytest
from html_page import Page as Shown

from foretell.report._base import (
    Card,
    Cell,
    Chart,
    Code,
    Column,
    Drawing,
    Files,
    Folded,
    Grid,
    Note,
    Pair,
    Pairs,
    Section,
    Shares,
    Table,
    charts_of,
)
from foretell.report.html import document
from foretell.report.html.charts import axis, figure, scatter
from foretell.report.search.page import PAGE

pytestmark = pytest.mark.usefixtures("light")


def chart(name):
    return Chart(name, "A chart", "Text.", figure([scatter([1], [2], "p")], axis("x"), axis("y")))


def slowest(run):
    rows = sorted(run.trials, key=lambda t: -t.seconds)[:3]
    table = Table(
        "Slowest trials",
        (Column("Trial", "n"), Column("Seconds", "n")),
        tuple((str(t.number), f"{t.seconds:.1f}") for t in rows),
    )
    return Section("slowest", "Slowest trials", "What took longest.", (table, chart("more")))


def shown(run, *sections):
    return Shown(document.render(replace(PAGE, sections=sections), run))


def test_a_section_is_a_function_and_a_place_in_the_tuple(run):
    page = Shown(document.render(replace(PAGE, sections=(*PAGE.sections, slowest)), run))
    links = [a["href"] for t, a in page.tags if t == "a"]
    sections = [a["id"] for t, a in page.tags if t == "section"]
    assert links == [f"#{s}" for s in sections]
    assert sections[-1] == "slowest"
    assert "What took longest." in page.text
    assert "more" in page.figures


def test_a_function_may_make_none_or_several(run):
    page = shown(run, lambda _: (), lambda _: (Section("a", "First"), Section("b", "Second")))
    assert [a["id"] for t, a in page.tags if t == "section"] == ["a", "b"]


def test_every_block_shows_all_of_its_texts(run):
    table = Table(
        "A label",
        (Column("H1", "key", header=True), Column("H2", "n"), Column("H3", "change")),
        (
            ("r1", "v1", Cell("v2", share=0.5, up=False)),
            (Cell("r2", below=("below r2",), tag="tag r2"), Cell("v3", bad=True), "v4"),
            ("r3", "v5", "v6"),
        ),
        title="table title",
        text="table text",
        note="table note",
        starred=frozenset({1}),
        fold=2,
        rest="and one more",
    )
    blocks = (
        Card((Pairs((Pair("p1", "q1", "n"),), title="pairs title", note="pairs note"),
              Files("files title", ("a/b.txt",), ("not c.txt",)))),
        Grid((chart("c1"), table), "two"),
        Folded("click me", (Code("run me"), Pairs((), empty="no pairs"), chart("c2"))),
        Shares("shares title", (3.0, 1.0), ("three", "one")),
        Drawing("drawing title", None, "label", empty="no drawing"),
        Chart("c3", "empty chart", "", None, "no chart"),
        *(Note(f"note {s}", s) for s in ("empty", "note", "warn", "small", "head")),
    )  # fmt: skip
    page = shown(run, lambda _: Section("s", "section title", "section text", blocks, link="S"))
    for words in (
        "section title", "section text", "p1", "q1", "pairs title", "pairs note", "files title",
        "a/b.txt", "not c.txt", "H1", "H2", "H3", "r1", "v1", "v2", "below r2", "tag r2", "v3",
        "v4", "r3", "v5", "v6",
        "table title", "table text", "table note", "and one more", "click me",
        "run me", "no pairs", "shares title", "three", "one", "drawing title", "no drawing",
        "empty chart", "no chart", "note empty", "note warn", "note small", "note head",
    ):  # fmt: skip
        assert words in page.words, words
    assert (
        set(page.figures)
        == {"c1", "c2"}
        == {a["id"] for _, a in page.tags if a.get("class") == "plot"}
    )
    assert [c.id for c in charts_of(blocks)] == ["c1", "c2", "c3"]
    assert sum(a.get("class") == "star" for t, a in page.tags if t == "tr") == 1


def test_a_row_of_the_wrong_length_is_refused(run):
    table = Table("t", (Column("a"), Column("b")), (("only one",),))
    with pytest.raises(ValueError, match="shorter"):
        shown(run, lambda _: Section("s", "s", blocks=(table,)))


def test_a_value_is_never_markup(run):
    odd = "<i>&{{1}}"
    blocks = (
        Table(odd, (Column(odd, "arch"),), ((Cell(odd, below=(odd,), tag=odd),),), title=odd),
        Pairs((Pair(odd, odd, "arch"),), title=odd),
        Files(odd, (odd,), (odd,)),
        Shares(odd, (1.0,), (odd,)),
        Code(odd),
        Note(odd),
        Folded(odd, (chart("c"),)),
    )
    page = shown(run, lambda _: Section("s", odd, odd, blocks))
    marks = [t for t, _ in page.tags if t == "i"]
    assert (
        len(marks)
        == sum(  # bars and keys of the page itself
            t == "i" for t, _ in shown(run, lambda _: Section("s", "t")).tags
        )
        + 2
    )
    assert odd in page.text

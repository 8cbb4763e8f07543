"""What a page is made of: a page is a head and sections, a section is a function of a study's data.

To add a section, write one function that takes what the study found and returns a `Section`, and
name it in the page's tuple: its place in the navigation, its headings, charts and tables come from
the value. Blocks are plain values; nothing in them is HTML except a drawing, and every text is
escaped where it is written.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Generic, Literal, TypeVar

from markupsafe import Markup

from foretell.types import Json

__all__ = [
    "Block",
    "Card",
    "Cell",
    "Chart",
    "Code",
    "Column",
    "Drawing",
    "Files",
    "Folded",
    "Grid",
    "Head",
    "Hero",
    "Line",
    "Note",
    "Page",
    "Pair",
    "Pairs",
    "Section",
    "Shares",
    "Step",
    "Table",
    "Tile",
    "charts_of",
]

Data = TypeVar("Data")
Style = Literal["", "n", "key", "arch", "value", "words", "change"]
"""How a column looks: text, number, name, architecture, long text, phrase, bar."""


@dataclass(frozen=True)
class Chart:
    """A chart with its heading.

    Args:
        id: of its place on the page, all different.
        title: heading.
        text: caption, a sentence or two; may be empty.
        figure: traces and layout as ``foretell.report.html.charts`` makes them; None if there is
            nothing to draw.
        empty: what is said in its place then.
    """

    kind: ClassVar[str] = "chart"
    id: str
    title: str
    text: str = ""
    figure: Mapping[str, Json] | None = None
    empty: str = ""


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Args:
        head: its heading.
        style: how its cells look.
        header: whether its cells name their rows.
    """

    head: str
    style: Style = ""
    header: bool = False


@dataclass(frozen=True)
class Cell:
    """A cell that is more than a text.

    Args:
        text: what it says.
        below: muted lines under it.
        tag: a mark behind it, such as "winner".
        bad: whether it tells of a failure.
        share: length of a bar under it, in [0, 1]; None for no bar.
        up: whether that bar means better.
    """

    text: str
    below: tuple[str, ...] = ()
    tag: str = ""
    bad: bool = False
    share: float | None = None
    up: bool = True


Line = tuple[Cell | str, ...]
"""A row of a table."""


@dataclass(frozen=True)
class Table:
    """A table.

    Args:
        label: what it is, for readers who cannot see it.
        columns: all of them.
        rows: a cell for each column; texts and ``Cell``.
        title: heading; may be empty.
        text: what is said above it.
        note: what is said below it.
        starred: rows that stand out, by their place.
        fold: rows that are shown at once; the others are behind a click. None shows all.
        rest: what is said of the others, such as "The other 12".
        tight: whether rows are low.
    """

    kind: ClassVar[str] = "table"
    label: str
    columns: tuple[Column, ...]
    rows: tuple[Line, ...]
    title: str = ""
    text: str = ""
    note: str = ""
    starred: frozenset[int] = frozenset()
    fold: int | None = None
    rest: str = ""
    tight: bool = True

    def parts(self) -> Iterator[list[tuple[bool, list[tuple[Column, Cell]]]]]:
        """The rows at once and, where there are more, the others: (starred, cells) each."""
        rows = [
            (
                i in self.starred,
                [
                    (c, v if isinstance(v, Cell) else Cell(v))
                    for c, v in zip(self.columns, row, strict=True)
                ],
            )
            for i, row in enumerate(self.rows)
        ]
        fold = len(rows) if self.fold is None else self.fold
        yield rows[:fold]
        if rows[fold:]:
            yield rows[fold:]


@dataclass(frozen=True)
class Pair:
    """A name and its value.

    Args:
        name: what it is.
        value: as text.
        style: "arch" for an architecture, "n" for a number that is aligned to the right.
    """

    name: str
    value: str
    style: Style = ""


@dataclass(frozen=True)
class Pairs:
    """Names and values.

    Args:
        rows: all of them.
        title: heading; may be empty.
        note: what is said below.
        empty: what is said where there are no rows.
    """

    kind: ClassVar[str] = "pairs"
    rows: tuple[Pair, ...]
    title: str = ""
    note: str = ""
    empty: str = ""


@dataclass(frozen=True)
class Files:
    """Files beside the page.

    Args:
        title: heading.
        names: their paths, relative to the page.
        missing: sentences on what was left out.
    """

    kind: ClassVar[str] = "files"
    title: str
    names: tuple[str, ...]
    missing: tuple[str, ...] = ()


@dataclass(frozen=True)
class Drawing:
    """A graph of operations.

    Args:
        title: heading.
        svg: the drawing, trusted as it is; None if there is none.
        label: what it is, for readers who cannot see it.
        skips: whether skip connections are in it.
        dead: whether operations without effect are in it.
        empty: what is said where there is none.
    """

    kind: ClassVar[str] = "drawing"
    title: str
    svg: Markup | None
    label: str
    skips: bool = False
    dead: bool = False
    empty: str = ""


@dataclass(frozen=True)
class Shares:
    """Parts of a whole, as one bar.

    Args:
        title: heading.
        parts: sizes, above 0.
        texts: what is said of each part.
    """

    kind: ClassVar[str] = "shares"
    title: str
    parts: tuple[float, ...]
    texts: tuple[str, ...]


@dataclass(frozen=True)
class Code:
    """Text to copy, such as a command."""

    kind: ClassVar[str] = "code"
    text: str


@dataclass(frozen=True)
class Note:
    """A sentence by itself.

    Args:
        text: the sentence.
        style: "" for text, "empty" in the place of what is not there, "note" for a fact, "warn"
            for what a reader must know, "small" for an aside, "head" for a heading.
    """

    kind: ClassVar[str] = "note"
    text: str
    style: Literal["", "empty", "note", "warn", "small", "head"] = ""


@dataclass(frozen=True)
class Card:
    """Blocks on one card; charts have cards of their own."""

    kind: ClassVar[str] = "card"
    blocks: tuple["Block", ...]


@dataclass(frozen=True)
class Grid:
    """Blocks side by side, below each other where there is no room.

    Args:
        blocks: one or two.
        shape: "two" of the same width, "side" for a drawing and a chart, "wide-narrow" for a chart
            and its numbers; "" for one.
    """

    kind: ClassVar[str] = "grid"
    blocks: tuple["Block", ...]
    shape: Literal["", "two", "side", "wide-narrow"] = ""


@dataclass(frozen=True)
class Folded:
    """Blocks behind a click.

    Args:
        title: what is clicked.
        blocks: what is behind it.
    """

    kind: ClassVar[str] = "folded"
    title: str
    blocks: tuple["Block", ...]


Block = (
    Chart | Table | Pairs | Files | Drawing | Shares | Code | Note | Card | Grid | Folded
)  # fmt: skip


@dataclass(frozen=True)
class Section:
    """A part of a page.

    Args:
        id: its anchor, all different.
        title: heading.
        text: what it is about, in sentences; may be empty.
        blocks: what it shows, from top to bottom.
        link: its name in the navigation; the title if empty.
    """

    id: str
    title: str
    text: str = ""
    blocks: tuple[Block, ...] = ()
    link: str = ""


@dataclass(frozen=True)
class Tile:
    """A number of the first screen.

    Args:
        name: what it is.
        value: as text.
        detail: a few words on it.
        share: length of a bar, in [0, 1]; None for no bar.
    """

    name: str
    value: str
    detail: str = ""
    share: float | None = None


@dataclass(frozen=True)
class Hero:
    """The first screen.

    Args:
        what: what the large number is.
        number: as text.
        range: how sure it is, in words.
        tiles: numbers beside it.
        unit: behind the number, smaller.
    """

    what: str
    number: str
    range: str
    tiles: tuple[Tile, ...]
    unit: str = ""


@dataclass(frozen=True)
class Step:
    """A step of the way from many networks to one.

    Args:
        label: what is left.
        count: how many.
        lost: what fell away before, in words.
    """

    label: str
    count: int
    lost: str = ""


@dataclass(frozen=True)
class Head:
    """What stands above the sections.

    Args:
        title: of the page.
        facts: one line on what was done.
        hero: the first screen.
        steps: the way to the winner; may be empty.
        notes: what a reader must know.
        version: of foretell; may be empty.
    """

    title: str
    facts: str
    hero: Hero
    steps: tuple[Step, ...] = ()
    notes: tuple[Note, ...] = ()
    version: str = ""


@dataclass(frozen=True)
class Page(Generic[Data]):
    """A page on what a study found.

    Args:
        head: makes what stands above the sections.
        sections: each makes one section, or several of a kind; none for what does not apply.
        units: a sentence on the units of the page.
    """

    head: Callable[[Data], Head]
    sections: tuple[Callable[[Data], Section | tuple[Section, ...]], ...]
    units: str

    def parts(self, data: Data) -> tuple[Section, ...]:
        """All sections of what a study found, in their order."""
        made = [section(data) for section in self.sections]
        return tuple(s for m in made for s in (m if isinstance(m, tuple) else (m,)))


def charts_of(blocks: Sequence[Block]) -> Iterator[Chart]:
    """Every chart among blocks and what they hold."""
    for block in blocks:
        if isinstance(block, Chart):
            yield block
        elif isinstance(block, Card | Grid | Folded):
            yield from charts_of(block.blocks)

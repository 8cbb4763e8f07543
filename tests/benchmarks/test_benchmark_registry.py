"""Which benchmarks there are, where their tables are, and how they are opened and got."""

import re
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import platformdirs
import pytest
from faulty_server import serving

from foretell.benchmarks import (
    Benchmark,
    Table,
    _registry,
    benchmarks,
    download_benchmark,
    from_data,
    home,
    how_to_get,
    import_benchmark,
    imported,
    open_benchmark,
    table_path,
    write_table,
)
from foretell.benchmarks._official import OFFICIAL
from foretell.benchmarks.download import Link
from foretell.errors import (
    BenchmarkError,
    DownloadError,
    MissingDataError,
    PluginError,
    TableFormatError,
    UnknownNameError,
)
from foretell.registry import Entry
from foretell.spaces import get_space, spaces

EMBEDDED = "digits-nb201"
LINKS = [pytest.param(o, link, id=f"{o.name}-{link.file}") for o in OFFICIAL for link in o.links]


def test_what_is_registered():
    assert benchmarks.names() == (EMBEDDED, *(o.name for o in OFFICIAL))
    assert {o.name for o in OFFICIAL} == {
        "nats-tss", "nats-sss", "nb201", "nb101", "transnas", "suite-zero", "nb201-robustness",
        "hw-nas", "nb-macro",
    }  # fmt: skip


@pytest.mark.parametrize("official", OFFICIAL, ids=lambda o: o.name)
def test_facts_agree_with_the_spaces(official):
    assert official.links
    assert official.summary
    assert official.reference
    if official.space:
        assert official.space in spaces
        size = get_space(official.space).size
        assert official.architectures == size or official.name == "nb201-robustness"


@pytest.mark.parametrize(("official", "link"), LINKS)
def test_addresses_can_be_used(official, link):
    parts = urlsplit(link.url)
    assert parts.scheme == "https" or link.browser
    assert parts.hostname
    assert link.browser == (parts.hostname in ("drive.google.com", "data.robustness.vision"))
    assert Path(link.file).name == link.file
    assert re.fullmatch(r"([0-9a-f]{64})?", link.sha256)
    if not link.browser:
        assert parts.path.endswith("/" + link.file)


def test_the_home_folder(tables_home, monkeypatch):
    assert home() == tables_home
    monkeypatch.setenv("FORETELL_BENCHMARKS", "~/tables")
    assert home() == Path.home() / "tables"
    monkeypatch.delenv("FORETELL_BENCHMARKS")
    assert home() == Path(platformdirs.user_data_dir("foretell")) / "benchmarks"


def test_a_table_is_opened_by_name_and_by_path(small_data, tables_home, tmp_path):
    assert imported() == ()
    write_table(small_data, table_path("nats-tss"))
    write_table(small_data, tables_home / "mine.foretell")
    elsewhere = write_table(small_data, tmp_path / "other.foretell")
    assert imported() == ("mine", "nats-tss")
    for name in ("nats-tss", "mine", elsewhere, str(elsewhere)):
        opened = open_benchmark(name)
        assert isinstance(opened, Table)
        assert len(opened) == 30
    without_ending = elsewhere.rename(tmp_path / "other")
    assert len(open_benchmark(str(without_ending)).texts) == 30


def test_a_file_in_the_way_does_not_hide_a_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("nb101").write_bytes(b"rubbish")
    with pytest.raises(MissingDataError, match="benchmark download nb101"):
        open_benchmark("nb101")
    with pytest.raises(TableFormatError):
        open_benchmark("./nb101")


def test_what_cannot_be_opened_is_named(small_data, tables_home, tmp_path):
    write_table(small_data, tables_home / "my-table.foretell")
    with pytest.raises(UnknownNameError, match="did you mean my-table"):
        open_benchmark("my-tabel")
    with pytest.raises(UnknownNameError, match="did you mean nats-tss"):
        open_benchmark("nats-ts")
    with pytest.raises(MissingDataError, match=r"gone\.foretell"):
        open_benchmark(tmp_path / "gone.foretell")
    (tables_home / "nb101.foretell").write_bytes(b"rubbish")
    with pytest.raises(TableFormatError, match="nb101"):
        open_benchmark("nb101")


@pytest.mark.parametrize("official", OFFICIAL, ids=lambda o: o.name)
def test_an_absent_table_says_how_to_get_it(official):
    with pytest.raises(MissingDataError) as caught:
        open_benchmark(official.name)
    told = str(caught.value)
    assert f"foretell benchmark import {official.name} PATH" in told
    first = official.links[0]
    fetch = first.url if first.browser else f"foretell benchmark download {official.name}"
    assert fetch in told
    assert len(told) < 500


def test_the_embedded_table_is_of_the_package_or_its_absence_is_said(monkeypatch, tmp_path):
    assert table_path(EMBEDDED).parent == Path(_registry.__file__).parent
    if table_path(EMBEDDED).is_file():
        assert open_benchmark(EMBEDDED).space == "nb201"
    monkeypatch.setattr(_registry, "table_path", lambda name: tmp_path / "none.foretell")
    with pytest.raises(MissingDataError, match="foretell benchmark build digits-nb201"):
        open_benchmark(EMBEDDED)
    with pytest.raises(DownloadError, match=r"nothing to download.*benchmark build"):
        download_benchmark(EMBEDDED)


PLUGIN = """
from foretell.benchmarks import Table
calls = []
def function():
    calls.append(1)
    return Table.open({path!r})
table = Table.open({path!r})
number = 3
def wrong():
    return 3
"""


def test_a_plug_in_gives_a_benchmark(small_data, tmp_path):
    path = write_table(small_data, tmp_path / "t.foretell")
    file = tmp_path / "mine.py"
    file.write_text(PLUGIN.format(path=str(path)))
    for name in ("function", "table"):
        opened = open_benchmark(f"{file}:{name}")
        assert isinstance(opened, Benchmark)
        assert opened.name == "small"
    for name in ("number", "wrong"):
        with pytest.raises(PluginError, match="is a int, but a"):
            open_benchmark(f"{file}:{name}")
    with pytest.raises(PluginError, match="no attribute"):
        open_benchmark(f"{file}:gone")


def test_a_registered_plug_in_without_links_says_so(small_data, monkeypatch):
    entry = Entry("theirs", lambda: from_data(small_data))
    monkeypatch.setitem(benchmarks._entries, "theirs", entry)
    assert open_benchmark("theirs").name == "small"
    assert how_to_get("theirs") == "its plug-in provides it"
    with pytest.raises(DownloadError, match="nothing to download"):
        download_benchmark("theirs")


IMPORTER = """
from foretell.benchmarks import Metric, TableData
import numpy as np
def read(path, progress):
    texts = path.read_text().split()
    progress(len(texts), len(texts))
    values = np.arange(len(texts), dtype=float)[:, None, None]
    return TableData("words", texts, {"m": Metric("m")}, {"m": values})
"""


@pytest.fixture
def importer(tmp_path) -> str:
    (tmp_path / "imp.py").write_text(IMPORTER)
    (tmp_path / "words.txt").write_text("one two three")
    return f"{tmp_path / 'imp.py'}:read"


def test_an_import_is_kept_at_home(importer, tmp_path, tables_home):
    told = []
    path = import_benchmark(
        importer, tmp_path / "words.txt", progress=lambda *numbers: told.append(numbers)
    )
    assert path == tables_home / "words.foretell"
    assert told == [(3, 3)]
    assert open_benchmark("words").query(["two"], "m").tolist() == [1.0]


def test_an_import_is_kept_under_another_name_or_elsewhere(importer, tmp_path, tables_home):
    source = tmp_path / "words.txt"
    path = import_benchmark(importer, source, name="mine")
    assert path == tables_home / "mine.foretell"
    assert open_benchmark("mine").name == "mine"
    out = import_benchmark(importer, source, name="m", out=tmp_path / "x.foretell")
    assert (out, Table.open(out).name) == (tmp_path / "x.foretell", "m")
    with pytest.raises(BenchmarkError, match="the embedded table's name"):
        import_benchmark(importer, source, name=EMBEDDED)
    source.unlink()  # the rest is refused before anything is read
    with pytest.raises(BenchmarkError, match="no name of a table"):
        import_benchmark(importer, source, name="../mine")
    with pytest.raises(BenchmarkError, match="should end in"):
        import_benchmark(importer, source, out=tmp_path / "x.csv")


def test_imports_in_vain(importer, tmp_path):
    with pytest.raises(UnknownNameError, match="Unknown importer 'words'"):
        import_benchmark("words", tmp_path)
    with pytest.raises(MissingDataError, match="gone"):
        import_benchmark(importer, tmp_path / "gone")


@pytest.fixture
def served(monkeypatch):
    """A benchmark whose files are served by this machine."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with serving() as server:
        server.content = b"one two three"
        links = (
            Link("a.txt", server.url),
            Link("b.txt", server.url, sha256="0" * 64),
            Link("c.tar", "https://drive.example/c", browser=True),
        )
        entry = replace(benchmarks.entry("nb-macro"), name="served", facts={"links": links})
        monkeypatch.setitem(benchmarks._entries, "served", entry)
        yield server


def test_a_download_goes_home_or_where_it_is_told_to(served, tables_home, tmp_path):
    path = download_benchmark("served")
    assert path == tables_home / "downloads" / "a.txt"
    assert path.read_bytes() == served.content
    assert download_benchmark("served", tmp_path, file="a.txt") == tmp_path / "a.txt"
    with pytest.raises(DownloadError, match="SHA-256"):
        download_benchmark("served", file="b.txt")


def test_downloads_in_vain(served, tmp_path):
    with pytest.raises(UnknownNameError, match=r"Unknown file 'd\.txt'.*a\.txt"):
        download_benchmark("served", file="d.txt")
    with pytest.raises(UnknownNameError, match="Unknown benchmark 'srved'"):
        download_benchmark("srved")
    with pytest.raises(DownloadError) as caught:
        download_benchmark("served", tmp_path, file="c.tar")
    told = str(caught.value)
    for part in (
        "https://drive.example/c", f"'{tmp_path / 'c.tar'}'", "unpack it there",
        "foretell benchmark import served FOLDER",
    ):  # fmt: skip
        assert part in told
    assert served.asked == []
    (tmp_path / "c.tar").write_bytes(b"by hand")
    assert download_benchmark("served", tmp_path, file="c.tar") == tmp_path / "c.tar"


@pytest.mark.parametrize("official", OFFICIAL, ids=lambda o: o.name)
def test_every_published_benchmark_has_its_importer(official):
    from foretell.benchmarks.importers import importers

    assert importers.entry(official.name).facts["space"] == official.space

"""Downloads from a host that cuts, hangs, lies and changes its mind."""

import errno
import hashlib
import time
from pathlib import Path

import numpy as np
import pytest
from faulty_server import Answer, serving

from foretell.benchmarks.download import Link, download
from foretell.errors import DownloadError

CONTENT = np.random.default_rng(0).bytes(3_000_000)
SHA = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with serving() as state:
        state.content = CONTENT
        yield state


@pytest.fixture
def get(server, tmp_path):
    """Downloads with short times; keeps what progress was told."""

    def call(attempts=5, timeout=5.0, told=None, **facts):
        link = Link(**{"file": "file.bin", "url": server.url, **facts})
        return download(
            link, tmp_path, attempts=attempts, timeout=timeout, wait=0.0,
            progress=lambda done, total: told.append((done, total)) if told is not None else None,
        )  # fmt: skip

    return call


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


@pytest.mark.parametrize("facts", [{}, {"sha256": SHA}, {"size": len(CONTENT)}])
def test_a_good_host_gives_the_file_in_one_answer(facts, server, get, tmp_path):
    told = []
    path = get(told=told, **facts)
    assert path == tmp_path / "file.bin"
    assert path.read_bytes() == CONTENT
    assert names(tmp_path) == ["file.bin"]
    assert server.ranges == [""]
    assert told[0] == (0, len(CONTENT))
    assert told[-1] == (len(CONTENT), len(CONTENT))
    assert told == sorted(told)


def test_a_file_that_is_there_is_verified_and_kept(server, get):
    get()
    get(sha256=SHA, size=len(CONTENT))
    assert len(server.asked) == 1
    for facts, why in (({"sha256": "0" * 64}, "SHA-256"), ({"size": 5}, "3,000,000 bytes instead")):
        with pytest.raises(DownloadError, match=rf"is there, but .*{why}.*move it away"):
            get(**facts)
    assert len(server.asked) == 1


def test_a_cut_connection_goes_on_where_it_was(server, get):
    server.answers = [Answer(cut=1_000_000), Answer(cut=1_500_000), Answer()]
    assert get().read_bytes() == CONTENT
    assert server.ranges == ["", "bytes=1000000-", "bytes=2500000-"]
    assert [a.get("If-Range") for a in server.asked] == [None, '"1"', '"1"']


def test_another_run_goes_on_where_the_first_one_stopped(server, get, tmp_path):
    server.answers = [Answer(cut=1_000_000), Answer(status=503), Answer(status=503)]
    with pytest.raises(DownloadError, match=r"3 attempts.*503.*1,000,000 bytes are kept"):
        get(attempts=3)
    assert names(tmp_path) == ["file.bin.part", "file.bin.part.tag"]
    assert get().read_bytes() == CONTENT
    assert server.ranges[-1] == "bytes=1000000-"
    assert names(tmp_path) == ["file.bin"]


def test_ctrl_c_keeps_what_came(server, get, tmp_path):
    link = Link("file.bin", server.url)

    def stop(done, total):
        if done > 500_000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        download(link, tmp_path, progress=stop)
    kept = (tmp_path / "file.bin.part").stat().st_size
    assert kept > 500_000
    assert get().read_bytes() == CONTENT
    assert server.ranges == ["", f"bytes={kept}-"]


@pytest.mark.parametrize("tag", ['"2"', "Tue, 03 Mar 2026 00:00:00 GMT"])
@pytest.mark.parametrize("ignore_if", [False, True])
def test_a_file_that_changed_between_attempts_is_taken_anew(tag, ignore_if, server, get):
    newer = CONTENT[::-1]

    def change():
        server.content, server.tag = newer, tag

    server.between = change
    server.answers = [Answer(cut=1_000_000), Answer(ignore_if=ignore_if), Answer()]
    assert get().read_bytes() == newer
    assert server.ranges == ["", "bytes=1000000-"] + [""] * ignore_if


@pytest.mark.parametrize("answer", [Answer(ignore_range=True), Answer(shift=10)])
def test_a_host_that_does_not_give_the_part_asked_for_is_asked_for_all(answer, server, get):
    server.answers = [Answer(cut=1_000_000), answer]
    assert get().read_bytes() == CONTENT
    assert server.ranges[:2] == ["", "bytes=1000000-"]


@pytest.mark.parametrize("tag", ["", 'W/"weak"'])
@pytest.mark.parametrize("sha", ["", SHA])
def test_without_a_version_only_a_check_sum_lets_it_go_on(tag, sha, server, get):
    server.tag = tag
    server.answers = [Answer(cut=1_000_000)]
    assert get(sha256=sha).read_bytes() == CONTENT
    assert server.ranges == ["", "bytes=1000000-" if sha else ""]


def test_a_date_is_a_version(server, get):
    server.tag = "Mon, 02 Mar 2026 00:00:00 GMT"
    server.answers = [Answer(cut=1_000_000)]
    assert get().read_bytes() == CONTENT
    assert server.asked[1]["If-Range"] == server.tag


def test_a_complete_part_is_only_verified(server, get, tmp_path):
    (tmp_path / "file.bin.part").write_bytes(CONTENT)
    (tmp_path / "file.bin.part.tag").write_text('"1"')
    assert get(sha256=SHA).read_bytes() == CONTENT
    assert server.ranges == [f"bytes={len(CONTENT)}-"]


def test_a_part_longer_than_the_file_is_thrown_away(server, get, tmp_path):
    (tmp_path / "file.bin.part").write_bytes(CONTENT + b"more")
    (tmp_path / "file.bin.part.tag").write_text('"1"')
    assert get().read_bytes() == CONTENT


def test_a_rotten_part_is_found_by_the_check_sum_and_taken_anew(server, get, tmp_path):
    (tmp_path / "file.bin.part").write_bytes(bytes(1_000_000))
    assert get(sha256=SHA).read_bytes() == CONTENT
    assert server.ranges == ["bytes=1000000-", ""]


def test_a_wrong_check_sum_is_no_file(server, get, tmp_path):
    with pytest.raises(DownloadError, match="SHA-256 is not the publisher's"):
        get(sha256="0" * 64)
    assert names(tmp_path) == []
    assert len(server.asked) == 1


def test_a_wrong_size_is_refused_before_anything_is_read(server, get, tmp_path):
    with pytest.raises(DownloadError, match="3,000,000 bytes, but 2,999,999 are expected"):
        get(size=len(CONTENT) - 1)
    assert names(tmp_path) == []


def test_without_a_length_the_known_size_tells_a_cut(server, get):
    server.answers = [Answer(length=False, cut=1_000_000), Answer(length=False)]
    assert get(size=len(CONTENT)).read_bytes() == CONTENT
    assert server.ranges == ["", "bytes=1000000-"]


def test_without_any_size_progress_has_no_total(server, get):
    server.answers = [Answer(length=False)]
    told = []
    assert get(told=told).read_bytes() == CONTENT
    assert {total for _, total in told} == {0}


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410])
def test_a_refusal_is_final(status, server, get, tmp_path):
    server.answers = [Answer(status=status)]
    with pytest.raises(DownloadError, match=rf"{status} .*new address"):
        get()
    assert len(server.asked) == 1
    assert names(tmp_path) == []


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_trouble_of_the_host_is_waited_out(status, server, get):
    server.answers = [Answer(status=status), Answer(status=status)]
    assert get().read_bytes() == CONTENT
    assert len(server.asked) == 3


def test_attempts_that_bring_nothing_are_bounded(server, get):
    server.answers = [Answer(status=500)] * 50
    with pytest.raises(DownloadError, match="4 attempts"):
        get(attempts=4)
    assert len(server.asked) == 4


def test_attempts_that_bring_much_do_not_count(server, get):
    server.content = CONTENT * 3
    server.answers = [Answer(cut=1_100_000)] * 8
    assert get(attempts=2).read_bytes() == server.content
    assert len(server.asked) == 9


def test_waits_double_and_end_at_half_a_minute(server, tmp_path, monkeypatch):
    waits = []
    monkeypatch.setattr(time, "sleep", waits.append)
    server.answers = [Answer(status=500)] * 50
    with pytest.raises(DownloadError):
        download(Link("file.bin", server.url), tmp_path, attempts=9)
    assert [w for w in waits if w >= 1] == [1, 2, 4, 8, 16, 30, 30, 30]


def test_a_host_that_hangs_is_asked_again(server, get):
    server.answers = [Answer(hang=2.0), Answer()]
    begin = time.monotonic()
    assert get(timeout=0.3).read_bytes() == CONTENT
    assert time.monotonic() - begin < 1.9
    server.answers = [Answer(hang=1.0)] * 2
    with pytest.raises(DownloadError, match="2 attempts, because the host does not answer"):
        get(attempts=2, timeout=0.2, file="other.bin")


def test_a_host_that_drips_is_asked_again(server, get):
    server.answers = [Answer(drip=500), Answer()]
    assert get(timeout=0.3).read_bytes() == CONTENT
    assert len(server.asked) == 2
    server.answers = [Answer(drip=500)] * 2
    with pytest.raises(DownloadError, match=r"only \d+ bytes came in"):
        get(attempts=2, timeout=0.2, file="other.bin")


def test_no_host_at_all(tmp_path):
    link = Link("file.bin", "http://127.0.0.1:9/file.bin")
    with pytest.raises(DownloadError, match="2 attempts, because the connection failed"):
        download(link, tmp_path, attempts=2, wait=0.0)


@pytest.mark.parametrize("length", [True, False])
def test_a_web_page_is_not_the_file(length, server, get, tmp_path):
    server.content = b"<html>sign in first</html>"
    server.answers = [Answer(length=length, headers={"Content-Type": "text/html; charset=utf-8"})]
    with pytest.raises(DownloadError, match=r"web page.*browser.*file\.bin'"):
        get()
    assert names(tmp_path) == []


def test_a_host_that_needs_a_browser_is_not_asked(server, get, tmp_path):
    with pytest.raises(DownloadError) as caught:
        get(browser=True)
    assert server.url in str(caught.value)
    assert str(tmp_path / "file.bin") in str(caught.value)
    assert server.asked == []
    (tmp_path / "file.bin").write_bytes(CONTENT)
    assert get(browser=True, sha256=SHA) == tmp_path / "file.bin"


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://127.0.0.1/x", "x"])
def test_only_web_addresses_are_opened(url, tmp_path):
    with pytest.raises(DownloadError, match="http"):
        download(Link("x", url), tmp_path)
    assert names(tmp_path) == []


def test_a_full_disk_is_not_the_host_s_fault(server, get, monkeypatch):
    whole = Path.open

    def full(self, mode="r", *args, **options):
        if "part" in self.name and "w" in mode and "tag" not in self.name:
            raise OSError(errno.ENOSPC, "No space left on device")
        return whole(self, mode, *args, **options)

    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(OSError, match="No space"):
        get()
    assert len(server.asked) == 1


def test_the_folder_is_made(server, tmp_path):
    path = download(Link("file.bin", server.url), tmp_path / "a" / "b")
    assert path.read_bytes() == CONTENT

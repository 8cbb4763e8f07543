"""The report in a real browser, at the width of a desktop and of a phone."""

import pytest

from foretell.report import write

pytestmark = pytest.mark.slow

OVERFLOW = """
[...document.querySelectorAll('header, main, footer, main *')].filter(e => {
  const box = e.getBoundingClientRect();
  if (box.width === 0 || e.closest('.scroll') || e.closest('.plot svg')) return false;
  return box.right > document.documentElement.clientWidth + 0.5 || box.left < -0.5;
}).map(e => e.tagName + '.' + (e.getAttribute('class') || '')
  + ' ' + (e.textContent || '').slice(0, 40))
"""
CUT = """
[...document.querySelectorAll('.plot')].flatMap(plot => {
  const frame = plot.getBoundingClientRect();
  return [...plot.querySelectorAll('.main-svg text')].filter(t => {
    const box = t.getBoundingClientRect();
    return box.width && (box.left < frame.left - 1 || box.right > frame.right + 1 ||
      box.top < frame.top - 1 || box.bottom > frame.bottom + 1);
  }).map(t => plot.id + ': ' + t.textContent);
})
"""
TITLES_ON_TICKS = """
[...document.querySelectorAll('.plot')].flatMap(plot => ['x', 'y'].flatMap(axis => {
  const boxes = name => [...plot.querySelectorAll(name)].map(e => e.getBoundingClientRect());
  const ticks = boxes(`.${axis}tick text`).filter(b => b.width);
  return boxes(`.${axis}title`).filter(t => t.width && ticks.some(b =>
    b.left < t.right + 1 && t.left < b.right + 1 && b.top < t.bottom + 1 && t.top < b.bottom + 1
  )).map(() => plot.id + ' ' + axis);
}))
"""
SMALL = """
[...document.querySelectorAll('.plot .main-svg text, td, th, p, dd, dt, li, code')]
  .filter(e => e.getBoundingClientRect().width && parseFloat(getComputedStyle(e).fontSize) < 10.9)
  .map(e => e.textContent.slice(0, 30) + ' ' + getComputedStyle(e).fontSize)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory, run, bare, one_trial, nasty, two, three, own):
    made = tmp_path_factory.mktemp("reports")
    for name, data in {
        "full": run,
        "bare": bare,
        "one": one_trial,
        "nasty": nasty,
        "two": two,
        "three": three,
        "own": own,
    }.items():
        write(data, made / f"{name}.html")
    return made


def complaints(browser):
    methods = ("Log.entryAdded", "Runtime.exceptionThrown", "Runtime.consoleAPICalled")
    return [e for e in browser.events if e["method"] in methods]


def requests(browser):
    return [
        e["params"]["request"]["url"]
        for e in browser.events
        if e["method"] == "Network.requestWillBeSent"
    ]


@pytest.mark.parametrize("name", ["full", "bare", "one", "nasty", "two", "three", "own"])
def test_fits_draws_and_stays_silent(browser, folder, name):
    browser.open(folder / f"{name}.html", 1280)
    for width in (1280, 390):
        browser.resize(width)
        assert browser.run("document.documentElement.clientWidth") == width
        assert browser.run("document.documentElement.scrollWidth") == width
        assert browser.run(OVERFLOW) == []
        assert browser.run("window.alerted") is None
        if name != "nasty":
            assert browser.run(CUT) == []
            assert browser.run(TITLES_ON_TICKS) == []
            assert browser.run(SMALL) == []
    assert complaints(browser) == []
    page = (folder / f"{name}.html").as_uri()
    assert {u for u in requests(browser) if not u.startswith("data:")} == {page}


def test_a_phone_draws_what_a_narrow_window_shows(browser, folder):
    svg = "p.querySelector('.main-svg').outerHTML.length"
    look = f"[...document.querySelectorAll('.plot')].map(p => {svg})"
    browser.open(folder / "full.html", 390)
    first = browser.run(look)
    browser.resize(1280)
    assert browser.run(look) != first
    browser.resize(390)
    assert browser.run(look) == first


def test_charts_follow_the_width_and_the_colour_scheme(browser, folder):
    look = (
        "[getComputedStyle(document.body).backgroundColor,"
        "document.querySelector('#curves .main-svg').clientWidth,"
        "document.querySelector('#curves .xtitle').style.fill]"
    )
    browser.open(folder / "full.html", 1280)
    light, wide, ink = browser.run(look)
    scheme = [{"name": "prefers-color-scheme", "value": "dark"}]
    browser.call("Emulation.setEmulatedMedia", features=scheme)
    browser.run("new Promise(done => setTimeout(done, 1500))")
    dark, _, paper = browser.run(look)
    assert light != dark
    assert ink != paper
    browser.call("Emulation.setDeviceMetricsOverride", width=700, height=900,
                 deviceScaleFactor=1, mobile=False)  # fmt: skip
    browser.run("new Promise(done => setTimeout(done, 1500))")
    _, narrow, _ = browser.run(look)
    assert narrow != wide
    assert browser.run("document.documentElement.scrollWidth") == 700


def test_pointing_at_a_network_names_it(browser, folder, run):
    browser.open(folder / "full.html", 1280)
    browser.run(
        "document.querySelector('#pareto-params')"
        ".scrollIntoView({behavior: 'instant', block: 'center'})"
    )
    x, y = browser.run(
        "(() => { const b = [...document.querySelectorAll('#pareto-params .point')].at(-1)"
        ".getBoundingClientRect(); return [b.x + b.width / 2, b.y + b.height / 2]; })()"
    )
    browser.call("Input.dispatchMouseEvent", type="mouseMoved", x=x - 3, y=y)
    browser.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
    browser.run("new Promise(done => setTimeout(done, 800))")
    tip = browser.run("document.querySelector('#pareto-params .hoverlayer').textContent")
    assert run.winner.arch in tip.replace("\u200b", "")

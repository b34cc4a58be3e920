"""The built documentation (`make docs`) in a browser, at the width of a desk and of a phone.

Where the documentation has not been built, or there is no browser, these tests are skipped; with
CI_BROWSER=1 they fail instead.
"""

import functools
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlsplit

import pytest

from tests.browser import Browser, chromium, missing, wait_until

SITE = Path(__file__).parents[1] / "docs" / "_build" / "html"
SIZES = {"desk": (1280, 900, False), "phone": (390, 844, True)}
SEARCHES = {"whitened patches": "patches", "partial_fit": "partial_fit", "few labels": "label"}

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("site")]

LOOK = """(() => {
  const wide = document.documentElement.scrollWidth - document.documentElement.clientWidth;
  const pictures = [...document.images].filter(i => i.complete && !i.naturalWidth).map(i => i.src);
  const links = [...document.querySelectorAll("a[href]")].map(a => a.href);
  const ids = [...document.querySelectorAll("[id]")].map(e => e.id);
  return {wide, pictures, links, ids, title: document.title,
          headings: document.querySelectorAll("h1").length};
})()"""


@pytest.fixture(scope="module")
def pages():
    if not (SITE / "index.html").exists():
        missing("the documentation is not built: run `make docs`")
    return sorted(p for p in SITE.rglob("*.html") if "_static" not in p.parts)


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    path = chromium()
    pytest.importorskip("tornado")
    with Browser(path, tmp_path_factory.mktemp("browser")) as browser:
        yield browser


def shown(browser, page, query=""):
    """What a page that was opened consists of."""
    url = page.as_uri() + query
    browser.open(url)
    done = f"document.readyState === 'complete' && location.href === {url!r}"
    wait_until(lambda: browser.js(done))
    browser.js("[...document.images].forEach(i => { i.loading = 'eager' })")
    wait_until(lambda: browser.js("[...document.images].every(i => i.complete)"))
    return browser.js(LOOK)


@functools.cache
def look_at_all(browser, pages, size):
    width, height, mobile = SIZES[size]
    browser.resize(width, height, mobile)
    return {page: shown(browser, page) for page in pages}


@pytest.mark.parametrize("size", SIZES)
def test_every_page_fits_the_width_and_shows_its_pictures(browser, pages, size):
    faults = []
    for page, look in look_at_all(browser, tuple(pages), size).items():
        if look["wide"] > 0:
            faults.append(f"{page.relative_to(SITE)} is {look['wide']} pixels too wide")
        faults += [f"{page.relative_to(SITE)} does not show {url}" for url in look["pictures"]]
        if not look["title"] or (look["headings"] != 1 and page.stem not in ("search",)):
            faults.append(f"{page.relative_to(SITE)} has {look['headings']} main headings")
    assert not faults, "\n".join(faults)


def test_every_link_leads_somewhere(browser, pages):
    looks = look_at_all(browser, tuple(pages), "desk")
    faults = []
    for page, look in looks.items():
        for link in look["links"]:
            url, anchor = urldefrag(link)
            if urlsplit(url).scheme != "file":
                continue
            to = Path(unquote(urlsplit(url).path))
            to = to / "index.html" if to.is_dir() else to
            if not to.exists():
                faults.append(f"{page.relative_to(SITE)} links to {link}, which is missing")
            elif anchor and to in looks and unquote(anchor) not in looks[to]["ids"]:
                faults.append(f"{page.relative_to(SITE)} links to a place that is missing: {link}")
    assert not faults, "\n".join(sorted(set(faults)))


def test_pages_are_reached_from_the_front_page(browser, pages):
    looks = look_at_all(browser, tuple(pages), "desk")
    seen, ahead = set(), [SITE / "index.html"]
    while ahead:
        page = ahead.pop()
        if page in seen or page not in looks:
            continue
        seen.add(page)
        ahead += [Path(unquote(urlsplit(u).path)) for u in looks[page]["links"]]
    apart = ("search", "genindex", "sg_execution_times")
    assert not [str(p.relative_to(SITE)) for p in pages if p not in seen and p.stem not in apart]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("query", SEARCHES)
def test_search_finds_pages(browser, pages, query, size):
    width, height, mobile = SIZES[size]
    browser.resize(width, height, mobile)
    shown(browser, SITE / "search.html", f"?q={query.replace(' ', '%20')}")
    found = "[...document.querySelectorAll('#search-results li a')].map(a => a.textContent)"
    titles = wait_until(lambda: browser.js(found))
    text = browser.js("document.querySelector('#search-results').innerText").lower()
    assert len(titles) >= 2 and SEARCHES[query] in text


def test_the_menu_opens_on_a_phone(browser, pages):
    width, height, mobile = SIZES["phone"]
    browser.resize(width, height, mobile)
    shown(browser, SITE / "guide" / "index.html")
    visible = """[...document.querySelectorAll("a")].filter(a => {
      const box = a.getBoundingClientRect();
      return a.textContent.trim() === "Methods" && box.width > 0 && box.left >= 0
             && box.right <= innerWidth && a.checkVisibility({visibilityProperty: true});
    }).length"""
    assert browser.js(visible) == 0
    browser.js("document.querySelector('.primary-toggle, .pst-navbar-icon').click()")
    wait_until(lambda: browser.js(visible) > 0)

"The site: built without the network, with warnings as errors; no dead link; pages in a browser."
import configparser, functools, http.server, json, os, re, sys, threading
from contextlib import contextmanager
from html.parser import HTMLParser
from urllib.parse import unquote, urljoin, urlsplit

import pytest

from conftest import NOTEBOOKS, ROOT, shell
from test_browser import BROWSER, QUIET

pytest.importorskip('material', reason="no mkdocs-material: pip install -e '.[docs]'")
pytest.importorskip('latex2mathml', reason="no latex2mathml: pip install -e '.[docs]'")

INI = configparser.ConfigParser(delimiters=['='])
INI.read(ROOT/'settings.ini')
SETTINGS = INI['DEFAULT']
HOME = f"{SETTINGS['doc_host']}{SETTINGS['doc_baseurl']}/" # Where the site will be
PROJECT = SETTINGS['git_url'].removeprefix('https://github.com/')


@pytest.fixture(scope='session')
def site(tmp_path_factory):
    "The folder with the built site."
    out = tmp_path_factory.mktemp('site')
    environment = os.environ | {'NO_MKDOCS_2_WARNING': '1'}
    run = shell(sys.executable, '-m', 'mkdocs', 'build', '--strict', '--site-dir', out,
                env=environment)
    assert run.returncode == 0, run.stderr[-3000:]
    return out


NAMES = [path.relative_to(ROOT/'nbs').with_suffix('').as_posix() for path in NOTEBOOKS]


def text_of(site, name):
    "The page of a notebook; `name` is its path in nbs without its ending."
    return (site/('' if name == 'index' else name)/'index.html').read_text()


def test_every_notebook_has_a_page_without_directives(site):
    for name in NAMES:
        text = text_of(site, name)
        assert '#| export' not in text and '#| hide' not in text and 'default_exp' not in text


def test_every_notebook_says_how_long_it_reads_and_opens_elsewhere(site):
    "Below the title: minutes, and two links to the notebook's own file."
    for name in set(NAMES) - {'index'}:
        text = text_of(site, name)
        colab = f'https://colab.research.google.com/github/{PROJECT}/blob/main/nbs/{name}.ipynb'
        binder = f'https://mybinder.org/v2/gh/{PROJECT}/main?labpath=nbs/{name}.ipynb'
        assert text.count(f'<a href="{colab}">Open in Colab</a>') == 1
        assert text.count(f'<a href="{binder}">Open in Binder</a>') == 1
        assert re.search(r'\d minutes? to read', text)


def test_every_notebook_has_neighbors(site):
    "Previous and next, but at the two ends."
    for name in set(NAMES) - {'index'}:
        text = text_of(site, name)
        assert 'aria-label="Previous: ' in text and 'aria-label="Next: ' in text


class Links(HTMLParser):
    "What a page points at, and the anchors that it has."
    def __init__(self, text):
        super().__init__()
        self.links = set()
        self.anchors = {''}
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        for name, value in attrs:
            if name in ('href', 'src', 'data') and value: self.links.add(value)
            if name == 'id': self.anchors.add(value)


def is_ours(address):
    "Does an address of the repository, or of a service that opens it, name a file that exists?"
    path = urlsplit(address).path
    opened = re.search(r'(?:blob|raw|tree)/main/(.*)|labpath=(.*)', address)
    return (ROOT/(opened[1] or opened[2])).exists() if opened else path.strip('/') == PROJECT


def is_alive(address, site, pages):
    "Does an address lead somewhere, as far as this checkout and the site can tell?"
    if not address.startswith(HOME):
        return PROJECT not in address or is_ours(address)
    name = unquote(urlsplit(address).path).removeprefix(urlsplit(HOME).path)
    file = site/name/'index.html' if name.endswith('/') or not name else site/name
    if file not in pages: return file.is_file()
    return unquote(urlsplit(address).fragment) in pages[file].anchors


def test_nothing_is_dead(site):
    "Every link, image, script and anchor of every page, in the site and into the repository."
    pages = {path: Links(path.read_text()) for path in site.rglob('*.html')}
    followed = [(path.relative_to(site).as_posix(), link) for path in pages
                for link in pages[path].links if not link.startswith(('data:', 'mailto:'))]
    dead = [(name, link) for name, link in followed
            if not is_alive(urljoin(f'{HOME}{name}', link), site, pages)]
    assert len(followed) > 5000 and not dead, dead


def test_no_page_asks_elsewhere(site):
    "Scripts, styles and images come from the site itself."
    for path in site.rglob('*.html'):
        found = re.findall(r'<(?:script|img|iframe)[^>]* src="(https?:[^"]*)"', path.read_text())
        found += re.findall(r'<link rel="stylesheet" href="(https?:[^"]*)"', path.read_text())
        assert not found, (path, found)


def test_site_is_small(site):
    "At most 25 MB, ten of them the page with the network in it."
    sizes = {path: path.stat().st_size for path in site.rglob('*') if path.is_file()}
    assert sum(sizes.values()) <= 25e6, sorted(sizes.items(), key=lambda item: -item[1])[:9]


def test_site_is_where_settings_say():
    assert f'site_url: {HOME}\n' in (ROOT/'mkdocs.yml').read_text()


def test_formulas_need_no_script(site):
    text = text_of(site, 'studies/skin_tone')
    assert '<mi>arctan</mi>' in text and 'display="block"' in text and 'arithmatex' not in text


def test_report_is_part_of_the_site(site):
    "The published comparison as a page, without a photograph and without a number left open."
    text = (site/'report/index.html').read_text()
    assert 'Feature extraction and fine-tuning' in text and 'Is the difference real?' in text
    assert 'image/jpeg' not in text and '>nan<' not in text


@pytest.mark.parametrize('word', ['HEIC', 'annotate', 'folder'])
def test_search_knows(site, word):
    entries = json.loads((site/'search/search_index.json').read_text())['docs']
    assert any(word.lower() in f"{entry['title']} {entry['text']}".lower() for entry in entries)


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args): pass


@pytest.fixture(scope='module')
def address(site):
    "The site, served."
    handler = functools.partial(Quiet, directory=site)
    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f'http://127.0.0.1:{server.server_port}'
    server.shutdown()


@contextmanager
def opened(address, scheme='light', width=1280):
    "A page of the site in a browser, in which nothing may fail."
    from playwright.sync_api import sync_playwright
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=QUIET)
        page = browser.new_page(viewport={'width': width, 'height': 900}, color_scheme=scheme)
        complaints = []
        page.on('requestfailed', lambda request: complaints.append(request.url))
        page.on('response', lambda it: complaints.extend([it.url]*(it.status >= 400)))
        page.on('pageerror', lambda error: complaints.append(str(error)))
        page.goto(address)
        page.wait_for_load_state('networkidle')
        yield page
        page.wait_for_load_state('networkidle')
        browser.close()
    assert complaints == []


needs_browser = pytest.mark.skipif(BROWSER is None,
                                   reason='no browser: install chromium or set BROWSER_PATH')


@needs_browser
@pytest.mark.parametrize('name, words', [('02_metrics', 'torchmetrics'),
    ('studies/speed', 'a seventeenth'), ('reference/runs', 'def train_run(')])
@pytest.mark.parametrize('width', [1280, 390])
def test_pages_in_a_browser(address, name, words, width):
    "A chapter, a study and a page of the reference hold what they should, and fit the window."
    with opened(f'{address}/{name}/', width=width) as page:
        assert words in page.inner_text('article')
        assert page.evaluate('document.documentElement.scrollWidth') <= width


@needs_browser
@pytest.mark.parametrize('word', ['HEIC', 'annotate', 'folder'])
def test_search_finds(address, word):
    with opened(address) as page:
        page.locator('[data-md-component=search-query]').press_sequentially(word)
        page.locator('.md-search-result__link').first.wait_for()


@needs_browser
@pytest.mark.parametrize('scheme', ['light', 'dark'])
def test_try_it(address, scheme):
    "The exported page: a synthetic image, its mask, and the way back."
    with opened(address, scheme) as page:
        page.get_by_role('link', name='Try it').first.click()
        page.wait_for_load_state('networkidle')
        page.get_by_role('button', name='Try synthetic ones').click()
        page.locator('#area', has_text='%').wait_for()
        page.get_by_role('link', name='lesionseg').click()
        page.get_by_role('heading', name='lesionseg').wait_for()

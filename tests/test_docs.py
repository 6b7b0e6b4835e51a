"The site: built without the network, with warnings as errors; some of its pages in a browser."
import functools, http.server, os, sys, threading
from contextlib import contextmanager

import pytest

from conftest import NOTEBOOKS, ROOT, shell
from test_browser import BROWSER, QUIET

pytest.importorskip('mkdocs_jupyter', reason="no mkdocs: pip install -e '.[docs]'")


@pytest.fixture(scope='module')
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


def test_every_notebook_can_be_opened_elsewhere(site):
    "Two links below the title, to the notebook's own file."
    project = 'lesionseg/lesionseg'
    for name in NAMES:
        text = text_of(site, name)
        colab = f'https://colab.research.google.com/github/{project}/blob/main/nbs/{name}.ipynb'
        binder = f'https://mybinder.org/v2/gh/{project}/main?labpath=nbs/{name}.ipynb'
        assert text.count(f'<a class="md-button" href="{colab}">Open in Colab</a>') == 1
        assert text.count(f'<a class="md-button" href="{binder}">Open in Binder</a>') == 1


def test_report_is_part_of_the_site(site):
    "The published comparison as a page, without a photograph and without a number left open."
    text = (site/'report.html').read_text()
    assert 'Feature extraction and fine-tuning' in text and 'Is the difference real?' in text
    assert 'image/jpeg' not in text and '>nan<' not in text


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
def opened(address, scheme='light'):
    "A page of the site in a browser, in which nothing may fail."
    from playwright.sync_api import sync_playwright
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=QUIET)
        page = browser.new_page(viewport={'width': 1280, 'height': 900}, color_scheme=scheme)
        complaints = []
        page.on('requestfailed', lambda request: complaints.append(request.url))
        page.on('pageerror', lambda error: complaints.append(str(error)))
        page.goto(address)
        page.wait_for_load_state('networkidle')
        yield page
        browser.close()
    assert complaints == []


needs_browser = pytest.mark.skipif(BROWSER is None,
                                   reason='no browser: install chromium or set BROWSER_PATH')


@needs_browser
@pytest.mark.parametrize('name, words', [('02_metrics', 'torchmetrics'),
    ('studies/speed', 'a seventeenth'), ('reference/runs', 'def train_run(')])
def test_pages_in_a_browser(address, tmp_path, name, words):
    "A chapter, a study and a page of the reference: nothing fails, and they hold what they should."
    with opened(f'{address}/{name}/') as page:
        page.screenshot(path=tmp_path/'page.png')
        assert words in page.inner_text('article')


@needs_browser
@pytest.mark.parametrize('scheme', ['light', 'dark'])
def test_try_it(address, tmp_path, scheme):
    "Threshold and sample change what is drawn and said, without a kernel."
    with opened(f'{address}/try_it/', scheme) as page:
        def state():
            drawn = page.locator('#outline0').evaluate('canvas => canvas.toDataURL()')
            return page.inner_text('#said'), page.inner_text('#iou1'), drawn

        page.screenshot(path=tmp_path/'page.png')
        assert page.locator('#sample option').count() == 12
        states = [state()]
        page.locator('#threshold').fill('0.9')
        states.append(state())
        page.locator('#sample').select_option(index=11)
        states.append(state())
        assert all(len(set(kind)) == 3 for kind in zip(*states))
        page.get_by_role('link', name='the report of the published comparison').click()
        page.get_by_role('heading', name='Is the difference real?').wait_for()

"The site: built without the network and with warnings as errors, and three of its pages looked at."
import functools, http.server, os, sys, threading

import pytest

from conftest import ROOT, shell
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


def test_every_notebook_has_a_page_without_directives(site):
    for path in (ROOT/'nbs').rglob('*.ipynb'):
        if '.ipynb_checkpoints' in path.parts: continue
        name = path.relative_to(ROOT/'nbs').with_suffix('')
        page = site/'index.html' if str(name) == 'index' else site/name/'index.html'
        text = page.read_text()
        assert '#| export' not in text and '#| hide' not in text and 'default_exp' not in text


@pytest.mark.skipif(BROWSER is None, reason='no browser: install chromium or set BROWSER_PATH')
def test_pages_in_a_browser(site, tmp_path):
    "A chapter, a study and a page of the reference: nothing fails, and they hold what they should."
    from playwright.sync_api import sync_playwright

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args): pass

    handler = functools.partial(Quiet, directory=site)
    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    pages = {'02_metrics/': 'torchmetrics', 'studies/speed/': 'a seventeenth',
             'reference/runs/': 'def train_run('}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=QUIET)
        for i, (address, words) in enumerate(pages.items()):
            page, complaints = browser.new_page(viewport={'width': 1280, 'height': 900}), []
            page.on('requestfailed', lambda request: complaints.append(request.url))
            page.on('pageerror', lambda error: complaints.append(str(error)))
            page.goto(f'http://127.0.0.1:{server.server_port}/{address}')
            page.wait_for_load_state('networkidle')
            page.screenshot(path=tmp_path/f'{i}.png')
            assert words in page.inner_text('article') and complaints == []
        browser.close()
    server.shutdown()

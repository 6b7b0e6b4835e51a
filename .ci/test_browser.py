"What only a browser can tell: every slider and button of the notebooks with widgets, in JupyterLab."
import io, json, os, re, shutil, socket, subprocess, sys, time, urllib.request
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).parent.parent
BROWSER = os.environ.get('BROWSER_PATH') or next(filter(None, map(shutil.which, ('chromium', 'chromium-browser', 'google-chrome'))), None)
QUIET = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync']
pytestmark = pytest.mark.skipif(BROWSER is None, reason='no browser: install chromium or set BROWSER_PATH')


@pytest.fixture(scope='module')
def lab(tmp_path_factory):
    "JupyterLab on a copy of the project; its address."
    home = tmp_path_factory.mktemp('lab')
    shutil.copytree(ROOT, home/'copy', ignore=shutil.ignore_patterns('.git', '*.egg-info', 'runs', '__pycache__'))
    with socket.socket() as free: free.bind(('127.0.0.1', 0)); port = free.getsockname()[1]
    folders = {f'JUPYTER_{name}_DIR': str(home/name) for name in ('CONFIG', 'DATA', 'RUNTIME')} | {'JUPYTERLAB_SETTINGS_DIR': str(home/'settings'), 'JUPYTERLAB_WORKSPACES_DIR': str(home/'workspaces')}
    command = [sys.executable, '-m', 'jupyterlab', '--no-browser', '--allow-root', f'--port={port}', '--ip=127.0.0.1', f'--ServerApp.root_dir={home/"copy"}',
               '--IdentityProvider.token=', '--LabApp.expose_app_in_browser=True', '--LabApp.news_url=None']
    with open(home/'log', 'w') as log: server = subprocess.Popen(command, stdout=log, stderr=log, env=os.environ | folders)
    address = f'http://127.0.0.1:{port}'
    for _ in range(300):
        try: urllib.request.urlopen(f'{address}/api'); break
        except OSError: time.sleep(.2)
    else: raise AssertionError((home/'log').read_text())
    yield address
    server.terminate(); server.wait(20)


@pytest.fixture(scope='module')
def browser():
    from playwright.sync_api import sync_playwright
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=QUIET)
        yield browser
        browser.close()


class Notebook:
    "A notebook open in JupyterLab, and what the browser complained about."
    def __init__(self, browser, address, name):
        self.page, self.complaints = browser.new_page(viewport={'width': 1280, 'height': 800}), []
        self.page.on('console', lambda message: self.complaints.append(message.text) if message.type == 'error' else None)
        self.page.on('pageerror', lambda error: self.complaints.append(str(error)))
        self.page.goto(f'{address}/lab/tree/nbs/{name}.ipynb?reset')
        self.page.wait_for_function("() => window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel?.status === 'idle'", timeout=60_000)
    def start(self, command):
        "Start a command of JupyterLab; `wait` waits until it is done."
        self.page.evaluate("command => { window.done = false; jupyterapp.commands.execute(command).finally(() => window.done = true) }", command)
    def wait(self): self.page.wait_for_function('() => window.done', timeout=240_000)
    def run_all(self):
        self.start('notebook:run-all-cells')
        self.wait()
    def explorers(self): return self.page.locator('.jp-OutputArea-output .widget-vbox:has(> img)').all()
    def errors(self): return self.page.locator('.jp-RenderedText[data-mime-type="application/vnd.jupyter.error"], .jp-RenderedText[data-mime-type="application/vnd.jupyter.stderr"]').all_inner_texts()

"What only a browser can tell: every slider and button of the notebooks with widgets, in JupyterLab."
import io, os, re, shutil, socket, subprocess, sys, time, urllib.request
from pathlib import Path

import pytest
from PIL import Image

from conftest import shell

ROOT = Path(__file__).parent.parent
BROWSER = os.environ.get('BROWSER_PATH') or next(filter(None, map(shutil.which, ('chromium', 'chromium-browser', 'google-chrome'))), None)
QUIET = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync']
CHOOSE = 'Choose an image'
pytestmark = pytest.mark.skipif(BROWSER is None, reason='no browser: install chromium or set BROWSER_PATH')


@pytest.fixture(scope='module')
def lab(tmp_path_factory):
    "JupyterLab on a copy of the project; its address."
    home = tmp_path_factory.mktemp('lab')
    shutil.copytree(ROOT, home/'copy', ignore=shutil.ignore_patterns('.git', '*.egg-info', 'runs', '__pycache__'))
    with socket.socket() as free: free.bind(('127.0.0.1', 0)); port = free.getsockname()[1]
    news = home/'settings/@jupyterlab/apputils-extension/notification.jupyterlab-settings' # asks for news in a corner of the page
    news.parent.mkdir(parents=True); news.write_text('{"fetchNews": "false"}')
    folders = {f'JUPYTER_{name}_DIR': str(home/name) for name in ('CONFIG', 'DATA', 'RUNTIME')} | {'JUPYTERLAB_SETTINGS_DIR': str(home/'settings'), 'JUPYTERLAB_WORKSPACES_DIR': str(home/'workspaces')}
    command = [sys.executable, '-m', 'jupyterlab', '--no-browser', '--allow-root', f'--port={port}', '--ip=127.0.0.1', f'--ServerApp.root_dir={home/"copy"}',
               '--IdentityProvider.token=', '--LabApp.expose_app_in_browser=True']
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

    def wait(self): self.page.wait_for_function('() => window.done', timeout=600_000)

    def run_all(self):
        "Run all cells, look at each so that it is really on the page, and check that none failed."
        self.start('notebook:run-all-cells'); self.wait()
        cells = self.page.evaluate('() => jupyterapp.shell.currentWidget.content.widgets.length')
        for i in range(0, cells, 3):
            self.page.evaluate('i => jupyterapp.shell.currentWidget.content.scrollToItem(i)', i)
            self.page.wait_for_timeout(50)
        assert self.failures() == []

    def failures(self):
        "Errors, warnings and other noise in the outputs."
        return self.page.evaluate("""() => jupyterapp.shell.currentWidget.content.widgets.filter(cell => cell.model.type === 'code')
            .flatMap(cell => cell.model.outputs.toJSON()).filter(o => o.output_type === 'error' || o.name === 'stderr').map(o => JSON.stringify(o).slice(0, 2000))""")

    def explorers(self): return [Panel(self.page, box) for box in self.page.locator('.jp-OutputArea-output .widget-vbox:has(> img)').all()]


class Panel:
    "An explorer on the page."
    def __init__(self, page, box): self.page, self.box, self.picture = page, box, box.locator('> img')

    def source(self): return self.picture.get_attribute('src') # the browser makes a new one for other bytes only

    def changes(self, act, seconds=3):
        "Does the picture change within some seconds after `act`?"
        before, end = self.source(), time.time() + seconds
        act()
        while time.time() < end:
            if self.source() != before: return True
            self.page.wait_for_timeout(10)
        return False

    def move(self, handle):
        "Move a slider by its keyboard: a few steps and back, or else to an end."
        handle.focus()
        moved = any(self.changes(lambda: handle.press(key)) for key in ('PageUp', 'PageDown', 'End', 'Home'))
        handle.press('PageDown')
        return moved

    def sliders(self): return [handle for handle in self.box.locator('[role=slider]').all() if handle.is_visible()]

    def fits(self):
        "Is all of it on the screen at once, and nothing cut off?"
        self.box.scroll_into_view_if_needed()
        screen, box, picture = self.page.locator('.jp-WindowedPanel-outer').bounding_box(), self.box.bounding_box(), self.picture.bounding_box()
        return box['height'] <= screen['height'] and picture['x'] + picture['width'] <= screen['x'] + screen['width']


def try_all(panel):
    "Move every slider and press every toggle of an explorer, on every tab. Returns how many there were."
    count, tabs = 0, panel.box.locator('.lm-TabBar-tab').all()
    for tab in tabs or [None]:
        if tab: tab.click()
        for handle in panel.sliders():
            count += 1
            assert panel.move(handle), handle.evaluate('handle => handle.closest(".widget-inline-hbox").innerText')
    toggles = panel.box.locator('.widget-toggle-button').all()
    if toggles: assert any([panel.changes(toggle.click, 1) for toggle in toggles])
    for toggle in toggles:
        toggle.click()
        assert 'mod-active' in toggle.get_attribute('class')
    return count + len(toggles)


def look(notebook, folder):
    "Each explorer fits the screen; what it looks like is kept as a picture."
    for i, panel in enumerate(notebook.explorers()):
        assert panel.fits(), i
        notebook.page.screenshot(path=folder/f'{i}.png')


def upload(panel, name, content):
    "Choose a file as a person does: by the button and the browser's dialog."
    with panel.page.expect_file_chooser() as chooser: panel.box.get_by_role('button', name=CHOOSE).click()
    chooser.value.set_files({'name': name, 'mimeType': 'image/png', 'buffer': content})


def try_upload(panel):
    "A bad file is answered by a sentence, a good one by its mask, which can be downloaded."
    message, png = panel.box.locator('.widget-html-content').first, io.BytesIO()
    Image.linear_gradient('L').resize((150, 90)).save(png, 'PNG')
    upload(panel, 'bad.png', b'no image at all')
    message.get_by_text('bad.png is no image').wait_for(timeout=5000)
    assert panel.changes(lambda: upload(panel, 'good.png', png.getvalue()))
    with panel.page.expect_download() as download: message.get_by_role('link').click()
    assert download.value.suggested_filename == 'good_Segmentation.png'
    with Image.open(download.value.path()) as mask: assert mask.size == (150, 90)


def try_stop(notebook, cell):
    "Train in a new cell, press the toolbar's stop button while it trains, and see that the finished epochs were kept."
    known = len(notebook.explorers())
    notebook.page.evaluate("""async source => { const book = jupyterapp.shell.currentWidget.content; book.activeCellIndex = book.widgets.length - 1;
        await jupyterapp.commands.execute('notebook:insert-cell-below'); book.activeCell.model.sharedModel.setSource(source) }""", cell)
    notebook.start('notebook:run-cell')
    notebook.page.wait_for_function('known => document.querySelectorAll(".jp-OutputArea-output .widget-vbox > img").length > known', arg=known)
    panel = notebook.explorers()[-1]
    assert panel.changes(lambda: None, 30), 'the curve does not grow'
    notebook.page.locator('[data-command="notebook:interrupt-kernel"]').first.click()
    notebook.wait()
    said = notebook.page.locator('.jp-OutputArea-output pre').last.inner_text()
    assert 1 <= int(re.search(r', (\d+) of 500 epochs', said)[1]) < 500


def try_everything(notebook, folder):
    "Upload where something can be uploaded, then move all that can be moved. How much was there?"
    notebook.run_all()
    look(notebook, folder)
    panels = notebook.explorers()
    own = [panel for panel in panels if panel.box.get_by_role('button', name=CHOOSE).count()]
    for panel in own: try_upload(panel)
    return len(panels), sum(try_all(panel) for panel in panels if panel.sliders()), len(own)


def test_library(lab, browser, tmp_path):
    "The notebook that makes the widgets: everything on it that can be moved."
    notebook = Notebook(browser, lab, 'lib/widgets')
    panels, controls, own = try_everything(notebook, tmp_path)
    assert panels >= 7 and controls >= 50 and own >= 1
    live = "train_live(replace(small, epochs=500), data, folder/'clicked', weights=None)"
    try_stop(notebook, live)
    assert notebook.failures() == [] and notebook.complaints == []


def test_report(browser, data, tmp_path):
    "The report of a comparison, opened as a file: slider and sample picker work without a kernel."
    run = shell('lesionseg_compare', '--data', data, '--out', tmp_path, '--weights', 'none',
                '--batch_size', '4', '--epochs', '1')
    assert run.returncode == 0, run.stderr
    report = tmp_path/'report.html'
    assert report.stat().st_size < 5_000_000

    page, asked, complaints = browser.new_page(viewport={'width': 1280, 'height': 900}), [], []
    page.on('request', lambda request: asked.append(request.url))
    page.on('pageerror', lambda error: complaints.append(str(error)))
    page.goto(report.as_uri())
    def text(id): return page.locator(id).inner_text()
    def drawn(id): return page.locator(id).evaluate('canvas => canvas.toDataURL()')

    page.locator('#threshold').focus()
    page.keyboard.press('Home')
    seen = []
    for _ in range(100):
        page.keyboard.press('ArrowRight')
        seen.append((text('#level'), text('#said'), drawn('#outline0')))
    assert [level for level, _, _ in seen] == [f'{i/100:.2f}' for i in range(1, 101)]
    assert all(len(set(kind)) > 3 for kind in zip(*seen)) # the score and the outline move along
    outline, probs = drawn('#outline0'), drawn('#probs0')
    page.locator('#sample').select_option(index=2)
    page.wait_for_timeout(200)
    assert drawn('#outline0') != outline and drawn('#probs0') != probs
    page.screenshot(path=tmp_path/'report.png', full_page=True)
    assert complaints == [] and [url for url in asked if not url.startswith(('file:', 'data:'))] == []


def test_study(lab, browser, tmp_path):
    "The study: its widgets live, and they fit."
    notebook = Notebook(browser, lab, 'studies/explore')
    panels, controls, own = try_everything(notebook, tmp_path)
    assert panels >= 5 and controls >= 50 and own >= 1
    assert notebook.failures() == [] and notebook.complaints == []

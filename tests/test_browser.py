"What only a browser can tell: sliders, buttons, quizzes and layout of the notebooks in JupyterLab."
import io, json, os, re, shutil, socket, subprocess, sys, time, urllib.request

import pytest
from PIL import Image

from conftest import ROOT, shell

NAMES = 'chromium', 'chromium-browser', 'google-chrome'
BROWSER = os.environ.get('BROWSER_PATH') or next(filter(None, map(shutil.which, NAMES)), None)
QUIET = '''--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking
    --disable-component-update --disable-sync'''.split()
CHOOSE = 'Choose an image'
EXPLORER = '.jp-OutputArea-output .lesionseg-explorer'
KERNEL = 'window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel'
BOOK = 'jupyterapp.shell.currentWidget.content'
pytestmark = pytest.mark.skipif(BROWSER is None,
                                reason='no browser: install chromium or set BROWSER_PATH')


def free_port():
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        return free.getsockname()[1]


def lab_environment(home):
    "Folders of its own, and no question for news in a corner of the page."
    news = home/'settings/@jupyterlab/apputils-extension/notification.jupyterlab-settings'
    news.parent.mkdir(parents=True)
    news.write_text('{"fetchNews": "false"}')
    folders = {f'JUPYTER_{name}_DIR': str(home/name) for name in ('CONFIG', 'DATA', 'RUNTIME')}
    return os.environ | folders | {'JUPYTERLAB_SETTINGS_DIR': str(home/'settings'),
                                   'JUPYTERLAB_WORKSPACES_DIR': str(home/'workspaces')}


def wait_for(address, log):
    "Wait until the server answers."
    for _ in range(300):
        try: return urllib.request.urlopen(f'{address}/api')
        except OSError: time.sleep(.2)
    raise AssertionError(log.read_text())


LESSON = "from lesionseg.exercises import check, near\ntest = near([1/2, 2/3])", \
    "check((1, 1), test, 'Draw it.');", "check((1/2, 2/3), test);"


def write_lesson(path):
    "A notebook with an exercise that is answered wrong and right."
    cells = [{'cell_type': 'code', 'id': str(i), 'metadata': {}, 'source': source,
              'outputs': [], 'execution_count': None} for i, source in enumerate(LESSON)]
    kernel = {'kernelspec': {'name': 'python3', 'display_name': 'Python 3', 'language': 'python'}}
    path.write_text(json.dumps(
        {'cells': cells, 'metadata': kernel, 'nbformat': 4, 'nbformat_minor': 5}))


@pytest.fixture(scope='module')
def lab(tmp_path_factory):
    "JupyterLab on a copy of the project; its address."
    home = tmp_path_factory.mktemp('lab')
    left_out = shutil.ignore_patterns('.git', '*.egg-info', 'runs', '__pycache__')
    shutil.copytree(ROOT, home/'copy', ignore=left_out)
    write_lesson(home/'copy/nbs/lesson.ipynb')
    port = free_port()
    command = [sys.executable, '-m', 'jupyterlab', '--no-browser', '--allow-root',
               f'--port={port}', '--ip=127.0.0.1', f'--ServerApp.root_dir={home/"copy"}',
               '--IdentityProvider.token=', '--LabApp.expose_app_in_browser=True']
    with open(home/'log', 'w') as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, env=lab_environment(home))
    address = f'http://127.0.0.1:{port}'
    wait_for(address, home/'log')
    yield address
    server.terminate()
    server.wait(20)


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
        self.page = browser.new_page(viewport={'width': 1280, 'height': 800})
        self.complaints = []
        self.page.on('console', self.listen)
        self.page.on('pageerror', lambda error: self.complaints.append(str(error)))
        self.page.goto(f'{address}/lab/tree/nbs/{name}.ipynb?reset')
        self.page.wait_for_function(f"() => {KERNEL}?.status === 'idle'", timeout=60_000)

    def listen(self, message):
        if message.type == 'error': self.complaints.append(message.text)

    def start(self, command):
        "Start a command of JupyterLab; `wait` waits until it is done."
        self.page.evaluate('''command => {
            window.done = false;
            jupyterapp.commands.execute(command).finally(() => window.done = true) }''', command)

    def wait(self): self.page.wait_for_function('() => window.done', timeout=600_000)

    def run_all(self):
        "Run all cells, look at each so that it is really on the page, and check that none failed."
        self.start('notebook:run-all-cells')
        self.wait()
        for _ in self.scroll(): pass
        assert self.failures() == []

    def scroll(self):
        "Go down the page, because JupyterLab draws a cell only where it is seen."
        cells = self.page.evaluate(f'() => {BOOK}.widgets.length')
        for i in range(0, cells, 3):
            self.page.evaluate(f'i => {BOOK}.scrollToItem(i)', i)
            self.page.wait_for_timeout(50)
            yield i

    def failures(self):
        "Errors, warnings and other noise in the outputs."
        return self.page.evaluate(f"() => {BOOK}" + '''.widgets
            .filter(cell => cell.model.type === 'code')
            .flatMap(cell => cell.model.outputs.toJSON())
            .filter(o => o.output_type === 'error' || o.name === 'stderr')
            .map(o => JSON.stringify(o).slice(0, 2000))''')

    def explorers(self): return [Panel(self.page, box) for box in self.page.locator(EXPLORER).all()]


class Panel:
    "An explorer on the page."
    def __init__(self, page, box):
        self.page = page
        self.box = box
        self.view = box.locator('> .widget-html:last-child .widget-html-content')

    def changes(self, act, seconds=3):
        "Does what is shown change within some seconds after `act`?"
        self.view.evaluate('view => { view.before = view.innerHTML }')
        end = time.time() + seconds
        act()
        while time.time() < end:
            if self.view.evaluate('view => view.innerHTML !== view.before'): return True
            self.page.wait_for_timeout(10)
        return False

    def move(self, handle):
        "Move a slider by its keyboard: a few steps and back, or else to an end."
        handle.focus()
        keys = 'PageUp', 'PageDown', 'End', 'Home'
        moved = any(self.changes(lambda: handle.press(key)) for key in keys)
        handle.press('PageDown')
        return moved

    def sliders(self):
        return [handle for handle in self.box.locator('[role=slider]').all() if handle.is_visible()]

    def reach(self):
        "Scroll to it. What comes into view gets its true height, and so moves: twice is enough."
        for _ in range(2):
            self.box.evaluate("box => box.scrollIntoView({block: 'center'})")
            self.page.wait_for_timeout(60)

    def fits(self):
        "Is all of it on the screen at once, and nothing cut off?"
        self.reach()
        screen = self.page.locator('.jp-WindowedPanel-outer').bounding_box()
        box = self.box.bounding_box()
        right = screen['x'] + screen['width']
        images = [image.bounding_box() for image in self.view.locator('img').all()]
        return box['height'] <= screen['height'] and all(
            image['x'] + image['width'] <= right for image in images)


def try_all(panel):
    "Move every slider and press every toggle of an explorer, on every tab. How many were there?"
    count = 0
    for tab in panel.box.locator('.lm-TabBar-tab').all() or [None]:
        if tab: tab.click()
        for handle in panel.sliders():
            count += 1
            assert panel.move(handle), handle.evaluate(
                'handle => handle.closest(".widget-inline-hbox").innerText')
    toggles = panel.box.locator('.widget-toggle-button').all()
    if toggles: assert any([panel.changes(toggle.click, 1) for toggle in toggles])
    for toggle in toggles:
        toggle.click()
        assert 'mod-active' in toggle.get_attribute('class')
    return count + len(toggles)


def look(notebook, folder):
    "Each explorer fits the screen; what it looks like is kept as an image."
    for i, panel in enumerate(notebook.explorers()):
        assert panel.fits(), i
        notebook.page.screenshot(path=folder/f'{i}.png')


def upload(panel, name, content):
    "Choose a file as a person does: by the button and the browser's dialog."
    with panel.page.expect_file_chooser() as chooser:
        panel.box.get_by_role('button', name=CHOOSE).click()
    chooser.value.set_files({'name': name, 'mimeType': 'image/png', 'buffer': content})


def try_upload(panel):
    "A bad file is answered by a sentence, a good one by its mask."
    message = panel.box.locator('.widget-html-content').first
    png = io.BytesIO()
    Image.linear_gradient('L').resize((150, 90)).save(png, 'PNG')

    upload(panel, 'bad.png', b'no image at all')
    message.get_by_text('bad.png is no image').wait_for(timeout=5000)
    assert panel.changes(lambda: upload(panel, 'good.png', png.getvalue()))


def try_stop(notebook, cell):
    "Train in a new cell, stop it by the toolbar's button: the finished epochs were kept."
    known = len(notebook.explorers())
    notebook.page.evaluate('''async source => {
        const book = jupyterapp.shell.currentWidget.content;
        book.activeCellIndex = book.widgets.length - 1;
        await jupyterapp.commands.execute('notebook:insert-cell-below');
        book.activeCell.model.sharedModel.setSource(source) }''', cell)
    notebook.start('notebook:run-cell')
    notebook.page.wait_for_function(
        '([query, known]) => document.querySelectorAll(query).length > known',
        arg=[EXPLORER, known])
    panel = notebook.explorers()[-1]
    assert panel.changes(lambda: None, 30), 'the curve does not grow'

    notebook.page.locator('[data-command="notebook:interrupt-kernel"]').first.click()
    notebook.wait()
    said = ' '.join(notebook.page.locator('.jp-OutputArea-output pre').all_inner_texts())
    assert 1 <= int(re.search(r'Stopped after (\d+) of 500 epochs', said)[1]) < 500


def try_everything(notebook, folder):
    "Upload where something can be uploaded, then move all that can be moved. How much was there?"
    notebook.run_all()
    look(notebook, folder)
    panels = notebook.explorers()
    own = [p for p in panels if p.box.get_by_role('button', name=CHOOSE).count()]
    for panel in own: try_upload(panel)
    return len(panels), sum(try_all(panel) for panel in panels if panel.sliders()), len(own)


def test_library(lab, browser, tmp_path):
    "The notebook that makes the widgets: everything on it that can be moved."
    notebook = Notebook(browser, lab, 'lib/widgets')
    panels, controls, own = try_everything(notebook, tmp_path)
    assert panels >= 3 and controls >= 6 and own == 0
    assert notebook.failures() == [] and notebook.complaints == []
    notebook.page.close()


def compare(data, out):
    "Train both strategies for an epoch; the report's address."
    run = shell('lesionseg_compare', '--data', data, '--out', out, '--weights', 'none',
                '--batch_size', '4', '--epochs', '1')
    assert run.returncode == 0, run.stderr
    report = out/'report.html'
    assert report.stat().st_size < 5_000_000
    return report.as_uri()


def test_report(browser, data, tmp_path):
    "The report of a comparison, opened as a file: slider and sample picker work without a kernel."
    address = compare(data, tmp_path)
    page = browser.new_page(viewport={'width': 1280, 'height': 900})
    asked = []
    complaints = []
    page.on('request', lambda request: asked.append(request.url))
    page.on('pageerror', lambda error: complaints.append(str(error)))
    page.goto(address)

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
    outside = [url for url in asked if not url.startswith(('file:', 'data:'))]
    tries = page.get_by_role('link', name='Try ')
    assert tries.all_inner_texts() == ['Try feature extraction', 'Try fine-tuning']
    tries.last.click() # the model itself, beside the report
    page.locator('#said', has_text='The model is ready.').wait_for(timeout=60_000)
    assert 'finetuning-seed0' in page.inner_text('header')
    assert complaints == [] and outside == []


@pytest.fixture(scope='module')
def explore(lab, browser):
    "The study with all widgets, run once for the tests that follow."
    notebook = Notebook(browser, lab, 'studies/explore')
    notebook.run_all()
    yield notebook
    notebook.page.close()


def test_study(explore, tmp_path):
    "The study: its widgets live, and they fit."
    panels, controls, own = try_everything(explore, tmp_path)
    assert panels >= 5 and controls >= 50 and own >= 1
    assert explore.failures() == [] and explore.complaints == []


WIDTHS = 900, 1280, 1600
THEMES = 'JupyterLab Light', 'JupyterLab Dark'
LOOKS = [(theme, width) for theme in THEMES for width in WIDTHS]
MEASURED = '''box => {
    const output = box.closest('.jp-OutputArea-output'), edge = output.getBoundingClientRect();
    const shown = query => [...box.querySelectorAll(query)].filter(node => node.offsetParent);
    const size = node => parseFloat(getComputedStyle(node).fontSize);
    const texts = 'label, .widget-label, .widget-readout, button, figcaption, span';
    const parts = shown('img, button, .widget-inline-hbox, .widget-readout, figcaption');
    return {
        outside: parts.filter(node => node.getBoundingClientRect().right > edge.right + 1)
            .map(node => node.outerHTML.slice(0, 80)),
        scrolls: output.scrollWidth - output.clientWidth,
        tracks: shown('.slider-container').map(node => node.getBoundingClientRect().width),
        texts: shown(texts).map(size),
        cut: shown('figcaption, button, .widget-label, .widget-readout, .lm-TabBar-tabLabel')
            .filter(node => node.scrollWidth > node.clientWidth).map(node => node.textContent),
        images: shown('img').length,
        charts: shown('.lesionseg-chart').map(node => node.offsetWidth/node.naturalWidth) } }'''


def show_as(page, theme, width):
    "Switch the theme and the width of the window, and wait until both are there."
    page.set_viewport_size({'width': width, 'height': 800})
    page.evaluate('''theme =>
        jupyterapp.commands.execute('apputils:change-theme', {theme})''', theme)
    light = str(theme.endswith('Light')).lower()
    page.wait_for_selector(f'body[data-jp-theme-light="{light}"]', state='attached')
    page.wait_for_timeout(400)


def light_share(panel):
    "The share of a panel's pixels that are nearly white, where it is neither image nor mask."
    corner = panel.box.bounding_box()
    sheet = Image.open(io.BytesIO(panel.box.screenshot())).convert('L')
    for image in panel.view.locator('img:not(.lesionseg-chart)').all():
        box = image.bounding_box()
        left, top = round(box['x'] - corner['x']), round(box['y'] - corner['y'])
        sheet.paste(0, (left, top, left + round(box['width']), top + round(box['height'])))
    return sum(sheet.histogram()[230:])/(sheet.width*sheet.height)


@pytest.mark.parametrize('theme, width', LOOKS)
def test_layout(explore, theme, width, tmp_path):
    "Tracks can be gripped, captions can be read, nothing is cut, and the dark theme stays dark."
    show_as(explore.page, theme, width)
    panels = explore.explorers()
    assert len(panels) >= 5
    for i, panel in enumerate(panels):
        panel.reach()
        explore.page.screenshot(path=tmp_path/f'{i}.png')
        found = panel.box.evaluate(MEASURED)
        assert found['images'] > 0, i
        assert found['outside'] == [] and found['cut'] == [] and found['scrolls'] <= 0, i
        assert all(track >= 150 for track in found['tracks']), i
        assert min(found['texts'], default=12) >= 11, i
        assert all(share >= .88 for share in found['charts']), i # its smallest text has 12.5 px
        if theme.endswith('Dark'): assert light_share(panel) < .05, i


def test_training_stops(explore):
    "The toolbar's button stops a run whose curves grow."
    try_stop(explore, "train_live(replace(FINE_TUNING, epochs=500), data, folder/'live', None)")
    assert explore.failures() == [] and explore.complaints == []


CODE = f"() => {BOOK}" + '''.widgets
    .filter(cell => cell.model.type === 'code' && cell.node.isConnected)
    .map(cell => cell.node.querySelector('.cm-scroller'))
    .filter(node => node && node.offsetParent)
    .map(node => [node.scrollWidth - node.clientWidth, node.innerText])'''


@pytest.mark.parametrize('name', ['01_data', '05_comparison'])
def test_code_fits(lab, browser, name):
    "No line of code is cut, at two widths, beside the side bar that JupyterLab opens."
    notebook = Notebook(browser, lab, name)
    for width in 1280, 1600:
        notebook.page.set_viewport_size({'width': width, 'height': 800})
        seen = {}
        for _ in notebook.scroll():
            seen |= {text: more for more, text in notebook.page.evaluate(CODE)}
        assert len(seen) >= 20
        assert [text for text, more in seen.items() if more > 0] == []
    notebook.page.close()


def test_exercise(lab, browser):
    "A wrong answer gets a hint, a right one is right."
    lesson = Notebook(browser, lab, 'lesson')
    lesson.run_all()
    said = lesson.page.locator('.jp-OutputArea-output pre').all_inner_texts()
    assert [words.split(':')[0].strip() for words in said[-2:]] == ['Not yet', 'Right.']
    assert lesson.failures() == [] and lesson.complaints == []
    lesson.page.close()

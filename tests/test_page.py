"The page in real browsers: the same masks as Python's, no request, and what a person does with it."
import base64, functools, http.server, io, json, os, shutil, socket, subprocess, threading, time
import zipfile
from contextlib import contextmanager

import numpy as np, pytest, torch
from PIL import Image

from conftest import ROOT, shell
from lesionseg import LesionSegmenter, segment
from lesionseg.core import to_base64
from lesionseg.files import read_mask
from lesionseg.page import export_page
from lesionseg.synthetic import random_scene, render
from test_browser import BROWSER, browser, free_port

__all__ = ['browser'] # a fixture

FIREFOX = next(filter(None, map(shutil.which, ('firefox-esr', 'firefox'))), None)
in_chromium = pytest.mark.skipif(BROWSER is None, reason='no chromium: see test_browser.py')
STUB = 'window.showDirectoryPicker = () => navigator.storage.getDirectory()'
COPY = '''async files => {
    const folder = await navigator.storage.getDirectory()
    for (const [name, content] of Object.entries(files)) {
        const file = await (await folder.getFileHandle(name, {create: true})).createWritable()
        await file.write(Uint8Array.from(atob(content), letter => letter.charCodeAt(0)))
        await file.close() } }'''
LISTED = '''async path => {
    let folder = await navigator.storage.getDirectory()
    for (const part of path) folder = await folder.getDirectoryHandle(part)
    const found = {}
    for await (const [name, entry] of folder.entries())
        if (entry.kind === 'file' && name.endsWith('.png'))
            found[name] = Array.from(new Uint8Array(await (await entry.getFile()).arrayBuffer()))
    return found }'''
SIZES = [(640, 480), (300, 400), (800, 600), (90, 64), (577, 333), (400, 400)]


@pytest.fixture(scope='module')
def page_file(tmp_path_factory):
    "The page of the packaged model, as the command writes it."
    out = tmp_path_factory.mktemp('page')/'page.html'
    run = shell('lesionseg_export', 'isic2016', '--out', out)
    assert run.returncode == 0 and 'differ from' in run.stdout, run.stderr
    assert out.stat().st_size <= 12e6
    return out


@pytest.fixture(scope='module')
def photos(tmp_path_factory):
    "Synthetic photographs of several sizes and kinds; one lies on its side."
    folder = tmp_path_factory.mktemp('photos')
    side = Image.Exif()
    side[0x0112] = 6
    for i, size in enumerate(SIZES):
        pixels, _ = render(random_scene(np.random.default_rng(i)), i, size=size)
        name = folder/f'photo {i}.{"png" if i % 3 == 2 else "jpg"}'
        Image.fromarray(pixels).save(name, **({'exif': side} if i == 1 else {}))
    return sorted(folder.iterdir())


def iou(ours, theirs):
    assert ours.shape == theirs.shape
    return (ours & theirs).sum()/max(1, (ours | theirs).sum())


def decoded(png):
    with Image.open(io.BytesIO(png)) as image:
        assert image.mode == 'L'
        return np.asarray(image) > 0


def copy(tab, masks, *names):
    "Put files into the folder that the browser keeps for the page."
    tab.evaluate(COPY, {name: to_base64((masks/name).read_bytes()) for name in names})


class Tab:
    "A page in Chromium, what it asked for, and what the browser complained about."
    def __init__(self, browser, address, **options):
        self.tab = browser.new_page(**{'viewport': {'width': 1280, 'height': 900}} | options)
        self.asked, self.complaints = [], []
        self.tab.on('request', lambda request: self.asked.append(request.url))
        self.tab.on('pageerror', lambda error: self.complaints.append(str(error)))
        self.tab.on('console', lambda message: self.complaints.append(message.text))
        self.tab.add_init_script(STUB)
        self.tab.goto(address)


class Page(Tab):
    "The page of a model."
    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.wait('The model is ready.')

    def wait(self, words): self.tab.locator('#said', has_text=words).wait_for(timeout=60_000)
    def press(self, name): self.tab.get_by_role('button', name=name).click()
    def text(self, id): return self.tab.locator(id).inner_text()

    def add(self, files):
        "Choose files, and wait for their masks."
        known = self.tab.locator('#film canvas').count()
        self.tab.set_input_files('#files', files)
        self.tab.wait_for_function(
            "n => document.querySelectorAll('#film canvas').length === n && busy.hidden",
            arg=known + len(files), timeout=60_000)

    def download(self, button):
        with self.tab.expect_download() as download: self.press(button)
        return download.value.path().read_bytes()

    def quiet(self):
        "Nothing was asked for but the page itself and its own worker; nobody complained."
        own = [url for url in self.asked if not url.startswith(('blob:', 'data:'))]
        return len(own) == 1 and self.complaints == []


@pytest.fixture
def page(browser, page_file):
    page = Page(browser, page_file.as_uri())
    yield page
    assert page.quiet(), (page.asked, page.complaints)
    page.tab.close()


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args): pass


@contextmanager
def server(folder):
    handler = functools.partial(Quiet, directory=folder)
    with http.server.ThreadingHTTPServer(('127.0.0.1', 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f'http://127.0.0.1:{server.server_port}'
        server.shutdown()


@in_chromium
def test_masks_are_those_of_python(page, photos, tmp_path):
    "Of every photograph, at its own size; Python reads them as masks of that photograph."
    page.add(photos)
    with zipfile.ZipFile(io.BytesIO(page.download('All masks as zip'))) as masks:
        assert masks.testzip() is None
        masks.extractall(tmp_path)
    for photo in photos:
        mask = tmp_path/f'{photo.stem}_segmentation.png'
        assert iou(read_mask(mask, allow=('empty',)) > 0, segment(photo) > .5) >= .99, photo.name


@in_chromium
def test_augmentation_and_threshold_are_those_of_python(page, photos):
    page.add(photos[:1])
    page.tab.get_by_label('Test-time augmentation').check()
    page.wait('The mask is there')
    page.tab.locator('#threshold').fill('0.3')
    probs = segment(photos[0], tta=True)
    assert iou(decoded(page.download('Mask as PNG')), probs > .3) >= .99
    assert page.text('#area') == f'{100*(probs > .3).mean():.1f} %'


@in_chromium
def test_a_server_is_asked_once(browser, page_file, photos):
    with server(page_file.parent) as address:
        page = Page(browser, f'{address}/page.html')
        page.add(photos[:1])
        assert iou(decoded(page.download('Mask as PNG')), segment(photos[0]) > .5) >= .99
        assert page.quiet(), (page.asked, page.complaints)
        page.tab.close()


@in_chromium
def test_masks_go_into_a_folder(browser, page_file, photos):
    "What lies there and is no work of this page is set aside, not lost."
    theirs, own = (f'{photo.stem}_segmentation.png' for photo in photos[:2])
    with server(photos[0].parent.parent) as address:
        page = Page(browser, f'{address}/{page_file.parent.name}/page.html')
        page.add(photos[:2])
        Image.new('L', (8, 8)).save(page_file.parent/theirs)
        copy(page.tab, page_file.parent, theirs)
        page.press('All masks into a folder')
        page.wait('holds 2 masks')
        found = page.tab.evaluate(LISTED, [])
        for photo in photos[:2]:
            mask = decoded(bytes(found[f'{photo.stem}_segmentation.png']))
            assert iou(mask, segment(photo) > .5) >= .99

        page.tab.locator('#threshold').fill('0.3') # and once more
        page.tab.evaluate("said.textContent = ''")
        page.press('All masks into a folder')
        page.wait('holds 2 masks')
        again = page.tab.evaluate(LISTED, [])
        assert again.keys() == {theirs, own} and again[own] != found[own]
        aside, = page.tab.evaluate(LISTED, ['replaced']).values()
        assert bytes(aside) == (page_file.parent/theirs).read_bytes()
        assert page.quiet(), (page.asked, page.complaints)
        page.tab.close()


@pytest.mark.skipif(shutil.which('node') is None, reason='no node')
def test_the_network_is_quick(page_file):
    "Far above the .3 seconds of a quiet core: the machine may be slow, and have other work."
    command = ['node', ROOT/'tests/network_time.mjs', page_file, '8']
    answer = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert json.loads(answer)['cpu'] < 1


@in_chromium
@pytest.mark.parametrize('side', [32, 96]) # its planes shrink to one pixel, and to nine
def test_any_model_at_any_side(browser, photos, tmp_path, side):
    "An untrained network: the same numbers."
    torch.manual_seed(0)
    model = LesionSegmenter(normalize=True, size=side).eval()
    export_page(model, tmp_path/'own.html')
    page = Page(browser, (tmp_path/'own.html').as_uri())
    page.add(photos[:1])
    level = float(np.median(segment(photos[0], model)))
    page.tab.locator('#threshold').fill(f'{level:.2f}')
    expected = segment(photos[0], model) > float(f'{level:.2f}')
    assert iou(decoded(page.download('Mask as PNG')), expected) >= .95 # half of it is a border
    page.tab.close()


TIMES = '''() => [...Array(40).keys()].map(i => {
    const start = performance.now()
    threshold.value = .1 + i/50
    threshold.dispatchEvent(new Event('input'))
    return [performance.now() - start, parseFloat(area.textContent)] })'''


@in_chromium
def test_the_slider_follows_the_hand(page, photos):
    page.add(photos[:1])
    times, areas = zip(*page.tab.evaluate(TIMES))
    assert min(times) < 50 # the fastest: the machine may have other work
    assert sorted(areas, reverse=True) == list(areas) and areas[0] > areas[-1]


@in_chromium
def test_what_is_no_photograph_gets_a_sentence(page, photos):
    "And the others of the same choice are segmented."
    clear = io.BytesIO()
    Image.new('RGBA', (60, 40)).save(clear, 'PNG')
    bad = {'name': 'notes.txt', 'mimeType': 'text/plain', 'buffer': b'no image'}
    see_through = {'name': 'clear.png', 'mimeType': 'image/png', 'buffer': clear.getvalue()}
    page.tab.set_input_files('#files', [bad, see_through])
    page.tab.get_by_role('alert').nth(1).wait_for()
    said = page.tab.get_by_role('alert').all_inner_texts()
    assert 'notes.txt is no photograph that this browser can read: save it as' in said[0]
    assert 'clear.png has transparent pixels' in said[1]
    assert page.tab.get_by_text('Drop dermoscopy photographs here').is_visible()
    page.add(photos[:1])


@in_chromium
def test_a_large_photograph(page, tmp_path):
    "Twelve million pixels, in a few seconds, and the page stays alive meanwhile."
    pixels, _ = render(random_scene(np.random.default_rng(3)), 3, size=(1000, 750))
    large = Image.fromarray(pixels).resize((4000, 3000), Image.Resampling.BICUBIC)
    large.save(tmp_path/'large.jpg')
    page.tab.evaluate('''() => {
        window.gap = 0
        let last = performance.now()
        const beat = () => {
            gap = Math.max(gap, performance.now() - last)
            last = performance.now()
            setTimeout(beat, 10) }
        beat() }''')
    start = time.time()
    page.add([tmp_path/'large.jpg'])
    assert time.time() - start < 30 and page.tab.evaluate('gap') < 5000
    assert iou(decoded(page.download('Mask as PNG')), segment(tmp_path/'large.jpg') > .5) >= .99


@in_chromium
def test_a_mask_is_corrected_by_hand(page, photos):
    page.add(photos[:2])
    before = decoded(page.download('Mask as PNG'))
    page.tab.keyboard.press('e')
    canvas = page.tab.locator('#editor canvas')
    box = canvas.bounding_box()
    page.tab.mouse.move(box['x'] + 20, box['y'] + 20)
    page.tab.mouse.down()
    page.tab.mouse.move(box['x'] + 120, box['y'] + 20, steps=4)
    page.tab.mouse.up()
    page.press('Done')

    assert canvas.count() == 0 and page.text('#sure') == 'by hand'
    after = decoded(page.download('Mask as PNG'))
    assert after.shape == before.shape and after[:60].sum() > before[:60].sum() + 500
    assert iou(after[100:], before[100:]) > .98
    page.press('Undo the correction')
    assert (decoded(page.download('Mask as PNG')) == before).all()


@in_chromium
def test_keys_and_synthetic_images(page):
    page.press('Try synthetic ones')
    page.wait('All masks are there')
    names, modes = [], []
    for key in 'ArrowRight', 'ArrowRight', 'ArrowRight', 'ArrowLeft':
        page.tab.keyboard.press(key)
        page.tab.wait_for_timeout(150)
        names.append(page.text('#name'))
    assert names == ['synthetic_2', 'synthetic_3', 'synthetic_3', 'synthetic_2']
    for key in '1234':
        page.tab.keyboard.press(key)
        modes.append(page.tab.locator('#view').evaluate('canvas => canvas.toDataURL()'))
    assert len(set(modes)) == 4
    assert float(page.text('#area').split()[0]) > 2
    assert 'the lesion is' in page.tab.locator('#view').get_attribute('aria-label')
    page.press('Remove this photograph')
    page.wait('synthetic_2 is removed.')


OUTSIDE = '''() => [...document.querySelectorAll('main *, header *, footer *')]
    .filter(node => node.offsetParent && !node.closest('#film'))
    .filter(node => node.getBoundingClientRect().right > innerWidth + 1
                    || node.matches('button') && node.scrollWidth > node.clientWidth + 1)
    .map(node => node.outerHTML.slice(0, 80))'''

CUT = '''() => [...document.querySelectorAll('#film span:last-child')]
    .filter(node => node.scrollWidth > node.clientWidth).map(node => node.textContent)'''


@in_chromium
@pytest.mark.parametrize('width, scheme', [(390, 'light'), (390, 'dark'), (1280, 'dark')])
def test_it_fits(browser, page_file, photos, width, scheme, tmp_path):
    "Nothing is cut off, before, with a photograph, and while correcting; buttons fit a finger."
    page = Page(browser, page_file.as_uri(), color_scheme=scheme, has_touch=True,
                viewport={'width': width, 'height': 844})
    steps = {'start': lambda: None, 'photograph': lambda: page.add(photos[:3]),
             'editor': lambda: page.press('Correct by hand')}
    for name, step in steps.items():
        step()
        page.tab.screenshot(path=tmp_path/f'{name}.png', full_page=True)
        assert page.tab.evaluate(OUTSIDE) == []
        assert page.tab.evaluate(CUT) == []
        assert page.tab.evaluate('document.documentElement.scrollWidth') <= width
    heights = [button.bounding_box()['height'] for button in page.tab.locator('button').all()
               if button.is_visible()]
    assert min(heights) >= 36
    page.tab.close()


class Firefox:
    "Firefox, driven by its own Marionette protocol: messages are their length and JSON."
    def __init__(self, home):
        port = free_port()
        (home/'user.js').write_text(f'user_pref("marionette.port", {port});')
        self.process = subprocess.Popen(
            [FIREFOX, '--headless', '--marionette', '--no-remote', '--profile', home],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            env=os.environ | {'HOME': str(home)})
        for _ in range(300):
            try: self.stream = socket.create_connection(('127.0.0.1', port)).makefile('rwb')
            except OSError: time.sleep(.1)
            else: break
        self.receive()
        self.call('WebDriver:NewSession')

    def receive(self):
        length = b''.join(iter(lambda: self.stream.read(1), b':'))
        return json.loads(self.stream.read(int(length)))

    def call(self, command, **options):
        content = json.dumps([0, 1, command, options]).encode()
        self.stream.write(b'%d:%s' % (len(content), content))
        self.stream.flush()
        _, _, error, answer = self.receive()
        assert error is None, error
        return answer

    def run(self, script, *args):
        "Run the body of an async function in the page."
        script = f'const args = [...arguments], done = args.pop(); (async () => {{ {script} }})()'
        script += '.then(done, error => done(`${error}`))'
        return self.call('WebDriver:ExecuteAsyncScript', script=script, args=list(args),
                         sandbox=None, scriptTimeout=60_000)['value']


IN_FIREFOX = '''
    const until = async words => { while (!document.getElementById('said').textContent
        .includes(words)) await new Promise(resolve => setTimeout(resolve, 50)) }
    await until('ready')
    const bytes = Uint8Array.from(atob(args[0]), letter => letter.charCodeAt(0))
    const files = new DataTransfer(), input = document.getElementById('files')
    files.items.add(new File([bytes], 'photo.jpg', {type: 'image/jpeg'}))
    input.files = files.files
    input.dispatchEvent(new Event('change'))
    await until('is there')
    const create = URL.createObjectURL
    const blob = new Promise(resolve => { URL.createObjectURL = blob => {
        resolve(blob); return create.call(URL, blob) } })
    document.querySelector('aside [data-do=download]').click()
    const png = new Uint8Array(await (await blob).arrayBuffer())
    return [btoa(String.fromCharCode(...png)), performance.getEntriesByType('resource').length]'''


@pytest.mark.skipif(FIREFOX is None, reason='no Firefox')
def test_firefox_sees_the_same(page_file, photos, tmp_path):
    firefox = Firefox(tmp_path)
    try:
        firefox.call('WebDriver:Navigate', url=page_file.as_uri())
        for photo in photos[:3]:
            firefox.call('WebDriver:Refresh')
            photo_bytes = base64.b64encode(photo.read_bytes()).decode()
            png, requests = firefox.run(IN_FIREFOX, photo_bytes)
            assert iou(decoded(base64.b64decode(png)), segment(photo) > .5) >= .99, photo.name
            assert requests == 0
    finally:
        firefox.process.terminate()
        firefox.process.wait(20)

"review.html in real browsers: a mask is mended with the brush, from the disk and without Python."
import base64, io, zipfile

import numpy as np, pytest
from PIL import Image, ImageOps

from lesionseg.masks import corrected_ids, segment_folder
from lesionseg.synthetic import random_scene, render
from lesionseg.teach import load_corrections
from test_browser import browser
from test_page import FIREFOX, LISTED, Firefox, Tab, copy, in_chromium, server

__all__ = ['browser'] # a fixture
SIZES = [(1600, 1200), (300, 400), (640, 480)]


@pytest.fixture
def masks(tmp_path):
    "Three photographs, one on its side, and the folder of their masks."
    photos, masks = tmp_path/'my photos', tmp_path/'masks'
    photos.mkdir()
    side = Image.Exif()
    side[0x0112] = 6
    for i, size in enumerate(SIZES):
        pixels, _ = render(random_scene(np.random.default_rng(i)), i, size=(size[0]//2, size[1]//2))
        image = Image.fromarray(pixels).resize(size)
        image.save(photos/f'photo {i}.jpg', **({'exif': side} if i == 1 else {}))
    segment_folder(photos, masks)
    return masks


def files(masks):
    return {file.name: file.read_bytes() for file in sorted(masks.glob('*_segmentation.png'))}


def pixels(png): return np.asarray(Image.open(io.BytesIO(png)).convert('L')) > 127


class Review(Tab):
    "The page of the masks."
    @property
    def canvas(self): return self.tab.locator('#editor canvas')

    def open(self, i):
        self.tab.locator('li[data-id] > a:first-child').nth(i).click()
        self.said(f'{i + 1} of 3')

    def said(self, words):
        self.tab.locator('#said', has_text=words).wait_for(state='attached', timeout=20_000)

    def paint(self):
        "A short stroke near the upper left corner."
        box = self.canvas.bounding_box()
        x, y = box['x'] + .1*box['width'], box['y'] + .1*box['height']
        self.tab.mouse.move(x, y)
        self.tab.mouse.down()
        self.tab.mouse.move(x + .1*box['width'], y, steps=4)
        self.tab.mouse.up()

    def take(self):
        with self.tab.expect_download() as download: self.tab.locator('#zip').click()
        return zipfile.ZipFile(download.value.path())


def check_painted(before, after):
    "The stroke is there, and away from it no pixel has changed."
    assert after.shape == before.shape
    height, width = after.shape
    assert after[round(.1*height), round(.12*width):round(.18*width)].all()
    changed = np.argwhere(after != before)/after.shape
    assert len(changed) and changed[:, 0].max() < .16 and changed[:, 1].max() < .25


@in_chromium
def test_painted_from_the_disk_and_learned_from(browser, masks, tmp_path):
    "All that is needed is two files: the page and the photograph; what comes out is a zip."
    before = files(masks)
    review = Review(browser, (masks/'review.html').as_uri())
    order = review.tab.locator('li[data-id]').evaluate_all('items => items.map(i => i.dataset.id)')
    review.tab.screenshot(path=tmp_path/'list.png', full_page=True)
    review.open(0)
    review.paint()
    review.tab.screenshot(path=tmp_path/'editor.png')
    review.canvas.press('n')
    review.said('2 of 3')
    review.canvas.press('y') # right as it is
    review.said('3 of 3')
    review.canvas.press('n')
    review.said('There is no other.')
    review.tab.locator('#close').click()
    review.tab.screenshot(path=tmp_path/'after.png', full_page=True)

    with review.take() as found:
        assert found.testzip() is None
        first, second = names = [f'{id}_segmentation.png' for id in order[:2]]
        assert found.namelist() == names
        found.extractall(masks)
    after = files(masks)
    check_painted(pixels(before[first]), pixels(after[first]))
    assert (pixels(after[second]) == pixels(before[second])).all()
    assert corrected_ids(masks) == {*order[:2]}
    learned = load_corrections(masks.parent/'my photos', masks, 64)
    assert {*learned.train.ids} == {*order[:2]}
    assert review.complaints == []
    assert all(url.startswith(('file:', 'data:', 'blob:')) for url in review.asked)
    review.tab.close()


@in_chromium
def test_written_into_the_folder(browser, masks):
    "A folder that the browser may write: each mask at once; what others wrote is set aside."
    names = [*files(masks)]
    with server(masks.parent) as address:
        review = Review(browser, f'{address}/masks/review.html')
        tab = review.tab
        tab.locator('#folder').click()
        review.said('holds no predictions.csv')
        copy(tab, masks, *names, 'predictions.csv')
        review.open(0)
        review.paint() # and only now the folder is chosen
        review.canvas.press('s')
        review.said('Kept for the zip')
        tab.locator('#close').click()
        first = tab.locator('li[data-id]').first.get_attribute('data-id') + '_segmentation.png'
        other = next(name for name in names if name != first)
        tab.locator('#folder').click()
        review.said('From now on')
        assert not tab.locator('#zip').is_visible() and not tab.locator('#folder').is_visible()
        found = tab.evaluate(LISTED, [])
        check_painted(pixels(files(masks)[first]), pixels(bytes(found[first])))
        assert bytes(found[other]) == files(masks)[other]

        mended = ImageOps.mirror(Image.open(masks/first)) # meanwhile, by another program
        mended.save(masks/first)
        copy(tab, masks, first)
        review.open(0) # it is what is seen
        mended.convert('RGB').save(masks/first) # and once more while it is painted on
        copy(tab, masks, first)
        review.paint()
        review.canvas.press('s')
        review.said('Written.')
        found = tab.evaluate(LISTED, [])
        aside = tab.evaluate(LISTED, ['replaced'])
        assert [bytes(file) for file in aside.values()] == [(masks/first).read_bytes()]
        now, theirs = pixels(bytes(found[first])), pixels((masks/first).read_bytes())
        assert (now[300:] == theirs[300:]).all()
        assert review.complaints == []
        tab.close()


OUTSIDE = '''() => [...document.querySelectorAll('dialog button, label, body > p, li, canvas')]
    .filter(node => node.offsetParent)
    .filter(node => node.getBoundingClientRect().right > innerWidth + 1)
    .map(node => node.outerHTML.slice(0, 80))'''


@in_chromium
@pytest.mark.parametrize('scheme', ['light', 'dark'])
def test_it_fits_a_telephone(browser, masks, scheme, tmp_path):
    "The list and the editor, at 390 pixels; a photograph that is gone gets a sentence."
    review = Review(browser, (masks/'review.html').as_uri(), color_scheme=scheme, has_touch=True,
                    viewport={'width': 390, 'height': 844})
    review.tab.screenshot(path=tmp_path/'list.png', full_page=True)
    assert review.tab.evaluate(OUTSIDE) == []
    review.open(0)
    review.paint()
    review.tab.screenshot(path=tmp_path/'editor.png')
    assert review.tab.evaluate(OUTSIDE) == []
    box = review.tab.locator('dialog').bounding_box()
    assert box['x'] >= 0 and box['y'] >= 0 and box['y'] + box['height'] <= 844
    above = review.tab.get_by_role('button', name='Next').bounding_box()
    assert review.tab.locator('#close').bounding_box()['y'] >= above['y'] + above['height']
    review.tab.locator('#close').click()

    for photo in (masks.parent/'my photos').iterdir(): photo.unlink()
    review.tab.locator('li[data-id] > a:first-child').nth(1).click()
    review.said('is gone, or of a kind')
    review.tab.screenshot(path=tmp_path/'gone.png')
    review.tab.close()


IN_FIREFOX = '''
    document.querySelector('li[data-id] a').click()
    const pause = () => new Promise(resolve => setTimeout(resolve, 50))
    while (!document.querySelector('#editor canvas')) await pause()
    const box = document.querySelector('#editor canvas').getBoundingClientRect()
    return [box.left, box.top, box.width, box.height]'''
TAKEN = '''
    const pause = () => new Promise(resolve => setTimeout(resolve, 50))
    document.getElementById('close').click()
    while (document.getElementById('zip').hidden) await pause()
    const create = URL.createObjectURL
    const blob = new Promise(resolve => { URL.createObjectURL = blob => {
        resolve(blob); return create.call(URL, blob) } })
    document.getElementById('zip').click()
    const bytes = new Uint8Array(await (await blob).arrayBuffer())
    return btoa(Array.from(bytes, byte => String.fromCharCode(byte)).join(''))'''


@pytest.mark.skipif(FIREFOX is None, reason='no Firefox')
def test_painted_in_firefox(masks, tmp_path):
    "From the disk as well."
    before = files(masks)
    profile = tmp_path/'profile'
    profile.mkdir()
    firefox = Firefox(profile)
    try:
        firefox.call('WebDriver:Navigate', url=(masks/'review.html').as_uri())
        x, y, width, height = firefox.run(IN_FIREFOX)
        spots = [(round(x + share*width), round(y + .1*height)) for share in (.1, .15, .2)]
        moves = [{'type': 'pointerMove', 'x': x, 'y': y, 'duration': 50} for x, y in spots]
        deeds = [moves[0], {'type': 'pointerDown', 'button': 0}, *moves[1:],
                 {'type': 'pointerUp', 'button': 0}]
        firefox.call('WebDriver:PerformActions', actions=[
            {'type': 'pointer', 'id': 'mouse', 'actions': deeds}])
        content = base64.b64decode(firefox.run(TAKEN))
    finally:
        firefox.process.terminate()
        firefox.process.wait(20)
    with zipfile.ZipFile(io.BytesIO(content)) as found:
        name, = found.namelist()
        check_painted(pixels(before[name]), pixels(found.read(name)))

"The brush, as a person uses it: in JupyterLab, by mouse and by keyboard."
import json

import contourpy, numpy as np, pytest
from PIL import Image

from test_browser import (  # the fixtures `lab` and `browser` too
    BOOK, BROWSER, Notebook, browser, lab)

from lesionseg.synthetic import synthetic_dataset

__all__ = ['browser', 'lab']
pytestmark = pytest.mark.skipif(BROWSER is None,
                                reason='no browser: install chromium or set BROWSER_PATH')
NUMBER = 4
CELLS = '''from lesionseg.editor import correct
walk = correct({photos!r}, {masks!r})
walk''', '''import os, time
open({masks!r} + '/waits', 'w').close()
while not os.path.exists({masks!r} + '/go'): time.sleep(.1)'''
DRAWN = '''() => document.querySelector('.mask-editor canvas').toDataURL()'''


class Walk:
    "The editor on a page, on masks that are drawn from nothing."
    def __init__(self, lab, browser, home, notebooks):
        self.photos, self.masks, self.truth = home/'photos', home/'masks', {}
        self.photos.mkdir()
        root = synthetic_dataset()
        for file in sorted((root/'test').glob('*.jpg'))[:NUMBER]:
            (self.photos/file.name).write_bytes(file.read_bytes())
            mask = Image.open(root/'test_masks'/f'{file.stem}_Segmentation.png')
            self.truth[file.stem] = np.asarray(mask) > 0
        self.write_notebook(notebooks)
        self.book = Notebook(browser, lab, 'walk')
        self.page = self.book.page
        self.run(0)

    def write_notebook(self, folder):
        cells = [{'cell_type': 'code', 'id': str(i), 'metadata': {}, 'outputs': [],
                  'execution_count': None, 'source':
                  source.format(photos=str(self.photos), masks=str(self.masks))}
                 for i, source in enumerate(CELLS)]
        kernel = {'name': 'python3', 'display_name': 'Python 3', 'language': 'python'}
        (folder/'walk.ipynb').write_text(json.dumps({
            'cells': cells, 'metadata': {'kernelspec': kernel}, 'nbformat': 4,
            'nbformat_minor': 5}))

    def start(self, cell):
        self.page.evaluate(f'i => {{ {BOOK}.activeCellIndex = i }}', cell)
        self.book.start('notebook:run-cell')

    def run(self, cell):
        self.start(cell)
        self.book.wait()
        self.canvas.wait_for()

    @property
    def canvas(self): return self.page.locator('.mask-editor canvas')

    def status(self): return self.page.locator('.mask-editor [role=status]').inner_text()

    def wait_for(self, words):
        self.page.locator('.mask-editor [role=status]').get_by_text(words).wait_for(timeout=20_000)

    def latency(self):
        "Milliseconds from the browser to Python and back, of the last stroke."
        host = self.page.locator('.mask-editor')
        self.page.wait_for_timeout(300)
        return float(host.get_attribute('data-latency'))

    def drag(self, points):
        "Press at the first of some points (shares of width and height), and go along the others."
        self.canvas.scroll_into_view_if_needed()
        box = self.canvas.bounding_box()
        spots = [(box['x'] + x*box['width'], box['y'] + y*box['height']) for x, y in points]
        self.page.mouse.move(*spots[0])
        self.page.mouse.down()
        for spot in spots[1:]: self.page.mouse.move(*spot, steps=2)
        self.page.mouse.up()

    def follow(self, mask, number=40):
        "Draw the outline of a mask with the mouse, and fill it."
        lines = contourpy.contour_generator(z=np.pad(mask, 1).astype(float)).lines(.5)
        line = max(lines, key=len)[:-1]
        chosen = line[np.linspace(0, len(line) - 1, number).astype(int)] - .5
        self.page.locator('[data-tool=fill]').click()
        self.drag(np.clip(chosen/mask.shape[::-1], 0, .999).tolist())

    def mask(self, id):
        return np.asarray(Image.open(self.masks/f'{id}_segmentation.png')) > 0


@pytest.fixture(scope='module')
def walk(lab, browser, tmp_path_factory):
    copies = tmp_path_factory.getbasetemp().glob('lab*/copy/nbs')
    newest = max(copies, key=lambda path: path.stat().st_ctime) # where this JupyterLab is at home
    walk = Walk(lab, browser, tmp_path_factory.mktemp('walk'), newest)
    yield walk
    walk.page.close()


def test_paint_undo_keys_reload(walk, tmp_path):
    "One after the other: what a person does, and what is then in the files."
    first, second, third, fourth = walk.truth

    walk.wait_for(f'1 of {NUMBER}: {first}')
    walk.follow(walk.truth[first])
    latency = walk.latency()
    walk.page.screenshot(path=tmp_path/'editor.png')
    drawn = walk.page.evaluate(DRAWN)
    walk.page.locator('[data-tool=brush]').click()
    walk.drag([(.05, .05), (.3, .05)])
    walk.page.keyboard.press('Control+z')
    walk.canvas.press('n')
    walk.wait_for(f'2 of {NUMBER}: {second}')
    found, true = walk.mask(first), walk.truth[first]
    assert found.shape == true.shape
    assert (found & true).sum()/(found | true).sum() > .85
    assert not found[:len(found)//8, :len(found)//8].any() # the stroke was undone
    print(f'a stroke is in Python and back after {latency:.0f} ms')
    assert latency < 5000 # on a busy machine; on a quiet one below 150

    walk.canvas.focus() # by keyboard alone: up and left, paint, on
    for key in ['b'] + 5*['Shift+ArrowLeft'] + 5*['Shift+ArrowUp'] + [' ', 'n']:
        walk.page.keyboard.press(key)
    walk.wait_for(f'3 of {NUMBER}: {third}')
    spot = walk.mask(second)
    y, x = np.argwhere(spot).mean(0)/spot.shape
    assert abs(x - (400 - 100)/800) < .02 and abs(y - (300 - 100)/600) < .02

    walk.follow(walk.truth[third]) # painted, not saved, and the page is loaded again
    walk.latency()
    walk.book.start('docmanager:save')
    walk.book.wait()
    walk.page.goto(walk.page.url.split('?')[0])
    walk.canvas.wait_for(timeout=60_000)
    walk.wait_for(f'3 of {NUMBER}: {third}')
    walk.page.locator('[data-do=right]').click()
    walk.wait_for(f'4 of {NUMBER}: {fourth}')
    found, true = walk.mask(third), walk.truth[third]
    assert (found & true).sum()/(found | true).sum() > .85

    walk.start(1) # the kernel is busy, and the brush inks
    for _ in range(300): # until the cell itself says that it has begun
        if (walk.masks/'waits').exists(): break
        walk.page.wait_for_timeout(100)
    before = walk.page.evaluate(DRAWN)
    walk.page.locator('[data-tool=brush]').click()
    walk.drag([(.1, .5), (.4, .5)])
    assert walk.page.evaluate(DRAWN) != before
    assert not (walk.masks/'go').exists() and (walk.masks/'waits').exists()
    walk.canvas.press('s')
    (walk.masks/'go').touch()
    walk.wait_for('Saved.')
    assert walk.mask(fourth)[len(walk.mask(fourth))//2].mean() > .25

    walk.run(0) # whoever calls again goes on
    walk.wait_for(f'{NUMBER} done')
    assert walk.book.failures() == [] and walk.book.complaints == []
    assert drawn

"""Records nbs/figures/loop.gif: a new camera, the real editor, a real round of teaching.

The photographs are synthetic. The widget's two halves, Python and JavaScript, meet in a page of
Chromium instead of in a notebook; all else is as a person would see it."""
import base64, io, re, shutil, tempfile
from dataclasses import replace
from functools import partial
from pathlib import Path

import contourpy, numpy as np
from PIL import Image, ImageFilter, ImageOps
from playwright.sync_api import sync_playwright

from lesionseg import LesionSegmenter, correct, segment_folder, synthetic_dataset
from lesionseg.files import find_pairs, read_mask
from lesionseg.teach import load_corrections, teach, tell_difference
from lesionseg.training import TAUGHT

HERE = Path(__file__).parent
STATIC = HERE.parent/'lesionseg/static'
BYTES = 'image', 'values', 'probs'
TRAITS = *BYTES, 'brush', 'opacity', 'threshold', 'said', 'deeds', 'deed', 'done', 'sent', 'back'
SIDE, COLORS, WIDTH = 400, 40, 380


def photograph(pair, folder):
    "Another camera: black and white, scanned as a negative, and a little out of focus."
    with Image.open(pair.image) as image: grey = ImageOps.grayscale(image)
    new = ImageOps.invert(grey).filter(ImageFilter.GaussianBlur(2))
    new.convert('RGB').save(folder/f'{pair.id}.png')


class Recorder:
    "The widget in a page, and the frames that are taken of it."
    def __init__(self, page):
        self.page, self.frames, self.walk = page, [], None
        script = (STATIC/'editor.mjs').read_text()
        script = re.sub('^(export default .*|export )', '', script, flags=re.M)
        html = (HERE/'loop.html').read_text().replace('SCRIPT', script)
        page.set_content(html.replace('STYLE', (STATIC/'editor.css').read_text()))

    def state(self):
        state = self.walk.get_state([*TRAITS])
        return state | {name: base64.b64encode(state[name]).decode() for name in BYTES}

    def show(self, walk, step):
        self.walk = walk
        walk.send_state = self.tell # what Python says while it is at work
        self.page.evaluate('([state, step]) => show(state, step)', [self.state(), step])

    def tell(self, key, **options):
        if key != 'said' or not self.walk.said.startswith('Learning'): return
        self.page.evaluate('state => give(state)', {'said': self.walk.said})
        self.shoot(1500)

    def pass_on(self):
        "Give Python what the browser has to say, and the other way round."
        changes = self.page.evaluate('take()')
        for name in BYTES:
            if name in changes: changes[name] = memoryview(base64.b64decode(changes[name]))
        self.walk.set_state(changes)
        self.page.evaluate('state => give(state)', self.state())

    def shoot(self, milliseconds):
        image = Image.open(io.BytesIO(self.page.locator('body').screenshot())).convert('RGB')
        height = round(image.height*WIDTH/image.width)
        image = image.resize((WIDTH, height), Image.Resampling.LANCZOS)
        self.frames.append((image, milliseconds))

    def drag(self, points, every=3):
        "Press, and go along some points (shares of width and height)."
        box = self.page.locator('canvas').bounding_box()
        spots = [(box['x'] + x*box['width'], box['y'] + y*box['height']) for x, y in points]
        self.page.mouse.move(*spots[0])
        self.page.mouse.down()
        for i, spot in enumerate(spots[1:], 1):
            self.page.mouse.move(*spot)
            if i % every == 0: self.shoot(90)
        self.page.mouse.up()
        self.pass_on()
        self.shoot(500)

    def press(self, name):
        self.page.locator(f'[data-do={name}], [data-tool={name}]').click()
        self.pass_on()


def outline(mask, number=45):
    lines = contourpy.contour_generator(z=np.pad(mask, 1).astype(float)).lines(.5)
    line = max(lines, key=len)[:-1]
    chosen = line[np.linspace(0, len(line) - 1, number).astype(int)] - .5
    return np.clip(chosen/mask.shape[::-1], 0, .999).tolist()


def record(page, folder):
    photos, unseen, masks = folder/'photos', folder/'unseen', folder/'masks'
    photos.mkdir(), unseen.mkdir()
    data = synthetic_dataset()
    pairs, others = find_pairs(data, 'test')[:12], find_pairs(data, 'test')[12:20]
    for pair in pairs: photograph(pair, photos)
    for pair in others: photograph(pair, unseen)
    segment_folder(photos, masks)
    truth = {pair.id: read_mask(pair.mask) > 0 for pair in pairs + others}
    def iou(kind, id):
        found = read_mask(folder/kind/f'{id}_segmentation.png', allow=('empty',)) > 0
        return (found & truth[id]).sum()/(found | truth[id]).sum()
    wrong = [id for id in truth if (photos/f'{id}.png').is_file() and truth[id].mean() > .08
             and iou('masks', id) > .1] # where there is something to see
    chosen = min(wrong, key=partial(iou, 'masks'))
    for pair in pairs: # all but one are corrected by a program
        if pair.id != chosen: Image.open(pair.mask).save(masks/f'{pair.id}_segmentation.png')

    def learn():
        corrections = load_corrections(photos, masks, size=192)
        cfg = replace(TAUGHT, epochs=15)
        scores = teach(corrections, folder/'taught', cfg=cfg, folds=3, quiet=True)
        return tell_difference(scores.before, scores.after)

    recorder = Recorder(page)
    walk = correct(photos, masks, side=SIDE, teach=learn)
    recorder.show(walk, 0)
    recorder.shoot(2000)
    recorder.show(walk, 1)
    recorder.press('eraser')
    walk.brush = 110
    recorder.show(walk, 1)
    recorder.press('eraser')
    for y in np.linspace(.1, .9, 4): recorder.drag([(x, y) for x in np.linspace(.05, .95, 9)], 4)
    walk.brush = 12
    recorder.show(walk, 1)
    recorder.press('fill')
    recorder.drag(outline(truth[walk.id]))
    recorder.shoot(1200)

    recorder.show(walk, 2)
    recorder.press('teach')
    recorder.shoot(4000)

    taught = LesionSegmenter.from_pretrained(folder/'taught')
    before = segment_folder(unseen, folder/'before')
    segment_folder(unseen, folder/'after', taught)
    last = max(before.id, key=lambda id: iou('after', id) - iou('before', id))
    for kind in 'before', 'after':
        again = correct(unseen/f'{last}.png', folder/kind, taught, side=SIDE)
        again.said = f"A photograph that it has not seen, {kind}."
        recorder.show(again, 3)
        recorder.shoot(1500 if kind == 'before' else 4000)
    return recorder.frames


def write(frames, path):
    "As a GIF: one palette for all frames, so that what stays is the same in each."
    shown = [image for image, _ in frames]
    width, height = shown[0].width, max(image.height for image in shown)
    canvas = [Image.new('RGB', (width, height), 'white') for _ in shown]
    for sheet, image in zip(canvas, shown): sheet.paste(image)
    wall = Image.new('RGB', (width, height*len(canvas)))
    for i, sheet in enumerate(canvas): wall.paste(sheet, (0, i*height))
    palette = wall.quantize(COLORS)
    first, *others = [sheet.quantize(palette=palette, dither=Image.Dither.NONE) for sheet in canvas]
    first.save(path, save_all=True, append_images=others, duration=[time for _, time in frames],
               loop=0, optimize=True)


if __name__ == '__main__':
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        browser = playwright.chromium.launch(executable_path=shutil.which('chromium'),
                                             args=['--no-sandbox'])
        page = browser.new_page(viewport={'width': 520, 'height': 640})
        frames = record(page, Path(folder))
        write(frames, HERE.parent/'nbs/figures/loop.gif')
        browser.close()

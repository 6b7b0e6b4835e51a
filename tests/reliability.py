"""Odd files, damaged folders, and kills at every file operation: `python tests/reliability.py`
tries them all (about five minutes) and writes how they ended to results/reliability.csv.

A case ends well if the result is the right one all the same, or if one sentence names the file.
It ends badly in a traceback, or with another result and not a word."""
import contextlib, io, multiprocessing, os, shutil, signal, sys, tempfile, warnings
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np, pandas as pd, torch
from PIL import Image
from tqdm.auto import tqdm

from lesionseg.core import LesionsegError
from lesionseg.data import load_data
from lesionseg.runs import Run, train_run
from lesionseg.training import FINE_TUNING

ROOT = Path(__file__).parent.parent
OUT = ROOT/'nbs/studies/results/reliability.csv'
ENDS = 'right all the same', 'a sentence', 'traceback', 'silently different'
SIZE = 64


# ---- a small data set

def draw(i):
    "The pixels of an image, and where its lesion is."
    y, x = np.mgrid[:72, :96]
    lesion = (x - 40 - i)**2 + (y - 36)**2 < (15 + i)**2
    return np.where(lesion[..., None], (110, 70, 50), (225, 180, 165)).astype('uint8'), lesion


def make_data(root):
    "Eight training and four test images."
    for i in range(12):
        pixels, lesion = draw(i)
        part = 'train' if i < 8 else 'test'
        for folder in part, f'{part}_masks': (root/folder).mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(root/part/f'a{i}.png')
        Image.fromarray((lesion*255).astype('uint8')).save(root/f'{part}_masks'/f'a{i}.png')
    return root


# ---- how a case ends

def end_of(action, is_right):
    "One of `ENDS`: what `action()` returns is judged by `is_right`."
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter('ignore')
        try: result = action()
        except LesionsegError: return 'a sentence'
        except Exception as error:
            print(type(error).__name__, error, file=sys.stderr)
            return 'traceback'
    return 'right all the same' if is_right(result) else 'silently different'


DAMAGE = { # what is done to a file
    'emptied': lambda path: path.write_bytes(b''),
    'cut in half': lambda path: path.write_bytes(path.read_bytes()[:path.stat().st_size//2]),
    'its last byte lost': lambda path: path.write_bytes(path.read_bytes()[:-1]),
    'one bit flipped': lambda path: path.write_bytes(flipped(path.read_bytes())),
    'overwritten': lambda path: path.write_bytes(bytes(range(256))),
    'a folder in its place': lambda path: (path.unlink(), path.mkdir()),
    'removed': lambda path: path.unlink()}


def flipped(content, at=.5):
    "The bytes with one bit changed, somewhere in them."
    changed = bytearray(content)
    if changed: changed[int(len(changed)*at)] ^= 1
    return bytes(changed)


# ---- images and masks

DEEP = '16 bits', '12 bits', '32 bits', 'float'


def odd_images():
    "Name → what to save in place of an image, and the pixels that are right (None: any)."
    pixels, _ = draw(3)
    rgb = Image.fromarray(pixels)
    grey = np.asarray(rgb.convert('L'))
    kinds = {mode: rgb.convert(mode) for mode in ('RGB', 'L', 'P', 'RGBA', 'CMYK', 'LA')}
    kinds |= {'16 bits': Image.fromarray(grey.astype('uint16')*257),
              '12 bits': Image.fromarray(grey.astype('uint16')*16),
              '32 bits': Image.fromarray(grey.astype('int32') << 16),
              'float': Image.fromarray(grey/255)}
    right = {kind: pixels if kind in ('RGB', 'P', 'RGBA', 'CMYK') else np.dstack([grey]*3)
             for kind in kinds}
    for kind, image in kinds.items():
        endings = 'png', 'jpg', 'bmp', 'tif', 'webp', 'gif'
        for ending in ('png', 'tif') if kind in DEEP else endings: # the others would lose depth
            buffer = io.BytesIO()
            try: image.save(buffer, {'jpg': 'JPEG', 'tif': 'TIFF'}.get(ending, ending.upper()))
            except (OSError, KeyError, ValueError): continue # no such file exists
            yield f'{kind} as {ending}', ending, buffer.getvalue(), right[kind]

    for turn in range(10): # as cameras write it, and two values that mean nothing
        exif = Image.Exif()
        exif[0x0112] = turn
        undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}.get(turn) # Image.Transpose
        stored = rgb if undo is None else rgb.transpose(Image.Transpose(undo))
        for ending, name in ('jpg', 'JPEG'), ('png', 'PNG'), ('webp', 'WEBP'):
            buffer = io.BytesIO()
            stored.save(buffer, name, exif=exif, quality=95)
            yield f'orientation {turn} as {ending}', ending, buffer.getvalue(), pixels


def broken_files(ending, name):
    "What is left of an image file after each damage; none of it can be told to be right."
    buffer = io.BytesIO()
    Image.fromarray(draw(3)[0]).save(buffer, name)
    whole = buffer.getvalue()
    for share in np.linspace(0, .99, 12): yield ending, whole[:int(len(whole)*share)]
    for share in np.linspace(0, .99, 12): yield ending, flipped(whole, share)
    yield ending, b'hello'


def try_images(data):
    "An image of another kind in place of one of the images."
    for name, ending, content, right in odd_images():
        (data/'train/a3.png').unlink(missing_ok=True)
        file = data/f'train/a3.{ending}'
        file.write_bytes(content)

        def is_right(loaded):
            found = loaded.train.pixels[3, ..., :3].astype(float)
            wanted = np.asarray(Image.fromarray(right).resize((SIZE, SIZE), Image.BILINEAR))
            return abs(found - wanted).mean() < 25 # a palette or a JPEG is not exact
        yield 'images of other kinds', name, end_of(lambda: load_data(data, SIZE), is_right)
        file.unlink()


def try_broken_images(data):
    "A damaged image file, of each format."
    (data/'train/a3.png').unlink(missing_ok=True)
    for ending, name in ('jpg', 'JPEG'), ('png', 'PNG'), ('tif', 'TIFF'), ('webp', 'WEBP'):
        for ending, content in broken_files(ending, name):
            file = data/f'train/a3.{ending}'
            file.write_bytes(content)
            end = end_of(lambda: load_data(data, SIZE), lambda loaded: True)
            yield 'damaged images', name, end
            file.unlink()


def odd_masks():
    "Name → a mask in place of one of the masks, and whether it is to be read."
    _, lesion = draw(3)
    for low, high in (0, 255), (0, 1), (0, 128), (1, 255), (10, 20):
        values = np.where(lesion, high, low)
        for kind in 'uint8', 'uint16', 'int32', 'float32':
            yield f'{low} and {high}, {kind}', Image.fromarray(values.astype(kind)), True
        color = Image.fromarray(np.dstack([values, 0*values, 0*values]).astype('uint8'))
        yield f'{low} and {high}, red', color, True
        yield f'{low} and {high}, palette', color.quantize(2), True
    mask = Image.fromarray((lesion*255).astype('uint8'))
    yield '1 bit', mask.convert('1'), True
    yield 'opaque', mask.convert('RGBA'), True
    yield 'turned', mask.transpose(Image.Transpose.ROTATE_90), False
    yield 'half the size', mask.resize((48, 36)), False
    yield 'grey edges', mask.resize((48, 36)).resize((96, 72), Image.BILINEAR), False
    yield 'no lesion', Image.new('L', (96, 72)), False
    three = (lesion*255 | np.eye(72, 96).astype(int)).astype('uint8')
    yield 'three values', Image.fromarray(three), False


def try_masks(data):
    "A mask of another kind in place of one of the masks."
    _, lesion = draw(3)
    wanted = np.asarray(Image.fromarray((lesion*255).astype('uint8')).resize(
        (SIZE, SIZE), Image.BOX)) > 127
    (data/'train_masks/a3.png').unlink()
    for name, mask, read in odd_masks():
        for ending in 'png', 'tif', 'bmp':
            file = data/f'train_masks/a3.{ending}'
            try: mask.save(file)
            except (OSError, ValueError):
                file.unlink(missing_ok=True)
                continue # no such file exists
            def is_right(loaded):
                return read and (loaded.train.pixels[3, ..., 3] != wanted).mean() < .02
            yield 'masks of other kinds', name, end_of(lambda: load_data(data, SIZE), is_right)
            file.unlink()


def try_caches(data, cache):
    "Each damage to each of the two files of a cache."
    wanted = load_data(data, SIZE, cache).train.fingerprint()
    for ending in '.npy', '.json':
        for name, damage in DAMAGE.items():
            file = next(cache.glob(f'*{ending}'))
            damage(file)
            def is_right(loaded): return loaded.train.fingerprint() == wanted
            yield 'damaged caches', name, end_of(lambda: load_data(data, SIZE, cache), is_right)
            shutil.rmtree(cache)
            load_data(data, SIZE, cache)


# ---- run folders

CFG = replace(FINE_TUNING, epochs=3, batch_size=4)


def train(data, path, stop_after=None):
    "Train the run in `path` to its end, or be interrupted after some epochs."
    def interrupt(history):
        if history.index[-1] == stop_after: raise KeyboardInterrupt
    return train_run(CFG, data, path, None, quiet=True, callbacks=[interrupt])


def content(path):
    "What a finished run says: history without times, scores, weights."
    run = Run(path)
    history = run.history.drop(columns=['train_seconds', 'seconds'])
    return (history.to_csv(), run.scores.to_csv(),
            [tensor.numpy().tobytes() for tensor in run.model().state_dict().values()])


def try_folders(data, home):
    "Each damage to each file of an interrupted run, which then goes on, and of a finished one."
    with contextlib.redirect_stdout(io.StringIO()): train(data, home/'cut', 2)
    train(data, home/'whole')
    wanted = content(home/'whole')
    for state in 'cut', 'whole':
        files = [path.relative_to(home/state) for path in sorted((home/state).rglob('*'))
                 if path.is_file()]
        for file in files:
            for name, damage in DAMAGE.items():
                copy = Path(shutil.copytree(home/state, home/'copy'))
                damage(copy/file)
                def action(): return train(data, copy), content(copy)
                end = end_of(action, lambda result: result[1] == wanted)
                yield 'damaged run folders', f'{state}: {file} {name}', end
                shutil.rmtree(copy)


# ---- kills

OPERATIONS = {'os.rename', 'os.remove', 'os.mkdir', 'os.rmdir', 'shutil.rmtree', 'open'}


def train_until(data, path, last, total):
    "In a process of its own: train, and die at the file operation number `last`."
    count = 0
    def hook(event, args):
        nonlocal count
        if event not in OPERATIONS or str(path) not in str(args[0]): return
        if event == 'open' and not (args[2] or 0) & (os.O_WRONLY | os.O_RDWR): return
        count += 1
        total.value = count
        if count == last: os.kill(os.getpid(), signal.SIGKILL)
    sys.addaudithook(hook)
    train(data, path)


def try_kills(data, home):
    "A process is killed at each of its file operations; then the run goes on."
    fork = multiprocessing.get_context('fork')
    train(data, home/'unharmed')
    wanted = content(home/'unharmed')
    total = fork.Value('i', 0)
    last = 0
    while True:
        last += 1
        path = home/f'killed{last}'
        child = fork.Process(target=train_until, args=(data, path, last, total))
        child.start()
        child.join()
        if child.exitcode == 0: return
        def action(): return train(data, path), content(path)
        end = end_of(action, lambda result: result[1] == wanted)
        left = [file for file in path.rglob('*.tmp*')]
        yield 'kills at a file operation', f'number {last}', 'silently different' if left else end
        shutil.rmtree(path)


def all_cases(home):
    "Every case: its group, its name, and how it ended."
    for attempt in try_images, try_broken_images, try_masks:
        yield from attempt(make_data(home/attempt.__name__))
    data = make_data(home/'data')
    yield from try_caches(data, home/'cache')
    loaded = load_data(data, SIZE)
    yield from try_folders(loaded, home)
    yield from try_kills(loaded, home)


def main():
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as home:
        os.environ['LESIONSEG_CACHE'] = f'{home}/pixels'
        cases = list(tqdm(all_cases(Path(home)), unit='case', leave=False))
    for group, name, end in cases:
        if end in ENDS[2:]: print(f'{end}: {group}, {name}')
    groups = list(dict.fromkeys(group for group, _, _ in cases))
    count = Counter((group, end) for group, _, end in cases)
    table = pd.DataFrame([[count[group, end] for end in ENDS] for group in groups],
                         index=pd.Index(groups, name='what'), columns=ENDS)
    table.insert(0, 'cases', table.sum(axis=1))
    table.to_csv(OUT)
    print(table.to_string())
    sys.exit(int(table[list(ENDS[2:])].to_numpy().sum() > 0))


if __name__ == '__main__': main()

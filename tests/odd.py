"What reliability.py tries: odd images, masks, folders, tables, names, outlines, flags, arguments."
import csv, io, json, math, os
from dataclasses import fields, replace
from functools import partial
from pathlib import Path

import numpy as np, torch
from PIL import Image

from lesionseg import cli, metrics
from lesionseg.comparison import threshold_sweep
from lesionseg.data import load_data
from lesionseg.files import find_pairs, parse_allow, read_image, read_mask, split_ids
from lesionseg.inference import predict, prepare_image, segment
from lesionseg.masks import segment_folder
from lesionseg.model import LesionSegmenter
from lesionseg.runs import Run, find_runs, train_run
from lesionseg.training import FINE_TUNING, TrainConfig, lr_lambda, segmentation_loss

SIZE = 64


# ---- a small data set

def disc(i, size=(96, 72)):
    "A dark disc on skin, and where it is."
    y, x = np.mgrid[:size[1], :size[0]]
    lesion = (x - 40 - i % 12)**2 + (y - 36)**2 < (15 + i % 12)**2
    pixels = np.where(lesion[..., None], (110, 70, 50), (225, 180, 165)) + (x + y)[..., None] % 7
    return Image.fromarray(pixels.astype('uint8')), lesion


def save_mask(lesion, file):
    Image.fromarray((lesion*255).astype('uint8')).save(file)


def draw_data(root, image='{part}/a{i}.jpg', mask='{part}_masks/a{i}.png'):
    "Eight training and four test images, under names like these."
    for i in range(12):
        where = {'part': 'train' if i < 8 else 'test', 'i': i}
        files = [root/place.format(**where) for place in (image, mask)]
        for file in files: file.parent.mkdir(parents=True, exist_ok=True)
        picture, lesion = disc(i)
        picture.save(files[0], quality=95)
        save_mask(lesion, files[1])


def write_outlines(folder, photos):
    "A square drawn in labelme on each photograph."
    folder.mkdir()
    for photo in sorted(photos.iterdir()):
        points = [[20, 20], [60, 20], [60, 50], [20, 50]]
        (folder/f'{photo.stem}.json').write_text(json.dumps({
            'imagePath': photo.name, 'imageWidth': 96, 'imageHeight': 72,
            'shapes': [{'label': 'nevus', 'points': points, 'shape_type': 'polygon'}]}))


# ---- images and masks

DEEP = '16 bits', '12 bits', '32 bits', 'float'
RGB, LESION = disc(3)


def encoded(image, ending, **options):
    "The content of an image file, or None where no such file exists."
    buffer = io.BytesIO()
    try: image.save(buffer, {'jpg': 'JPEG', 'tif': 'TIFF'}.get(ending, ending.upper()), **options)
    except (OSError, KeyError, ValueError): return None
    return buffer.getvalue()


def odd_images():
    "Name, content, ending and the pixels that are right."
    grey = np.asarray(RGB.convert('L'))
    kinds = {mode: RGB.convert(mode) for mode in ('RGB', 'L', 'P', 'RGBA', 'CMYK', 'LA')}
    kinds |= {'16 bits': Image.fromarray(grey.astype('uint16')*257),
              '12 bits': Image.fromarray(grey.astype('uint16')*16),
              '32 bits': Image.fromarray(grey.astype('int32') << 16),
              'float': Image.fromarray(grey/255)}
    for kind, image in kinds.items():
        right = RGB if kind in ('RGB', 'P', 'RGBA', 'CMYK') else RGB.convert('L').convert('RGB')
        endings = 'png', 'tif', 'jpg', 'bmp', 'webp', 'gif'
        for ending in endings[:2] if kind in DEEP else endings: # the others would lose depth
            yield f'{kind} as {ending}', encoded(image, ending), ending, right

    for turn in range(10): # as cameras write it, and two values that mean nothing
        exif = Image.Exif()
        exif[0x0112] = turn
        undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}.get(turn) # Image.Transpose
        stored = RGB if undo is None else RGB.transpose(Image.Transpose(undo))
        for ending in 'jpg', 'png', 'webp':
            text = encoded(stored, ending, exif=exif, quality=95)
            yield f'orientation {turn} as {ending}', text, ending, RGB


def damaged_images():
    "Name, content, ending; which pixels are right nobody knows."
    for ending in 'jpg', 'png', 'tif', 'webp':
        whole = encoded(RGB, ending)
        for share in np.linspace(0, .99, 10):
            at = int(len(whole)*share)
            yield f'{ending} cut at {at}', whole[:at], ending, None
            flipped = whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1:]
            yield f'{ending} flipped at {at}', flipped, ending, None
        yield f'text called {ending}', b'hello', ending, None


def image_inputs():
    for name, text, ending, right in [*odd_images(), *damaged_images()]:
        if text is None: continue
        def make(home, text=text, ending=ending):
            (home/'data/train/a3.jpg').unlink()
            (home/f'data/train/a3.{ending}').write_bytes(text)
        def check(home, right=right):
            found = load_data(home/'data', SIZE).train.pixels[3, ..., :3].astype(float)
            wanted = np.asarray((right or RGB).resize((SIZE, SIZE), Image.Resampling.BILINEAR))
            return right is None or bool(abs(found - wanted).mean() < 25) # a palette is not exact
        yield f'image: {name}', make, check


def odd_masks():
    "Name, mask, whether it can be the right one, what to allow."
    for low, high in (0, 255), (0, 1), (0, 128), (1, 255), (10, 20):
        values = np.where(LESION, high, low)
        for kind in 'uint8', 'uint16', 'int32', 'float32':
            yield f'{low} and {high}, {kind}', Image.fromarray(values.astype(kind)), True, ''
        color = Image.fromarray(np.dstack([values, 0*values, 0*values]).astype('uint8'))
        yield f'{low} and {high}, red', color, True, ''
        yield f'{low} and {high}, palette', color.quantize(2), True, ''
    mask = Image.fromarray((LESION*255).astype('uint8'))
    yield '1 bit', mask.convert('1'), True, ''
    yield 'opaque', mask.convert('RGBA'), True, ''
    yield 'turned', mask.transpose(Image.Transpose.ROTATE_90), False, ''
    yield 'half the size', mask.resize((48, 36)), False, ''
    yield 'grey edges', mask.resize((48, 36)).resize((96, 72), 2), False, ''
    yield 'no lesion', Image.new('L', (96, 72)), False, ''
    yield 'the photograph', RGB, False, ''
    yield 'the photograph, greys', RGB, False, 'grey'
    labels = LESION*1 + (LESION & (np.arange(96) > 48))
    border = LESION ^ np.roll(LESION, 3, 0) | LESION ^ np.roll(LESION, 3, 1)
    for name, values in {'labels': labels, 'labels of thousands': labels*1000,
                         'border': np.where(border, 255, LESION)}.items():
        for kind in 'uint8', 'uint16', 'int32':
            for allow in '', 'grey', 'lesion=7':
                yield f'{name}, {kind}, {allow}', Image.fromarray(values.astype(kind)), False, allow
        if values.max() < 256:
            chosen = f'lesion={1 if name == "border" else "1,lesion=2"}'
            right = name == 'labels'
            yield f'{name}, {chosen}', Image.fromarray(values.astype('uint8')), right, chosen


def mask_inputs():
    small = Image.fromarray((LESION*255).astype('uint8')).resize((SIZE, SIZE), Image.Resampling.BOX)
    wanted = np.asarray(small) > 127
    for name, mask, right, allow in odd_masks():
        for ending in 'png', 'tif', 'bmp':
            text = encoded(mask, ending)
            if text is None: continue
            def make(home, text=text, ending=ending):
                (home/'data/train_masks/a3.png').unlink()
                (home/f'data/train_masks/a3.{ending}').write_bytes(text)
            def check(home, right=right, allow=allow):
                data = load_data(home/'data', SIZE, allow=allow)
                off = (data.train.pixels[3, ..., 3] != wanted).mean()
                said = len(data.notes) > 1 or any(word in allow for word in ('grey', 'lesion'))
                return bool(off < .02 or not right and said)
            yield f'mask: {name} as {ending}', make, check


# ---- folders, tables and names

FOLDERS = ('images masks', 'Images Labels', 'img_dir ann_dir', 'JPEGImages SegmentationClass',
           'imagesTr labelsTr', 'a b', 'x x', 'photos gt', 'train/images train/labels',
           'imgs gts', 'original annotations', 'in/deep/er in/deep/mask')
SUFFIXES = ('', '_mask', '-mask', 'mask', '_Segmentation', '_gt', '_seg', '_label', '_contour',
            '_groundtruth', '.jpg', '_annotation_1', '_M', '(1)', '_lesion_mask', '.mask', '_x.y',
            '\u0308')


def layout_inputs(rng):
    for _ in range(70):
        images, masks = rng.choice(FOLDERS).split()
        suffix, start = rng.choice(SUFFIXES), rng.choice(['mole', '0', 'ISIC_', 'lésion ', 'test'])
        def make(home, images=images, masks=masks, suffix=suffix, start=start):
            draw_data(home/'own', f'{images}/{start}{{i}}.jpg', f'{masks}/{start}{{i}}{suffix}.png')
        def check(home):
            data = load_data(home/'own', SIZE)
            return len(data.train) + len(data.test) == 12
        yield f'layout: {images} {masks} {start}*{suffix}', make, check


HEADS = 'id,part', 'id;part', 'id\tpart', 'ID,Part', 'image,split', 'part,id', 'id', ''
LINES = '{},{}', '{};{}', '{}.jpg,{}', '"{}","{}"', 'x/{},{}', '../{},{}', '{}, {}', '{}', '={},{}'


def table_inputs(rng):
    for _ in range(50):
        head, line = rng.choice(HEADS), rng.choice(LINES)
        parts = rng.choice([['train', 'test'], ['Training', 'TEST'], ['train', ''], ['a', 'b']])
        coding = rng.choice(['utf-8', 'utf-8-sig', 'utf-16'])
        def make(home, head=head, line=line, parts=parts, coding=coding):
            rows = [line.format(f'a{i}', parts[i > 7]) for i in range(12)]
            draw_data(home/'own', 'images/a{i}.jpg', 'masks/a{i}.png')
            (home/'own/split.csv').write_text('\n'.join([head, *rows]), coding)
        def check(home):
            data = load_data(home/'own', SIZE)
            return (len(data.train), len(data.test)) == (8, 4)
        yield f'split.csv: {head!r} {line} {parts} {coding}', make, check


SHAPES = ('', '[]', '{}', 'null', '"x"', '1', '['*9999, '\0', 'a,b\n1,2\n',
          '{"train_config": 1}', '{"train_config": {}, "seed": 0, "data": []}', '\ufeff{}', 'nan')


def shape_inputs():
    "Files of a run and of predictions in another shape."
    for text in SHAPES:
        for name in 'run/config.json', 'run/scores.csv', 'run/history.csv', 'masks/predictions.csv':
            def make(home, name=name, text=text):
                (home/name).unlink()
                (home/name).write_text(text)
            def check(home, name=name):
                if 'masks' in name: cli.predict.__wrapped__(['photos'], 'masks', 'run')
                else: Run(home/'run').history, Run(home/'run').scores, find_runs(home)
            yield f'{name}: {text[:20]!r}', make, check


IDS = ('../victim/x', '/etc/passwd', '..', '', 'a\nb', '=1+1', '-', 'p1', '\x1b[31m', 'x'*300,
       'C:\\x', 'nan', '0')


def id_inputs():
    "Another id in the table of predictions; and a photograph of that name."
    for id in IDS:
        def make(home, id=id):
            with open(home/'masks/predictions.csv', newline='') as file: rows = [*csv.reader(file)]
            rows[1][0] = id
            (home/'masks/predictions.csv').unlink()
            with open(home/'masks/predictions.csv', 'w', newline='') as file:
                csv.writer(file).writerows(rows)
        def check(home): cli.predict.__wrapped__(['photos'], 'masks', 'run')
        yield f'id: {id!r}', make, check

    for name in (*IDS, '$(touch x)', '<script>', 'a,b', 'a"b', 'ä', 'a;b', '@x', '+1', '%s', '{x}'):
        if not name or '/' in name or len(name) > 200 or '\0' in name or name == '..': continue
        def make(home, name=name):
            (home/'strange').mkdir()
            RGB.save(home/'strange'/f'{name}.png')
        def check(home):
            cli.predict.__wrapped__(['strange'], 'new', 'run')
            with open(home/'new/predictions.csv', newline='') as file: row = [*csv.reader(file)][1]
            return row[0][0] not in '=+-@' and len([*(home/'new').glob('*_segmentation.png')]) == 1
        yield f'name: {name!r}', make, check


def outline_inputs(rng):
    "Outlines of labelme with something odd in them."
    odd = None, 1, -5, 'x', [], {}, [[0, 0]], [[1, 2], [3, 4]], [[1e9, 1], [2, 2], [3, 1]], '../x'
    keys = 'imagePath', 'imageWidth', 'imageHeight', 'shapes', 'label', 'points', 'shape_type'
    for _ in range(45):
        key, value = rng.choice(keys), rng.choice(odd)
        def make(home, key=key, value=value):
            file = home/'outlines/p0.json'
            drawn = json.loads(file.read_text())
            (drawn if key in drawn else drawn['shapes'][0])[key] = value
            file.unlink()
            file.write_text(json.dumps(drawn))
        def check(home): cli.convert.__wrapped__('outlines', 'new')
        yield f'outline: {key} = {value}', make, check


def inputs(rng):
    "Name, what makes the folder odd, and a check of what comes of it: False if it is wrong."
    yield from image_inputs()
    yield from mask_inputs()
    yield from layout_inputs(rng)
    yield from table_inputs(rng)
    yield from shape_inputs()
    yield from id_inputs()
    yield from outline_inputs(rng)


# ---- flags

PATHS = ('.', 'nowhere', 'photos', 'data', 'run', 'run/config.json', 'photos/p0.jpg', 'data/train',
         'isic2016', '/dev/null', 'a\nb', '*', '~', 'new/x', 'x'*300, 'run/model.safetensors',
         'data/train_masks', 'masks/predictions.csv', 'new/x.csv', 'new.png', 'new.html', '-')
WHOLE = '-1 0 1 2 1.5 x 9999999999'.split()
REAL = '-1 0 .5 1 2 nan inf x'.split()
WORDS = 'x', 'tuned', 'holdout', 'empty', 'grey,empty', 'lesion=1', '../x', 'a b', '\x1b[31m', '=1'
VALUES = {
    **dict.fromkeys(['data', 'weights', 'out', 'start', 'more', 'images', 'masks', 'model',
                     'model_path', 'compare_model'], PATHS),
    **dict.fromkeys(['encoder_lr', 'decoder_lr', 'valid_fraction', 'threshold'], REAL),
    **dict.fromkeys(['batch_size', 'seed', 'seeds', 'indices'], WHOLE),
    **dict.fromkeys(['mode', 'modes', 'validate_on', 'allow', 'name', 'label', 'device'], WORDS),
    **dict.fromkeys(['normalize', 'augment', 'unconfirmed', 'tta', 'largest_component', 'native',
                     'all_components', 'overlay', 'probability', 'recursive', 'nonsense'], [None]),
    'size': '-1 0 63 64 96 1.5 100000 x'.split(), 'epochs': '-1 0 1 1.5 x'.split(),
    'folds': '-1 0 1 2 99 x'.split()}
TRAINED = '--data data --size 64 --epochs 1 --batch_size 4 --weights none --out new'
COMMANDS = { # What each is given, and which flags are added or changed
    'train': (TRAINED, 'mode epochs batch_size encoder_lr decoder_lr seed data size weights out '
              'normalize augment validate_on valid_fraction allow start more images masks '
              'unconfirmed folds nonsense'),
    'compare': (TRAINED + ' --modes finetuning', 'modes epochs batch_size seeds data size weights '
                'out threshold normalize validate_on valid_fraction allow'),
    'evaluate': ('--model_path run --data data --out new.csv', 'model_path data size threshold tta '
                 'largest_component native allow out masks'),
    'visualize': ('--model_path run --data data --out new.png', 'model_path compare_model data '
                  'size threshold indices allow out'),
    'predict': ('photos --out new --model run', 'out model threshold tta all_components overlay '
                'probability recursive device nonsense'),
    'convert': ('outlines --out new', 'out label'),
    'export': ('run --out new.html', 'out nonsense'),
    'release': ('run --data data --out new', 'out data name allow'),
    'download': ('--out new', 'out nonsense')}


def flags(rng):
    "A command, and words that it may not expect."
    command = rng.choices([*COMMANDS], [1 if name == 'compare' else 4 for name in COMMANDS])[0]
    given, names = COMMANDS[command]
    words = given.split()
    for name in rng.sample(names.split(), min(rng.choice([1, 1, 2, 3]), len(names.split()))):
        value = rng.choice(VALUES[name])
        words += [f'--{name}'] if value is None else [f'--{name}', value]
    if rng.random() < .1: words[rng.randrange(len(words))] = rng.choice(PATHS)
    return command, tuple(words)


# ---- calls

def tensors():
    "Probabilities and masks: (value, whether it is right; None: any answer will do)."
    generator = torch.Generator().manual_seed(0)
    p = torch.rand(3, 1, 16, 16, generator=generator)
    m = (torch.rand(3, 1, 16, 16, generator=generator) > .5).float()
    holed = p.clone()
    holed[1, 0, 3, 3] = math.nan
    probs = [(p, True), (p.double(), True), (p > .5, True), (p*255, False), (p - .5, False),
             (holed, False), (p*math.inf, False), (p[:2], False), (p[..., :8], False),
             (p.numpy(), None), (None, None), ('p', None), ([.5], None)]
    masks = [(m, True), (m.bool(), True), (m.double(), True), (m*255, False), (p, False),
             (-m, False), (m[:1], False), (m.expand(3, 3, 16, 16), False), (m*math.nan, False),
             (m.numpy(), None), (None, None), ('m', None)]
    return probs, masks


THRESHOLDS = (.5, True), (0, True), (1, True), (math.nan, False), (2, False), (-1, False), \
    (math.inf, False), (None, False), ('x', None)


def is_sound(scores):
    "Numbers from 0 to 1, or distances."
    values = torch.as_tensor(np.asarray(scores, dtype=float))
    return bool(values.isfinite().all() and (values >= 0).all())


def verdict(right, action):
    "False where wrong arguments are taken, or where right ones give something unsound."
    try: result = action()
    except AttributeError:
        if None in right: return None # not even of the right type
        raise
    return None if None in right else all(right) and is_sound(result)


def metric_calls(rng):
    probs, masks = tensors()
    ids = ['a', 'b', 'c']
    both = {name: metrics.METRICS[name] for name in ('soft_iou', 'soft_dice')}
    both |= {'sweep': threshold_sweep, 'curve': metrics.reliability_curve}
    cut = {name: f for name, f in metrics.METRICS.items() if name not in both}
    cut |= {'hausdorff95': metrics.hausdorff95,
            'table': lambda p, m, t: metrics.score_images(p, m, ids, t),
            'native': lambda p, m, t: metrics.native_iou(p, [x[0] for x in m], t)}
    while True:
        (p, right_p), (m, right_m) = rng.choice(probs), rng.choice(masks)
        if rng.random() < .3: p, right_p = probs[0]
        if rng.random() < .3: m, right_m = masks[0]
        threshold, right_t = rng.choice(THRESHOLDS)
        name = rng.choice([*both, *cut])
        args, right = [p, m], [right_p, right_m]
        if name in cut: args, right = [*args, threshold], [*right, right_t]
        call = partial((both | cut)[name], *args)
        yield f'{name} {right} {threshold}', partial(verdict, right, call)


ANY = 1.5, 'yes', math.inf, math.nan, -1, 0, 1, True, None, [], {}, '', 10**400, 'bce', np.int64(3)


def config_calls(rng):
    "Each field of a configuration with each value: it is refused, or of the type that is said."
    while True:
        field, value = rng.choice(fields(TrainConfig)), rng.choice(ANY)
        def make(field=field, value=value):
            made = getattr(replace(FINE_TUNING, **{field.name: value}), field.name)
            kinds = (int, float) if field.type is float else field.type
            return isinstance(made, kinds) and made not in (math.inf, -1) and made == made
        yield f'TrainConfig {field.name}={value!r:.20}', make


def image_calls(rng):
    "Networks and odd images."
    torch.manual_seed(0)
    model = LesionSegmenter(size=64)
    x = torch.rand(2, 3, 64, 64)
    batches = [(x, True), (x.double(), True), (x.half(), True), (x*255, False), (x*math.nan, False),
               (x[:, :1], False), (x[..., :50], False), (x[:0], None), ((x*255).byte(), False),
               (x - 2, False), (None, None), (x.numpy(), None)]
    photo = np.asarray(RGB)
    photos = [(RGB, True), (photo, True), (torch.rand(3, 40, 50), True), (RGB.convert('P'), True),
              (photo/255, False), (photo.astype(int), False), (torch.rand(3, 9, 9)*255, False),
              (photo*1., False), (photo[:0], False), ('nowhere.png', False), (None, None),
              (RGB.convert('CMYK'), True), (Image.new('I', (9, 9)), False), (b'x', None)]
    models = [model, LesionSegmenter(size=64).half(), LesionSegmenter(size=64).train()]
    while True:
        batch, right = rng.choice(batches)
        yield f'predict {right}', partial(verdict, [right], partial(predict, model, batch))
        image, right = rng.choice(photos)
        network = rng.choice(models)
        yield f'segment {right}', partial(verdict, [right], partial(segment, image, network))
        size = rng.choice([64, 0, -1, 'x', 1.5])
        def prepare(image=image, size=size): return prepare_image(image, size)[0].shape[-1] == 64
        if size != 64: yield f'prepare_image {size!r}', lambda prepare=prepare: prepare() and None


def file_calls(rng):
    "Functions that read, and paths, sizes and names that are odd."
    stage = Path(os.environ['LESIONSEG_CACHE']).parent.parent/'stage'
    paths = '', '.', 'nowhere', '\0', 'x'*300, '/dev/null', None, 5, *map(str, [
        stage, stage/'run', stage/'data', stage/'photos', stage/'run/config.json',
        stage/'photos/p0.jpg', stage/'run/model.safetensors'])
    def reads(path): return [
        ('load_data', lambda: load_data(path, 64)), ('Run', lambda: Run(path).scores),
        ('find_pairs', lambda: find_pairs(path)), ('read_image', lambda: read_image(path)),
        ('read_mask', lambda: read_mask(path)), ('find_runs', lambda: find_runs(path)),
        ('from_pretrained', lambda: LesionSegmenter.from_pretrained(path) and None)]
    data, photos = stage/'data', stage/'photos'
    refused = [
        *((f'load_data size {size!r}', lambda size=size: load_data(data, size))
          for size in (0, -1, 63.5, 'x', 10**6, math.nan, None)),
        *((f'load_data allow {allow!r}', lambda allow=allow: load_data(data, 64, allow=allow))
          for allow in ('x', 5, ['gray'], 'lesion', 'lesion=x')),
        ('find_pairs part', lambda: find_pairs(data, 'both')),
        *((f'segment_folder {t}', lambda t=t: segment_folder(photos, 'new', threshold=t))
          for t in (2, math.nan, -1, 'x')),
        *((f'lr_lambda {word!r}', lambda word=word: lr_lambda(.5, word)) for word in ('x', None)),
        ('loss', lambda: segmentation_loss(torch.zeros(1, 1, 2, 2), torch.ones(1, 1, 2, 2), 'x')),
        ('allow', lambda: parse_allow('all')),
        ('seed', lambda: train_run(FINE_TUNING, None, stage/'new', seed=-1)),
        ('split_ids', lambda: split_ids(5))]
    while True:
        name, read = rng.choice(reads(path := rng.choice(paths)))
        yield f'{name}({path!r:.30})', lambda read=read: read() and None
        name, wrong = rng.choice(refused)
        def must_fail(wrong=wrong):
            wrong()
            return False
        yield f'wrong {name}', must_fail


def calls(rng, number):
    "Name, and a function that returns False if nonsense was taken."
    sources = [metric_calls(rng), config_calls(rng), image_calls(rng), file_calls(rng)]
    for i in range(number): yield next(sources[i % 4])

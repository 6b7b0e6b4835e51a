"""Faults that the tests must notice: each breaks one line of one notebook.

    python tests/broken.py [--jobs 2] [name …]

puts them, one at a time, into a copy of the project, runs the tests that should notice, and says
which did. Without names it tries all of them, for most of an hour on two cores.
"""
import argparse, json, os, re, shutil, subprocess, sys, tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).parent.parent

BROKEN = { # name: notebook, what is there, what is put in its place
    # ---- core
    'a file is copied to its place': (
        'lib/core', 'os.replace(temporary, path)', 'path.write_bytes(temporary.read_bytes())'),
    'leftovers stay for ever': (
        'lib/core', "return f'.{platform.node()}.{found[1]}.tmp' in name and", 'return False and'),
    'a living process counts as dead': (
        'lib/core', 'except ProcessLookupError: return False',
        'except ProcessLookupError: return True'),
    'NumPy is not seeded': ('lib/core', 'np.random.seed(seed)', 'np.random.seed(0)'),

    # ---- files and data
    'split ignores the seed': ('lib/files', "f'{seed}:{id}'.encode(", "f'{id}'.encode("),
    'a part may be empty': (
        'lib/files', 'is_valid[shares.argmin()] = True', 'is_valid[shares.argmin()] = False'),
    'a mask without an image is passed over': (
        'lib/files', 'if id not in images: raise _missing(masks',
        'if not images: raise _missing(masks'),
    'names are compared as they are stored': (
        'lib/files', "unicodedata.normalize('NFC', file.stem)", 'file.stem'),
    'the smaller of two values is the lesion': (
        'lib/files', 'lesion = values == high', 'lesion = values == low'),
    'small masks grow': ('lib/files', '(np.asarray(mask) > 127)', '(np.asarray(mask) > 0)'),
    'a bomb is decoded': (
        'lib/files', 'if image.width*image.height > MAX_PIXELS', 'if image.width > MAX_PIXELS'),
    'transparent pixels are read': ('lib/files', "getextrema()[0] < 255", "getextrema()[0] < 0"),
    '16 bits with alpha are cut to 8': (
        'lib/files', "image.mode in ('RGB', 'RGBA')", "image.mode == 'RGB'"),
    'an inverted mask is not remarked on': (
        'lib/files', "'framed': _is_framed(lesion)", "'framed': False"),
    'a lesion that vanishes is not remarked on': (
        'lib/files', 'lesion.any() and not small.any()', 'False'),
    '16 bits are cut to 8': (
        'lib/files', '(values >> max(0, high.bit_length() - 8))', '(values & 255)'),
    'a changed file is not seen': (
        'lib/files', '{stat.st_size} {stat.st_mtime_ns}', '{stat.st_size}'),
    'a damaged cache is used': (
        'lib/files', "if about['crc32'] != _checksum", "if not _checksum"),
    'old caches stay': ('lib/files', 'if stale.stem == path.stem', 'if stale != path'),
    'a subset forgets where its images are': (
        '01_data', 'rows = self.rows[np.asarray(positions, dtype=int)]',
        'rows = np.asarray(positions, dtype=int)'),
    'a transform is not used': (
        '01_data', 'return self.transform(images, masks) if', 'return (images, masks) if'),
    'held-out images of the data set are learned': (
        '01_data', 'if not self.valid_ids: return', 'if True: return'),
    'the same image in train and test': (
        '01_data', 'if np.array_equal(pixels(first, same), pixels(second, row))', 'if not row'),

    # ---- metrics
    'IoU counts the overlap twice': (
        '02_metrics', '_ratio(overlap, predicted + true - overlap)',
        '_ratio(overlap, predicted + true)'),
    'empty against empty is 0': (
        '02_metrics', 'torch.where(denominator == 0, 1.,', 'torch.where(denominator == 0, 0.,'),
    'the threshold itself is lesion': (
        '02_metrics', '_areas(probs > threshold, masks)', '_areas(probs >= threshold, masks)'),
    'sensitivity counts false positives': (
        '02_metrics', 'tp, _, fn, _ = _counts', 'tp, fn, _, _ = _counts'),
    'scores ignore the threshold': (
        '02_metrics', "else {'threshold': threshold}", 'else {}'),
    'pooled IoU averages images': (
        '02_metrics', '_ratio(tp, tp + fp + fn).item()', '_ratio(tp, tp + fp + fp).item()'),
    'native IoU without interpolation': (
        '02_metrics', "mask.shape[-2:], mode='bilinear', antialias=True)",
        "mask.shape[-2:], mode='nearest')"),
    'native IoU drops images without a mask': (
        '02_metrics', 'zip(probs, masks, strict=True)', 'zip(probs, masks)'),
    'median for the 95th percentile': (
        '02_metrics', 'np.percentile(to_b[a], 95)', 'np.percentile(to_b[a], 50)'),
    'HD95 one way only': (
        '02_metrics', 'max(np.percentile(to_b[a], 95), np.percentile(to_a[b], 95))',
        'np.percentile(to_b[a], 95)'),
    'calibration errors cancel': (
        '02_metrics', '(table.probability - table.frequency).abs()',
        '(table.probability - table.frequency)'),

    # ---- transforms
    'augmented mask cut at 0.1': (
        'lib/transforms', '(both[:, 3:] > .5).float()', '(both[:, 3:] > .1).float()'),
    'jitter without its center': (
        'lib/transforms', '1 + strength*_draw(', '1 + strength*torch.rand('),
    'contrast without its center': (
        'lib/transforms', '(middle + (images - middle)*contrast)', '(images*contrast)'),
    'turned the wrong way': (
        'lib/transforms', 'angle.cos()*across, -angle.sin()*down',
        'angle.cos()*across, angle.sin()*down'),
    'zeros come in from outside': (
        'lib/transforms', "padding_mode='reflection'", "padding_mode='zeros'"),
    'images shrink too far': (
        'lib/transforms', 'max(64, 3*n//4//32*32)', 'max(64, n//32*32)'),
    'masks grow when they shrink': (
        'lib/transforms', "mode='area') > .5", "mode='area') > 0"),

    # ---- model
    'statistics of a frozen encoder drift': (
        '03_model', "if self.frozen == 'all': self.encoder.eval()",
        "if self.frozen == 'some': self.encoder.eval()"),
    'the stem is not frozen': (
        '03_model', 'self.encoder.features[:STEM].requires_grad_(False)',
        'self.encoder.features[:0].requires_grad_(False)'),
    'normalized without the deviation': (
        '03_model', '(images - self.mean)/self.std', 'images - self.mean'),
    'logits not scaled': (
        '03_model', 'nn.init.constant_(norm.weight, logit_scale)',
        'nn.init.constant_(norm.weight, 1.)'),
    'no dropout': ('03_model', 'nn.Dropout2d(dropout))', 'nn.Dropout2d(0.))'),
    'a loaded model is in training mode': ('03_model', 'return model.eval()', 'return model'),
    'the summary changes the mode': ('03_model', 'model.train(training)', 'model.train(True)'),
    'weights may run a program': ('03_model', 'weights_only=True', 'weights_only=False'),
    'a file of another architecture is taken': (
        '03_model', "if metadata.get('architecture') != ARCHITECTURE", 'if False'),

    # ---- inference
    'flips are not undone': (
        'lib/inference', 'predict(model, images.flip(axes), bf16=bf16).flip(axes)',
        'predict(model, images.flip(axes), bf16=bf16)'),
    'turns are not undone': ('lib/inference', 'over_flips(images.mT).mT', 'over_flips(images.mT)'),
    'merged without statistics': (
        'lib/inference', 'fuse_conv_bn_eval(conv, bn, ',
        'fuse_conv_bn_eval(conv, nn.BatchNorm2d(bn.num_features).eval(), '),
    'predict leaves training mode on': (
        'lib/inference', 'finally: model.train(training)', 'finally: model.train()'),
    'the smallest component is kept': ('lib/inference', '.argmax() + 1', '.argmin() + 1'),
    'holes stay': ('lib/inference', 'ndimage.binary_fill_holes(largest)', 'largest'),
    'cleaned at one half whatever is asked': (
        'lib/inference', 'above = probs > threshold', 'above = probs > .5'),
    'photographs lie on their side': (
        'lib/inference', "image = ImageOps.exif_transpose(image).convert('RGB')",
        "image = image.convert('RGB')"),
    'the dullest maps': ('lib/inference', 'argsort(descending=True)', 'argsort(descending=False)'),
    'another skip is left out': (
        'lib/inference', 'torch.eye(number)[:, 1:, ', 'torch.eye(number)[:, :-1, '),

    # ---- training
    'validated in training mode': (
        '04_training', 'model.eval()\n    rows: list = [', 'model.train()\n    rows: list = ['),
    'epochs draw the same': (
        '04_training', 'set_seed(1_000_000*seed + 1000*epoch + process)',
        'set_seed(1_000_000*seed + process)'),
    'epochs are shuffled alike': (
        '04_training', 'manual_seed(1_000_000*seed + epoch)', 'manual_seed(1_000_000*seed)'),
    'a validation loss that is no number': (
        '04_training', "math.isfinite(train['loss'] + valid['loss'])",
        "math.isfinite(train['loss'])"),
    'schedule an epoch late after a break': (
        '04_training', 'done*batches - 1 if done', '(done - 1)*batches - 1 if done > 1'),
    'no weight decay': ('04_training', 'weight_decay=cfg.weight_decay,', 'weight_decay=0.,'),
    'nothing is augmented': ('04_training', 'augment if cfg.augment else None', 'None'),
    'training images in order': (
        '04_training', 'shuffle=True, generator', 'shuffle=False, generator'),
    'low resolution for an epoch too long': (
        '04_training', 'epoch <= cfg.low_res_fraction*cfg.epochs',
        'epoch <= cfg.low_res_fraction*cfg.epochs + 1'),
    'the encoder learns as fast': ('04_training', "'lr': cfg.encoder_lr}", "'lr': cfg.decoder_lr}"),
    'the loss asked for is ignored': (
        '04_training', "return loss if name == 'bce' else", "return loss if name else"),
    'Dice is not 2J/(1 + J)': ('04_training', '2*soft/(1 + soft)', '2*soft/(2 + soft)'),
    'gradients add up': (
        '04_training', 'optimizer.zero_grad()\n        if scheduler',
        'pass\n        if scheduler'),
    'a teacher is not heard': (
        '04_training', 'target = masks if teacher is None else (masks + teacher(images))/2',
        'target = masks'),
    'a run that goes on has a new decoder': (
        'lib/runs', 'model.load_state_dict(trained.state_dict())',
        'model.encoder.load_state_dict(trained.encoder.state_dict())'),
    'other teachers, the same run': (
        'lib/runs', "'teachers': [*config.get('teachers', {}).values()]", "'teachers': []"),
    'an ensemble sees one size': (
        'lib/inference', 'how(network, resize(images, size))',
        'how(network, resize(images, (192, 192)))'),

    # ---- runs
    'history not cut at a resume': (
        'lib/runs', "_parse_table(_read(file), 'epoch', []).iloc[:self.done]",
        "_parse_table(_read(file), 'epoch', [])"),
    'the oldest checkpoint': ('lib/runs', 'reverse=True)', 'reverse=False)'),
    'a damaged checkpoint is taken': (
        'lib/runs', '_sha256(file) != digest: return file', 'False: return file'),
    'a changed table is read': (
        'lib/runs', 'if noted and hashlib.sha256(content).hexdigest() != noted', 'if False'),
    'scores above 1 are read': (
        'lib/runs', "highest = float('inf') if column.endswith('loss') else 1",
        "highest = float('inf')"),
    'Ctrl-C before the start spoils the model': (
        'lib/runs', 'if begun and done and', 'if done and'),
    'splits takes any word for test': (
        '01_data', 'if validate_on not in VALIDATE_ON:', 'if not validate_on:'),
    'split.csv is looked for outside': (
        'lib/files', "if (inside/'split.csv')", "if (Path(root)/'split.csv')"),
    'a verdict depends on the order of the runs': (
        '05_comparison', 'set(table[first]) == set(table[second])',
        'list(table[first]) == list(table[second])'),
    'two may train in one folder': ('lib/runs', 'lock.acquire(timeout=0)', 'pass'),
    'another run is gone on with': ('lib/runs', '    elif differ:', '    elif longer:'),
    'callbacks are not called': ('lib/runs', '[*own, *callbacks]', '[*own]'),
    'every run starts from seed 0': ('lib/runs', '    set_seed(seed)', '    set_seed(0)'),

    # ---- comparison
    'interval of the mean too narrow': (
        '05_comparison', 'np.quantile(values[drawn].mean(1), [.025, .975])',
        'np.quantile(values[drawn].mean(1), [.05, .95])'),
    'interval of the difference too narrow': (
        '05_comparison', 'np.quantile(means[second] - means[first], [.025, .975])',
        'np.quantile(means[second] - means[first], [.05, .95])'),
    'seeds are not resampled': (
        '05_comparison', 'rng.integers(of_seed.shape[1], size=of_seed.shape)',
        'np.zeros(of_seed.shape, int)'),
    'standard deviation of the seeds there are': (
        '05_comparison', "'sd': means.std()", "'sd': means.std(ddof=0)"),
    "the sweep's Dice ignores the threshold": (
        '05_comparison', 'dice(probs, masks, t).mean()', 'dice(probs, masks).mean()'),
    'effect without ranks': (
        '05_comparison', '(np.sign(moved)*ranks).sum()', 'np.sign(moved).sum()'),
    'Wilcoxon on one side': (
        '05_comparison', 'stats.wilcoxon(difference)',
        "stats.wilcoxon(difference, alternative='greater')"),
    'one run of either is not said': (
        '05_comparison', 'if min(seeds) == 1', 'if max(seeds) == 1'),
    'a difference below zero is decided': (
        '05_comparison', 'if not (low > 0 or high < 0)', 'if low <= 0 < high - 1'),
    'images compared by position': (
        '05_comparison', 'if sorted(first.index) != sorted(second.index)',
        'if len(first) != len(second)'),
    'published rows beside any data': (
        '05_comparison', 'and any(map(_on_isic2016, group))', ''),
    'border contact is a share of the frame': (
        '05_comparison', '/max(edge.sum(), 1)', '/max(frame.sum(), 1)'),

    # ---- plots
    'too much and missed change colors': (
        'lib/plots', 'predicted & ~truth, ~predicted & truth',
        '~predicted & truth, predicted & ~truth'),
    'a gallery outlines at one half': (
        'lib/plots', 'zip((mask[0], probs[0]), (.5, threshold),',
        'zip((mask[0], probs[0]), (.5, .5),'),
    'dollars are formulas': (
        'lib/plots', "plt.rcParams['text.parse_math'] = False",
        "plt.rcParams['text.parse_math'] = True"),
    'differences the wrong way round': (
        'lib/plots', 'scores.sub(scores[names[0]], axis=0)',
        '-scores.sub(scores[names[0]], axis=0)'),

    # ---- report
    'facts are not escaped': (
        'lib/report', "return html.escape(', '.join(dict", "return (', '.join(dict"),
    'an id ends the script': (
        'lib/report', "json.dumps(content).replace('<', '\\\\u003c')", 'json.dumps(content)'),
    'names are not escaped': (
        'lib/report', 'name=html.escape(name)', 'name=name'),
    'an older gallery stays': (
        'lib/report', '(Path(path)/stale).unlink(missing_ok=True)', 'pass'),

    # ---- synthetic
    'mask a little too small': (
        'lib/synthetic', '(depth > 0).astype(np.uint8)', '(depth > .05).astype(np.uint8)'),
    'all components draw alike': (
        'lib/synthetic', '[seed, zlib.crc32(name.encode())]', '[seed]'),
    'test images are training images': (
        'lib/synthetic', '(int(test) << 32)', '(int(test) << 0)'),
    'waves that do not close': (
        'lib/synthetic', 'np.linspace(0, 2*np.pi, n, endpoint=False)',
        'np.linspace(0, 1.8*np.pi, n)'),
    'parameters out of their range': (
        'lib/synthetic', 'min(max(params[name], low), high)', 'params[name]'),
    'another data set is taken for this one': (
        'lib/synthetic', 'if found == recipe: return True', 'if found: return True'),
    'the frame covers the lesion': (
        'lib/synthetic', 'distance[depth > 0].max() + blurred/2', '0'),
    'half a data set stays': (
        'lib/synthetic', 'temporary.rename(root)', 'shutil.copytree(temporary, root)'),

    # ---- download
    'a changed size or hash, not both': (
        'lib/download', 'if any(then.get(key) != now[key]', 'if all(then.get(key) != now[key]'),
    'a gap in the file': (
        'lib/download', 'if not found or int(found[1]) > have', 'if not found'),
    'what came before is not cut': (
        'lib/download', 'file.truncate(start)', 'file.truncate()'),
    'a zip may climb out': (
        'lib/download', "'..' in name.parts", "'..' == name"),
    'a link may lead out': (
        'lib/download', 'or stat.S_ISLNK(info.external_attr >> 16)', ''),
    'damage in a zip is not looked for': (
        'lib/download', 'if damaged: raise', 'if not members: raise'),
    'an endless download': (
        'lib/download', 'if room < 0: raise', 'if room < -1e9: raise'),
    'a slow download never ends': (
        'lib/download', 'self.came >= _MIN_RATE*took', 'self.came >= 0'),
    'a try that brought something counts': (
        'lib/download', 'tries, told = stalls, {}', 'told = {}'),
    'ids are not compared': (
        'lib/download', 'if images != masks', 'if len(images) != len(masks)'),

    # ---- release
    'a card with the wrong resolution': (
        'lib/release', "'native_iou': 'IoU, original",
        "'soft_iou': 'IoU, original"),
    'a card forgets what a run began with': (
        'lib/release', "'start': _start(weights),", ''),
    'every card says that all was held out': (
        'lib/release', "'validate_on': cfg.validate_on, 'size'",
        "'validate_on': 'holdout', 'size'"),
    'a card forgets what differs from the mode': (
        'lib/release', 'if getattr(cfg, field) != getattr(usual, field)}',
        "if field == 'epochs'}"),
    'TTA is not tried': ('lib/release', "('TTA', predict_tta)", "('TTA', predict)"),

    # ---- widgets
    'a curve counts the threshold itself': (
        'lib/widgets', "np.searchsorted(values, cuts, side='right')",
        "np.searchsorted(values, cuts, side='left')"),
    'the best are called the worst': (
        'lib/widgets', "np.argsort(score, kind='stable')", "np.argsort(-score, kind='stable')"),

    # ---- commands
    'evaluate ignores --threshold': (
        'lib/cli', 'score_dataset(network, test, threshold, own)',
        'score_dataset(network, test, .5, own)'),
    '--augment is ignored': ('lib/cli', 'augment=augment,', ''),
    '--encoder_lr is ignored': ('lib/cli', 'encoder_lr=encoder_lr,', ''),
    '--start is ignored': (
        'lib/cli', 'teachers=teachers, start=start)', 'teachers=teachers)'),
    '--tta is ignored': ('lib/cli', 'threshold, tta, bf16', 'threshold, False, bf16'),
    'an error ends with code 0': (
        'lib/cli', "sys.exit(f'lesionseg_{command.__name__}: {error}')",
        "print(f'lesionseg_{command.__name__}: {error}')"),
    'a changed batch size keeps the name': ('lib/cli', "'batch_size': 'batch{}', ", ''),

    # ---- a folder of photographs
    'the border on the left is not seen': (
        'lib/folder', "0 in (box['left'], box['top'])", "0 in (box['top'],)"),
    'centroid off by half a pixel': (
        'lib/folder', '(left + (length - 1)/2)', '(left + length/2)'),
    'sub-folders always': (
        'lib/folder', 'folders[:] = shown if recursive else []', 'folders[:] = shown'),
    'the largest component is that of the small map': (
        'lib/folder', 'if settings.largest_component: runs', 'if False: runs'),
    'a deleted overlay is not made again': (
        'lib/folder', "kind).is_file() for kind in kinds)",
        "'segmentation').is_file() for _ in [0])"),
    'the masks of an earlier call are segmented': (
        'lib/folder', 'images = [file for file in images if file not in made]', 'pass'),
    'files that no call wrote are deleted': (
        'lib/folder', '        for kind in written: _output', '        for kind in KINDS: _output'),
    'a run is packed into itself': (
        'lib/release', "if (folder/'config.json').is_file():", 'if False:'),
    'the scores of a run are overwritten': (
        'lib/cli', "in ('scores.csv', 'history.csv') and", "in () and"),
    'what an archive program adds is segmented': (
        'lib/folder', ".startswith(('.', '__MACOSX'))]", ".startswith('.')]"),
    'an unreadable folder is passed over': ('lib/folder', ', onerror=refuse_unreadable)', ')'),
    'a lost table is begun anew': (
        'lib/folder', 'if not settings.is_file(): return {}, None', 'return {}, None'),
    'a changed photograph keeps its old mask': (
        'lib/folder', "row['fingerprint'] == _fingerprint(image)", 'True'),
    'a changed file is known by its age': (
        'lib/folder', "row['fingerprint'] == _fingerprint(image)",
        'image.stat().st_mtime <= mask.stat().st_mtime'),
    'masks of other images are deleted': (
        'lib/folder', '    if others:', '    if False:'),
    'two may write into a folder': (
        'lib/folder', 'lock.acquire(timeout=0)', 'pass'),
    'other settings, the same masks': (
        'lib/folder', 'if rows and made_with != asdict(settings)', 'if rows and not made_with'),

    # ---- studies
    'cross-examined with itself': (
        'studies/what_is_missing', 'best_threshold(a, masks), best_threshold(b, masks)',
        'best_threshold(a, masks), best_threshold(a, masks)'),
    'a part without the hold-out set': (
        'studies/what_is_missing', '{*learn.ids[k::n], *held_out.ids}',
        '{*learn.ids[k::n], *held_out.ids[k::n]}'),
}

QUICK = ( # tried in every run of the tests: one of each of the fastest notebooks
    'leftovers stay for ever', 'native IoU drops images without a mask')

ELSEWHERE = { # the test in tests/ that notices what no notebook can
    fault: 'tests/test_cli.py::test_flags_arrive' for fault in (
        'evaluate ignores --threshold', '--augment is ignored', '--tta is ignored')}

SURVIVORS = {} # what nothing notices, and why that may be


def occurrences(fault):
    "How often the right text stands in the code cells of its notebook."
    notebook, right, wrong = BROKEN[fault]
    cells = json.loads((ROOT/f'nbs/{notebook}.ipynb').read_text())['cells']
    return sum(''.join(cell['source']).count(right) for cell in cells
               if cell['cell_type'] == 'code')


def break_notebook(fault, root):
    "Put the fault into the notebook below `root`."
    notebook, right, wrong = BROKEN[fault]
    path = root/f'nbs/{notebook}.ipynb'
    content = json.loads(path.read_text())
    for cell in content['cells']:
        if cell['cell_type'] != 'code': continue
        source = ''.join(cell['source']).replace(right, wrong)
        cell['source'] = source.splitlines(keepends=True)
    path.write_text(json.dumps(content))


def copy_project(root):
    "A copy of what the tests need, with a cache of its own."
    unneeded = shutil.ignore_patterns('__pycache__', '.ipynb_checkpoints', 'runs', '_*proc')
    for folder in 'lesionseg', 'nbs', 'tests':
        shutil.copytree(ROOT/folder, root/folder, ignore=unneeded)
    for file in 'settings.ini', 'setup.py', 'README.md': shutil.copy(ROOT/file, root)


def run_tests(root, notebook, test=None):
    "Export a copy's notebook and run its tests, or one of tests/: the exit code and what was said."
    env = {key: value for key, value in os.environ.items() if not key.startswith('LESIONSEG_')}
    env |= {'PYTHONPATH': str(root), 'XDG_CACHE_HOME': str(root/'cache')}
    options = {'cwd': root, 'env': env, 'capture_output': True, 'text': True}
    path = f'nbs/{notebook}.ipynb'
    command = ['pytest', '-x', '-q', test] if test else ['nbdev_test', '--path', path]
    export = subprocess.run(['nbdev_export', '--path', path], **options)
    assert export.returncode == 0, export.stdout + export.stderr
    try: run = subprocess.run(command, **options, timeout=1200)
    except subprocess.TimeoutExpired: return 1, 'not at an end after 20 minutes'
    said = run.stdout + run.stderr
    assert run.returncode in (0, 1), f'{command} was cut short ({run.returncode}): {said[-500:]}'
    return run.returncode, said


def is_noticed(fault, root):
    "Do the tests fail when a copy of the project in `root` has the fault?"
    assert occurrences(fault) == 1, f'{BROKEN[fault][1]} must stand once in {BROKEN[fault][0]}'
    copy_project(root)
    break_notebook(fault, root)
    code, said = run_tests(root, BROKEN[fault][0], ELSEWHERE.get(fault))
    return code != 0


def try_fault(fault):
    "`is_noticed` in a temporary folder, and a line about it."
    with tempfile.TemporaryDirectory() as folder:
        noticed = is_noticed(fault, Path(folder).resolve())
    color, word = (31, 'red  ') if noticed else (32, 'GREEN')
    print(f'\033[{color}m{word}\033[0m {BROKEN[fault][0]:24} {fault}', flush=True)
    return noticed


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('names', nargs='*', help='faults; none: all')
    parser.add_argument('--jobs', type=int, default=1, help='how many to try at a time')
    args = parser.parse_args()
    names = args.names or list(BROKEN)
    with ThreadPoolExecutor(args.jobs) as pool:
        noticed = dict(zip(names, pool.map(try_fault, names)))
    for name, seen in noticed.items():
        if not seen: print(f"survives: {name} ({SURVIVORS.get(name, 'no reason known')})")
    print(f'{sum(noticed.values())} of {len(noticed)} noticed')
    sys.exit(sum(noticed.values()) < .95*len(noticed))


if __name__ == '__main__': main()

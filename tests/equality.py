"""Does the package still do what it did? Records its behavior, and compares another version of it.

    git worktree add /tmp/before REVISION
    PYTHONPATH=/tmp/before python tests/equality.py record FOLDER
    PYTHONPATH=. python tests/equality.py compare FOLDER

`compare` prints a line for each fact and ends with 1 if one differs. Both must run on the same
machine with the same number of threads (OMP_NUM_THREADS=1): most facts hold to the last digit.
`--only NAME …` measures some of the groups: layouts synthetic runs comparison masks model metrics
photographs. What holds on every machine is a test, in test_equality.py.
Three environment variables add real or odd input, the same for both commands:

    LESIONSEG_CASES   a folder of data sets, each in a folder of its own; what is refused is noted
                      with its sentence, which is shown where it changed, and does not count
    LESIONSEG_PHOTOS  a folder of photographs to segment
    LESIONSEG_DATA    a data set, such as ISIC 2016: its fingerprints, the packaged model's scores

Only names are used that versions share, so that an old version can be measured by today's script.
"""
import argparse, json, os, re, signal, subprocess, sys, tempfile
from dataclasses import replace
from functools import partial
from pathlib import Path

if __name__ == '__main__': os.environ.setdefault('TQDM_DISABLE', '1') # before tqdm is imported

import numpy as np, pandas as pd, torch
from PIL import Image

import lesionseg
from lesionseg import metrics
from lesionseg.comparison import (
    bootstrap_difference, comparison_table, image_properties, paired_table, score_table,
    summarize_runs, threshold_sweep, verdict)
from lesionseg.core import LesionsegError
from lesionseg.data import load_data, to_tensors
from lesionseg.inference import predict, predict_tta, score_dataset
from lesionseg.release import export_onnx
from lesionseg.runs import find_runs, train_run
from lesionseg.synthetic import synthetic_dataset
from lesionseg.training import FEATURE_EXTRACTION, FINE_TUNING, TUNED

try: from lesionseg.masks import segment_folder
except ImportError: from lesionseg.folder import segment_folder

CASES, PHOTOS, DATA = (os.environ.get(f'LESIONSEG_{name}') for name in ('CASES', 'PHOTOS', 'DATA'))
RESULTS = Path(lesionseg.__file__).parent.parent/'nbs/studies/results'
PRESETS = {'feature_extraction': FEATURE_EXTRACTION, 'finetuning': FINE_TUNING, 'tuned': TUNED}
PRESETS = {mode: replace(cfg, epochs=3, batch_size=15) for mode, cfg in PRESETS.items()}
NO_FACTS = {'path', 'seconds', 'train_seconds', 'fingerprint', 'error', 'corrected'} # of a table

# How far a number may be off, by what the name of a fact begins with; else not at all
TOLERANCE = {
    'masks': 1e-5, # of the table, whose numbers have six digits
    'onnx': 1e-5, # ONNX Runtime adds in another order
    'committed': 1e-9, 'scores of': 1e-9, # means of many numbers, read from text
    'metrics, pooled': 1e-7, # once added in double precision
}
FIVE = 'at least five test images where a hash chooses them'
MEANT = { # Facts that are to differ from version 0.2.0, and why
    'layout ham10000': "all images of a lesion are in one part",
    **{f'layout {name}': FIVE for name in (
        'as_predicted', 'one_folder', 'ph2', 'several_masks', 'voc')},
    **{f'layout odd_suffixes/{name}': FIVE for name in (
        'annotation', 'contour', 'groundtruth', 'gt', 'jpg', 'label', 'seg', 'segmentation_0')}}
TURNED = 1e-7 # Share of the pixels of all masks of a folder that may turn


def described(data):
    "All of a data set that has to stay: ids, pixels and splits."
    facts = {part: {'fingerprint': images.fingerprint(), 'ids': images.ids}
             for part, images in (('train', data.train), ('test', data.test))}
    facts['valid ids'] = sorted(data.valid_ids)
    try: train, valid = data.splits('holdout', .2, 0)
    except LesionsegError as error: return facts | {'holdout': str(error)}
    return facts | {'holdout': {'train': train.ids, 'valid': valid.ids}}


def layout(root, size=64, **options):
    "What is read of a folder, or the sentence that refuses it."
    with tempfile.TemporaryDirectory() as cache: # so that the files are decoded
        try: data = load_data(root, size, cache, **options)
        except LesionsegError as error: return {'refused': str(error).replace(f'{root}', 'FOLDER')}
        return described(data) | {'notes': [*data.notes]}


def layouts(work):
    "Every data set of a folder; a folder of several data sets counts as several."
    roots = sorted(path for path in Path(CASES).iterdir() if path.is_dir()) if CASES else []
    for root in roots:
        several = sorted(root.glob('*/images'))
        for one in [path.parent for path in several] or [root]:
            yield f'layout {one.relative_to(CASES)}', layout(one)


def synthetic(work):
    "The built-in images, and one data set added to another."
    root = synthetic_dataset(work/'60-16', 60, 16)
    other = synthetic_dataset(work/'12-4', 12, 4, 1)
    for file in sorted(other.glob('*/SYN_*')): file.rename(file.with_name(f'NEW{file.name[3:]}'))
    yield 'data synthetic, 64 px', layout(root)
    yield 'data synthetic, more', layout(root, more=other)
    yield 'data synthetic, built-in, 128 px', layout(synthetic_dataset(), 128)
    if DATA: yield 'data DATA, 128 px', layout(Path(DATA), 128)


def history_of(run): return run.history.drop(columns=['train_seconds', 'seconds'], errors='ignore')


def train(mode, root, out, callbacks=()):
    "The run of a preset, for a few seconds."
    data = load_data(root, 64, Path(root).parent/'cache')
    return train_run(PRESETS[mode], data, out, 'isic2016', quiet=True, callbacks=callbacks)


def train_until_killed(mode, root, out):
    "Train; no farewell when the first epoch is over."
    train(mode, root, out, [lambda history: os.kill(os.getpid(), signal.SIGKILL)])


def trained(work):
    "The runs of the presets, trained once."
    root = synthetic_dataset(work/'60-16', 60, 16)
    return [train(mode, root, work/'runs'/mode) for mode in PRESETS]


def runs(work):
    "Histories and scores of the presets, and of runs that were killed and went on."
    for mode, run in zip(PRESETS, trained(work)):
        yield f'run {mode}, history', history_of(run)
        yield f'run {mode}, scores', run.scores
        data = run.config['data']
        yield f'run {mode}, data', {part: data[part] for part in ('train', 'validation', 'test')}

    for mode in PRESETS:
        out = work/'killed'/mode
        command = [sys.executable, __file__, 'killed', mode, work/'60-16', out]
        code = subprocess.run([str(word) for word in command]).returncode
        if code != -signal.SIGKILL: raise SystemExit(f'{mode} was not killed: it ended with {code}')
        run = train(mode, work/'60-16', out)
        yield f'run {mode}, killed and resumed, history', history_of(run)
        yield f'run {mode}, killed and resumed, scores', run.scores


def tables(name, compared, metric='iou'):
    "All that a comparison says."
    scores = score_table(compared, metric)
    first, *others = scores.columns.unique('strategy')
    yield f'{name}, table', comparison_table(compared).reset_index()
    yield f'{name}, {metric}, pairs', paired_table(scores)
    yield f'{name}, {metric}, spread', summarize_runs(scores)
    yield f'{name}, {metric}, verdicts', [verdict(scores, first, other) for other in others]
    yield f'{name}, {metric}, differences', pd.DataFrame(
        [bootstrap_difference(scores, first, other) for other in others])


def comparison(work):
    "Tables and verdicts of the presets' runs and of the committed ones."
    yield from tables('comparison', trained(work))
    for group in 'isic2016', 'isic2016_holdout':
        folder = RESULTS/group
        found = find_runs(folder) if folder.is_dir() else find_runs(RESULTS, group=group)
        yield from tables(f'committed {group}', found)
        if group == 'isic2016': yield from tables(f'committed {group}', found, 'dice')


def segmented(name, inputs, out, **options):
    "The masks of a folder and their table."
    table = segment_folder(inputs, out, **options)
    table['name'] = [Path(path).name for path in table.path]
    facts = [column for column in table if column not in NO_FACTS | {'id'}]
    yield f'masks {name}, table', table.set_index('name')[facts[:-1]].sort_index()
    masks = {f'{row.path}': np.asarray(Image.open(out/f'{row.id}_segmentation.png')) > 127
             for row in table.itertuples() if (out/f'{row.id}_segmentation.png').is_file()}
    yield f'masks {name}, pixels', {Path(path).name: mask for path, mask in masks.items()}


def masks(work):
    "Masks of the synthetic test images, of odd files, and of photographs."
    inputs = synthetic_dataset(work/'60-16', 60, 16)/'test'
    yield from segmented('synthetic', inputs, work/'masks')
    yield from segmented('synthetic, options', inputs, work/'masks-options', threshold=.3, tta=True,
                         largest_component=True, overlay=True, probability=True)
    odd = Path(CASES or '.')/'to_predict'
    if odd.is_dir(): yield from segmented('odd', odd, work/'masks-odd')


def photographs(work):
    "Masks of photographs at full size."
    if PHOTOS: yield from segmented('photographs', PHOTOS, work/'masks-photos')


def test_images(work, number=4):
    "The packaged model, and a few synthetic images at its size."
    model = lesionseg.LesionSegmenter.from_pretrained()
    data = load_data(synthetic_dataset(work/'60-16', 60, 16), model.size, work/'cache')
    return model, *to_tensors(data.test, range(number))


def model(work):
    "What the packaged model and its ONNX file answer."
    network, images, _ = test_images(work)
    yield 'model, predict', predict(network, images).numpy()
    yield 'model, predict_tta', predict_tta(network, images).numpy()

    from onnxruntime import InferenceSession
    export_onnx(network, work/'model.onnx')
    session = InferenceSession(work/'model.onnx', providers=['CPUExecutionProvider'])
    noise = torch.rand(2, 3, 192, 192, generator=torch.Generator().manual_seed(0))
    yield 'onnx, probabilities', session.run(['probs'], {'images': noise.numpy()})[0]
    if DATA:
        test = load_data(DATA, network.size, work/'cache').test
        yield 'scores of the packaged model', score_dataset(partial(predict, network), test)


def metrics_of_images(work):
    "Every metric of the packaged model's answers, and what is measured in images."
    network, images, truth = test_images(work, 16)
    probs = predict(network, images)
    ids = [f'{i}' for i in range(len(images))]
    columns = {'hausdorff95': metrics.hausdorff95(probs, truth),
               'native_iou': metrics.native_iou(probs, [m[0].numpy() for m in truth])}
    table = metrics.score_images(probs, truth, ids)
    yield 'metrics, images', table.assign(**{name: x.numpy() for name, x in columns.items()})
    yield 'metrics, threshold .3', metrics.score_images(probs, truth, ids, .3)
    def pool(p, m): return metrics.iou(p.reshape(1, -1), m.reshape(1, -1)).item()
    batches = zip(probs.split(5), truth.split(5))
    pooled = [pool(probs, truth), np.mean([pool(*batch) for batch in batches])]
    curve = metrics.reliability_curve(probs, truth)
    pooled.append(metrics.expected_calibration_error(curve))
    yield 'metrics, pooled', np.array(pooled)
    yield 'metrics, reliability', curve
    yield 'metrics, thresholds', threshold_sweep(probs, truth)
    yield 'metrics, properties', image_properties(images, truth, ids)


GROUPS = {'layouts': layouts, 'synthetic': synthetic, 'runs': runs, 'comparison': comparison,
          'masks': masks, 'model': model, 'metrics': metrics_of_images, 'photographs': photographs}


def measure(only):
    "All facts by name, one after the other."
    with tempfile.TemporaryDirectory() as work:
        for group in only or GROUPS: yield from GROUPS[group](Path(work))


def file_name(name, suffix): return re.sub(r'[^\w.]+', '-', name) + f'.{suffix}'


def write(name, value, folder):
    "Keep a fact as a table, an array, several arrays of bool, or text."
    if isinstance(value, pd.DataFrame): value.to_csv(folder/file_name(name, 'csv'))
    elif isinstance(value, np.ndarray): np.savez(folder/file_name(name, 'npz'), array=value)
    elif name.endswith('pixels'):
        packed = {key: np.packbits(mask) for key, mask in value.items()}
        shapes = {f'shape of {key}': mask.shape for key, mask in value.items()}
        np.savez_compressed(folder/file_name(name, 'npz'), **packed, **shapes)
    else: (folder/file_name(name, 'json')).write_text(json.dumps(value, indent=1))


def read(path):
    "A fact as it was kept."
    if path.suffix == '.json': return json.loads(path.read_text())
    if path.suffix == '.npz': return dict(np.load(path))
    return pd.read_csv(path, dtype=str, keep_default_na=False, index_col=0)


def numbers(column):
    "A column of text as numbers, or None if it holds none."
    try: return column.replace({'': 'nan', 'True': '1', 'False': '0'}).astype(float).to_numpy()
    except ValueError: return None


def table_difference(old, new, tolerance):
    "How two tables differ, or nothing. Columns may be added, and none may go."
    gone = [column for column in old if column not in new]
    if gone: return f"columns are gone: {', '.join(gone)}"
    if list(old.index) != list(new.index): return "its rows are others, or in another order"
    for column in old:
        before, after = numbers(old[column]), numbers(new[column])
        if before is None or after is None:
            if list(old[column]) != list(new[column]): return f"{column} holds other text"
        elif not np.allclose(before, after, rtol=tolerance, atol=tolerance, equal_nan=True):
            return f"{column} is off by up to {np.nanmax(abs(before - after)):.3g}"
    return ''


def arrays_difference(old, new, tolerance):
    "How two arrays differ, or nothing."
    before, after = old['array'], new['array']
    if before.shape != after.shape: return f"shape {after.shape} instead of {before.shape}"
    off = abs(before.astype(float) - after).max()
    return '' if off <= tolerance else f"off by up to {off:.3g}"


def pixels_difference(old, new):
    "How many pixels of two folders' masks differ, if too many; else nothing."
    others = sorted(old.keys() ^ new.keys())
    if others: return f"masks of other files: {', '.join(others[:4])}"
    turned, total = 0, 0
    for key in (key for key in old if f'shape of {key}' in old):
        shape = f'shape of {key}'
        if not np.array_equal(old[shape], new[shape]): return f"the mask of {key} has another size"
        turned += int(np.unpackbits(old[key] ^ new[key]).sum())
        total += int(old[shape].prod())
    if turned: print(f'       {turned} of {total} pixels differ')
    return '' if turned <= max(TURNED*total, 1) else f"{turned} of {total} pixels"


def text_difference(old, new):
    "How two data sets or lists of sentences differ, or nothing. Notes and refusals only show."
    if not isinstance(old, dict): return '' if old == new else f"\n   was {old}\n   is  {new}"
    if 'refused' in old:
        now = new.get('refused', f"read: {len(new.get('train', {}).get('ids', []))} for training")
        if now != old['refused']: print(f"   was refused: {old['refused']}\n   now {now}")
        return ''
    if 'refused' in new: return f"it is refused: {new['refused']}"
    if old.get('notes') != new.get('notes'):
        print(f"   notes were {old.get('notes')}\n   notes are  {new.get('notes')}")
    parts = [key for key in old if key != 'notes' and old[key] != new.get(key)]
    return f"{', '.join(parts)} changed" if parts else ''


def difference(path, name, other):
    "How a fact differs between two files, or nothing."
    old, new = read(path), read(other)
    starts = [start for start in TOLERANCE if name.startswith(start)]
    tolerance = TOLERANCE[starts[0]] if starts else 0
    if path.suffix == '.csv': return table_difference(old, new, tolerance)
    if path.suffix == '.json': return text_difference(old, new)
    if name.endswith('pixels'): return pixels_difference(old, new)
    return arrays_difference(old, new, tolerance)


def compare(folder, only):
    "Print how each fact compares with the recorded one. Returns how many differ."
    differ = 0
    left = {path.name for path in folder.iterdir()}
    with tempfile.TemporaryDirectory() as temporary:
        for name, value in measure(only):
            write(name, value, Path(temporary))
            file, = Path(temporary).iterdir()
            recorded = folder/file.name
            left.discard(file.name)
            how = difference(recorded, name, file) if recorded.is_file() else 'was not recorded'
            file.unlink()
            if not how: print(f'equal    {name}', flush=True)
            elif name in MEANT: print(f'as meant {name}: {MEANT[name]}', flush=True)
            else:
                print(f'DIFFERS  {name}: {how}', flush=True)
                differ += 1
    if left and not only: print(f"recorded, and not measured now: {', '.join(sorted(left))}")
    print(f'{differ} facts differ')
    return differ


def main():
    if sys.argv[1:2] == ['killed']: return train_until_killed(*sys.argv[2:])
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('action', choices=['record', 'compare'])
    parser.add_argument('folder', type=Path)
    parser.add_argument('--only', nargs='+', choices=list(GROUPS), help='measure some groups')
    args = parser.parse_args()
    torch.set_num_threads(1)
    if args.action == 'compare': sys.exit(compare(args.folder, args.only) > 0)

    args.folder.mkdir(parents=True, exist_ok=True)
    for name, value in measure(args.only):
        write(name, value, args.folder)
        print(f'recorded {name}', flush=True)


if __name__ == '__main__': main()

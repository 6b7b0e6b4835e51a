"""Faults that the tests must notice: each takes away something that a user relies on.

    python tests/broken.py [--jobs 2] [name …]

puts them, one at a time, into a copy of the project, runs the notebook whose tests should notice,
and says which did. Without names it tries all of them, for about twenty minutes on one core.

A fault is a piece of code behind the cell that defines a function or a class; it redefines it, and
calls the right one `true`. Where only a word makes the difference, it is (right word, wrong word).
"""
import argparse, json, os, re, shutil, subprocess, sys, tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).parent.parent

BROKEN = { # name: notebook, what is redefined, how
    # ---- core, files and data
    'a file is written in its place': ('lib/core', 'atomic_write', '''
        def broken(path, *rest):
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            yield Path(path)
        atomic_write = contextmanager(broken)'''),
    'NumPy is not seeded': ('lib/core', 'set_seed', 'set_seed = torch.manual_seed'),
    'the split ignores the seed': ('lib/files', 'split_ids', '''
        def split_ids(ids, fraction=.2, seed=0, *rest): return true(ids, fraction)'''),
    'lesion and skin are exchanged': ('lib/files', 'read_mask', '''
        def read_mask(*rest, **more): return 1 - true(*rest, **more)'''),
    'images lie on their side': (
        'lib/files', '_turned', 'def _turned(image, *rest): return image'),
    'a changed file is not seen': ('lib/files', 'load_pixels', ('st_mtime_ns', 'st_mode')),
    'the same image on both sides is not told': ('01_data', '_warnings', '''
        def _warnings(data): return []'''),
    'a fingerprint without masks': ('01_data', 'LesionDataset', '''
        def broken(self):
            images = LesionDataset(self.pixels[..., :3].copy(), self.ids, rows=self.rows)
            return fingerprint(images)
        fingerprint = LesionDataset.fingerprint
        LesionDataset.fingerprint = broken'''),
    'a transform is not used': ('01_data', 'LesionDataset', '''
        def broken(self, positions):
            return batch(LesionDataset(self.pixels, self.ids, None, self.rows), positions)
        batch = LesionDataset.batch
        LesionDataset.batch = broken'''),
    'held-out images are learned from': ('01_data', 'LesionData', '''
        def broken(self, *rest, **more): return self.train, splits(self, *rest, **more)[1]
        splits = LesionData.splits
        LesionData.splits = broken'''),

    # ---- augmentation
    'no mirror images': ('lib/transforms', 'random_affine', '''
        def random_affine(both):
            from unittest import mock
            with mock.patch.object(torch.Tensor, 'sign', torch.ones_like): return true(both)'''),
    'shift doubled': ('lib/transforms', '_draw', '''
        def _draw(*shape): return true(*shape)*(2 if len(shape) == 3 else 1)'''),
    'stretch a third': ('lib/transforms', 'random_affine', '''
        def random_affine(both):
            from unittest import mock
            exp, calls = torch.Tensor.exp, []
            def broken(x):
                calls.append(x)
                return exp(x/3 if len(calls) == 2 else x)
            with mock.patch.object(torch.Tensor, 'exp', broken): return true(both)'''),
    'color balance tenfold': ('lib/transforms', '_draw', '''
        def _draw(*shape): return true(*shape)*(10 if shape[1:2] == (3,) else 1)'''),
    'the mask stays where it was': ('lib/transforms', 'augment', '''
        def augment(images, masks): return true(images, masks)[0], masks'''),

    # ---- metrics
    'empty against empty is no number': ('02_metrics', '_ratio', '''
        def _ratio(numerator, denominator): return numerator/denominator'''),
    'the threshold is ignored': ('02_metrics', 'iou', '''
        def iou(probs, masks, threshold=.5): return true(probs, masks)'''),
    "batch_iou's divisor": ('02_metrics', 'batch_iou', '''
        def batch_iou(probs, masks, batch_size, threshold=.5):
            batches = -(-len(probs)//batch_size)
            return true(probs, masks, batch_size, threshold)*batches*batch_size/len(probs)'''),
    'sensitivity and specificity are exchanged': ('02_metrics', 'specificity', '''
        specificity, sensitivity = sensitivity, specificity'''),
    'masks of 0 and 255 are scored': ('02_metrics', '_check', 'def _check(*rest): pass'),
    'distances between outlines are halved': ('02_metrics', 'hausdorff95', '''
        def hausdorff95(*rest, **more): return true(*rest, **more)/2'''),
    'calibration counts each bin once': ('02_metrics', 'expected_calibration_error', '''
        def expected_calibration_error(table):
            return float((table.probability - table.frequency).abs().mean())'''),

    # ---- model and weights
    'the input is not normalized': ('03_model', 'LesionSegmenter', '''
        def broken(self, images):
            check_sides(images)
            return self.decoder(*self.encoder(images))
        LesionSegmenter.forward = broken'''),
    'frozen weights are trained': ('03_model', 'LesionSegmenter', '''
        def broken(self, what):
            freeze(self, what).encoder.requires_grad_(True)
            return self
        freeze = LesionSegmenter.freeze
        LesionSegmenter.freeze = broken'''),
    'frozen statistics drift': ('03_model', 'LesionSegmenter', '''
        LesionSegmenter.train = nn.Module.train'''),
    'a flipped bit is not noticed': ('lib/weights', '_read', ("words.get('sha256')", 'None')),
    'weights that are no numbers are taken': (
        'lib/weights', '_read', ('if not finite', 'if False')),

    # ---- inference
    'prediction changes the mode': ('lib/inference', 'predict', '''
        def predict(model, *rest, **more):
            probs = true(model, *rest, **more)
            model.eval()
            return probs'''),
    'mirror images are not turned back': ('lib/inference', 'predict_tta', '''
        def predict_tta(model, images):
            return (predict(model, images) + predict(model, images.flip(3)))/2'''),
    'an ensemble takes the maximum': ('studies/tuned_recipe', 'ensemble', '''
        def ensemble(models, *rest, **more):
            each = [true([model], *rest, **more) for model in models]
            return lambda images: torch.stack([network(images) for network in each]).amax(0)'''),
    'all components are kept': ('lib/inference', 'keep_largest_component', '''
        def keep_largest_component(masks): return masks'''),

    # ---- training and runs
    'gradients pile up': ('04_training', 'train_one_epoch', '''
        def train_one_epoch(*rest, **more):
            from unittest import mock
            with mock.patch.object(torch.optim.Optimizer, 'zero_grad', lambda *_, **__: None):
                return true(*rest, **more)'''),
    'validation trains': ('04_training', 'evaluate', '''
        def evaluate(model, *rest):
            from unittest import mock
            with mock.patch.object(torch.nn.Module, 'eval', lambda self: self.train()):
                return true(model, *rest)'''),
    'one rate for both groups': ('04_training', 'make_optimizer', '''
        def make_optimizer(model, cfg):
            optimizer = true(model, cfg)
            for group in optimizer.param_groups: group['lr'] = cfg.decoder_lr
            return optimizer'''),
    'the schedule is constant': ('04_training', 'lr_lambda', '''
        def lr_lambda(progress, *rest): return 1.'''),
    'any configuration is taken': ('04_training', '_check', 'def _check(cfg): pass'),
    'an interrupted run begins anew': ('lib/runs', '_TrainingRun', '''
        _TrainingRun.resume = lambda self, *rest: []'''),
    'a damaged checkpoint is used': ('lib/runs', '_read_checkpoint', (
        'hashlib.sha256(content[32:]).digest() != content[:32]', 'False')),
    'other settings are gone on with': ('lib/runs', '_is_done', '''
        def _is_done(run): return False'''),
    'the seed is not the run\'s': ('lib/runs', '_describe', '''
        def _describe(cfg, data, parts, seed, weights):
            return true(cfg, data, parts, 0, weights)'''),

    # ---- comparison
    'ties count as better': ('05_comparison', 'paired_test', '''
        def paired_test(first, second):
            result = true(first, second)
            result['better'] = int((second >= first).sum())
            return result'''),
    'an interval of single images': ('05_comparison', 'bootstrap_interval', '''
        def bootstrap_interval(values):
            low, high = np.quantile(values, [.025, .975])
            return float(low), float(high)'''),
    'the verdict is decided too early': ('05_comparison', 'verdict', (
        'not (low > 0 or high < 0)', 'False')),
    'runs on other images are compared': ('05_comparison', '_check_images', '''
        def _check_images(*rest): pass'''),
    'published numbers beside other data': ('05_comparison', '_on_isic2016', '''
        def _on_isic2016(run): return True'''),

    # ---- masks
    'a corrected mask is overwritten': ('lib/masks', 'save_mask', '''
        def save_mask(mask, file, known='', keep=False): return true(mask, file, known)'''),
    'masks of other weights count as done': ('lib/masks', '_how', '''
        def _how(*rest):
            how = true(*rest)
            how.made_with = 'the same'
            return how'''),

    # ---- report and release
    'the soft IoU is filled with IoU': ('lib/report', '_section', '''
        def _section(runs, metric, name): return true(runs, 'iou', name)'''),
    'a small last batch counts as a whole one': ('lib/report', '_sweep', (
        '*len(positions)', '*len(test)/2')),
    'the card scores what is not in the folder': ('lib/release', 'pack', (
        "model = load_model(folder/'model.safetensors')", 'model = run.model()')),
    'a page holds its numbers the other way round': ('lib/page', '_packed', ("'<f2'", "'>f2'")),
    'an ONNX file that differs is written': ('lib/release', 'export_onnx', ('<= 1e-5', '<= 1e3')),

    # ---- the rest
    'test images are training images': ('lib/synthetic', 'image_seed', '''
        def image_seed(seed, test, i): return true(seed, False, i)'''),
    'every answer is right': ('lib/exercises', 'check', '''
        def check(answer, *rest):
            print('Right.')
            return True'''),
    'an error ends in a traceback': ('lib/cli', '_command', (
        "if os.environ.get('LESIONSEG_DEBUG'): raise", 'raise')),
}

QUICK = ["batch_iou's divisor", 'no mirror images', 'ties count as better'] # those of the tests


def cell_of(notebook, name):
    "The cell that defines a function or a class, an exported one before others."
    cells = [cell for cell in notebook['cells'] if cell['cell_type'] == 'code'
             and re.search(rf'^(def|class) {name}\b', ''.join(cell['source']), re.M)]
    exported = [cell for cell in cells if '#| export' in ''.join(cell['source'])]
    return (exported + cells)[0]


def break_notebook(fault, root):
    "Put a fault into the copy of the project in `root`."
    home, name, how = BROKEN[fault]
    path = root/f'nbs/{home}.ipynb'
    notebook = json.loads(path.read_text())
    cell = cell_of(notebook, name)
    source = ''.join(cell['source'])
    if isinstance(how, tuple):
        right, wrong = how
        assert source.count(right) == 1, f'{right} must stand once in the cell of {name}'
        cell['source'] = source.replace(right, wrong)
    else:
        indent = re.search(r'^ *(?=\S)', how, re.M)[0]
        lines = [line.removeprefix(indent) for line in how.strip('\n').splitlines()]
        cell['source'] = '\n'.join([source.rstrip(), f'\ntrue = {name}', *lines])
    path.write_text(json.dumps(notebook))


def copy_project(root):
    "A copy of what the tests need, with a cache of its own."
    unneeded = shutil.ignore_patterns('__pycache__', '.ipynb_checkpoints', 'runs', '_*proc')
    for folder in 'lesionseg', 'nbs', 'tests':
        shutil.copytree(ROOT/folder, root/folder, ignore=unneeded)
    for file in 'settings.ini', 'setup.py', 'README.md': shutil.copy(ROOT/file, root)


def is_noticed(fault, root):
    "Do the tests of its notebook fail when a copy of the project in `root` has the fault?"
    copy_project(root)
    break_notebook(fault, root)
    env = {key: value for key, value in os.environ.items() if not key.startswith('LESIONSEG_')}
    env |= {'PYTHONPATH': str(root), 'XDG_CACHE_HOME': str(root/'cache')}
    options = {'cwd': root, 'env': env, 'capture_output': True, 'text': True}
    path = f'nbs/{BROKEN[fault][0]}.ipynb'
    export = subprocess.run(['nbdev_export', '--path', path], **options)
    assert export.returncode == 0, export.stdout + export.stderr
    try: run = subprocess.run(['nbdev_test', '--path', path, '--n_workers', '0'], **options,
                              timeout=1200)
    except subprocess.TimeoutExpired: return True
    said = run.stdout + run.stderr
    assert run.returncode in (0, 1), f'cut short ({run.returncode}): {said[-500:]}'
    return run.returncode == 1


def try_fault(fault):
    "`is_noticed` in a temporary folder, and a line about it."
    with tempfile.TemporaryDirectory() as folder:
        noticed = is_noticed(fault, Path(folder).resolve())
    color, word = (31, 'red  ') if noticed else (32, 'GREEN')
    print(f'\033[{color}m{word}\033[0m {BROKEN[fault][0]:16} {fault}', flush=True)
    return noticed


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('names', nargs='*', help='faults; none: all')
    parser.add_argument('--jobs', type=int, default=1, help='how many to try at a time')
    args = parser.parse_args()
    names = args.names or list(BROKEN)
    with ThreadPoolExecutor(args.jobs) as pool:
        noticed = dict(zip(names, pool.map(try_fault, names)))
    print(f'{sum(noticed.values())} of {len(noticed)} noticed')
    sys.exit(not all(noticed.values()))


if __name__ == '__main__': main()

"What the notebooks cannot test themselves: the repository, the shell, several processes, and processes that are killed."
import ast, importlib.util, json, os, re, resource, shutil, signal, subprocess, sys, time
from pathlib import Path

import numpy as np, pandas as pd, pytest, torch
from PIL import Image

ROOT = Path(__file__).parent.parent
NOTEBOOKS = sorted((ROOT/'nbs').glob('*.ipynb'))


def shell(*command, **options):
    "Run a command and return what it said."
    return subprocess.run([str(word) for word in command], capture_output=True, text=True, cwd=ROOT, **options)


# ---- the repository -------------------------------------------------------------------------------------------------

def contents(): return {path: path.read_bytes() for folder in ('nbs', 'lesionseg') for path in (ROOT/folder).glob('*.*') if path.is_file()}


@pytest.mark.parametrize('command', ['nbdev_clean', 'nbdev_export'])
def test_leaves_no_difference(command):
    before = contents()
    assert shell(command).returncode == 0
    after = contents()
    assert sorted(path.name for path in after if after[path] != before.get(path)) == []


def test_readme_is_current():
    spec = importlib.util.spec_from_file_location('readme', ROOT/'.ci/readme.py')
    readme = importlib.util.module_from_spec(spec); spec.loader.exec_module(readme)
    assert list(readme.stale()) == []


def shows(source):
    "Does a cell end in a value that Jupyter shows?"
    last = (ast.parse(source).body or [None])[-1]
    if not isinstance(last, ast.Expr) or source.rstrip().endswith(';') or re.match(r'#\| *(hide|export|slow|eval: false)', source): return False
    return not isinstance(last.value, ast.Call) or getattr(last.value.func, 'attr', None) in ('round', 'head', 'describe')


@pytest.mark.parametrize('path', NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_reads_well(path):
    "Outputs are there, and none of them is an error, a warning or a path of the machine it ran on."
    notebook = json.loads(path.read_text())
    code = [cell for cell in notebook['cells'] if cell['cell_type'] == 'code']
    outputs = [output for cell in code for output in cell['outputs']]
    assert outputs
    assert [''.join(cell['source'])[-60:] for cell in code if shows(''.join(cell['source'])) and not cell['outputs']] == []
    assert [o for o in outputs if o['output_type'] == 'error' or o.get('name') == 'stderr'] == []
    assert re.findall(r'/(?:home|root|tmp|Users|work)/.{,40}', json.dumps(outputs)) == []
    assert 'widgets' not in notebook['metadata'] and 'widget-view' not in json.dumps(outputs), 'run python .ci/still.py'
    assert [''.join(cell['source'])[:60] for cell in code if len(cell['source']) > 30] == []


def test_notebooks_as_tests():
    "The README's second command."
    command = next(line for line in (ROOT/'README.md').read_text().splitlines() if line.endswith('nbdev_test'))
    start = time.time()
    run = shell('bash', '-c', command)
    print(run.stdout[-5000:], run.stderr[-5000:])
    assert run.returncode == 0
    print(f'{command}: {time.time() - start:.0f} s')


BROKEN = { # a wrong formula: notebook, what is there, what is put in its place
    'IoU': ('03_metrics', '_ratio(overlap, predicted + true - overlap)', '_ratio(overlap, predicted + true)'),
    'HD95': ('03_metrics', 'np.percentile(to_b[a], 95)', 'np.percentile(to_b[a], 50)'),
    'own size': ('03_metrics', "mode='bilinear', antialias=True", "mode='nearest'"),
    'calibration': ('03_metrics', '(table.probability - table.frequency).abs()', '(table.probability - table.frequency)'),
    'bootstrap': ('06_statistics', '[(1-confidence)/2, (1+confidence)/2]', '[(1-confidence), confidence]'),
    'effect': ('06_statistics', '(np.sign(moved)*ranks).sum()', 'np.sign(moved).sum()'),
    'Wilcoxon': ('06_statistics', 'stats.wilcoxon(difference)', "stats.wilcoxon(difference, alternative='greater')"),
    'augmentation': ('01_dataset', 'angle.cos()*across, -angle.sin()*down', 'angle.cos()*across, angle.sin()*down'),
    'flips': ('04_model', 'predict(model, images.flip(axes)).flip(axes)', 'predict(model, images.flip(axes))'),
    'folding': ('04_model', 'fuse_conv_bn_eval(layer[i-1], layer[i],', 'fuse_conv_bn_eval(layer[i-1], nn.BatchNorm2d(layer[i].num_features).eval(),'),
    'one run': ('06_statistics', 'if min(seeds) == 1', 'if max(seeds) == 1'),
    'smaller': ('05_training', 'max(32, 3*n//4//32*32)', 'max(32, n//32*32)'),
    'cross-examination': ('21_what_is_missing', 'best_threshold(a, masks), best_threshold(b, masks)', 'best_threshold(a, masks), best_threshold(a, masks)'),
    'two levels': ('06_statistics', 'drawn = rng.integers(of_picture.shape[1], size=of_picture.shape)', 'drawn = np.zeros(of_picture.shape, int)'),
}


@pytest.mark.parametrize('formula', BROKEN)
def test_a_broken_notebook_is_red(formula, tmp_path):
    "The tests are able to fail: a wrong formula turns nbdev_test red."
    name, right, wrong = BROKEN[formula]
    source = (ROOT/f'nbs/{name}.ipynb').read_text()
    broken = source.replace(json.dumps(right)[1:-1], json.dumps(wrong)[1:-1])
    assert broken != source
    shutil.copy(ROOT/'settings.ini', tmp_path)
    for folder in 'lesionseg', 'nbs/results': shutil.copytree(ROOT/folder, tmp_path/folder)
    (tmp_path/f'nbs/{name}.ipynb').write_text(broken)
    run = subprocess.run(['nbdev_test', '--path', f'nbs/{name}.ipynb'], cwd=tmp_path, capture_output=True, text=True)
    assert run.returncode != 0 and 'AssertionError' in run.stdout + run.stderr


# ---- a tiny data set, and a run of a few seconds --------------------------------------------------------------------

@pytest.fixture
def data(tmp_path):
    "A folder with eight training and four test pictures."
    root, (y, x) = tmp_path/'data', np.mgrid[:72, :96]
    for i in range(12):
        split = 'train' if i < 8 else 'test'
        for folder in split, f'{split}_masks': (root/folder).mkdir(parents=True, exist_ok=True)
        disc = (x - 40 - i)**2 + (y - 36)**2 < (15 + i)**2
        Image.fromarray(np.where(disc[..., None], (110, 70, 50), (225, 180, 165)).astype('uint8')).save(root/split/f'ISIC_{i:07d}.jpg')
        Image.fromarray((disc*255).astype('uint8')).save(root/f'{split}_masks'/f'ISIC_{i:07d}_Segmentation.png')
    return root


def train(data, out, *flags, epochs=3):
    return ['lesionseg_train', '--data', data, '--out', out, '--weights', 'none', '--batch_size', '4', '--epochs', epochs, *flags]


def history(out): return pd.read_csv(out/'history.csv').drop(columns=['train_seconds', 'seconds'])


def wait_for_epoch(process, out, epoch):
    "Wait until a training process has finished an epoch."
    for _ in range(1200):
        if process.poll() is not None: raise AssertionError(f'ended early: {process.communicate()}')
        if (out/f'checkpoint/epoch_{epoch:04d}').is_dir(): return
        time.sleep(.05)
    raise AssertionError('took too long')


def start(*command):
    "A process that can be interrupted, even if these tests run in the background, where Ctrl-C is ignored."
    return subprocess.Popen([str(word) for word in command], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler))


def test_killed_run_resumes_exactly(data, tmp_path):
    whole, cut = tmp_path/'whole', tmp_path/'cut'
    assert shell(*train(data, whole, epochs=6)).returncode == 0
    process = start(*train(data, cut, epochs=6))
    wait_for_epoch(process, cut, 2)
    process.kill(); process.wait()
    assert not (cut/'scores.csv').exists()
    assert shell(*train(data, cut, epochs=6)).returncode == 0
    pd.testing.assert_frame_equal(history(cut), history(whole), check_exact=True)
    assert (cut/'scores.csv').read_text() == (whole/'scores.csv').read_text()
    assert [path.name for path in (cut/'checkpoint').iterdir()] == ['epoch_0006']


def test_interrupted_run_keeps_finished_epochs(data, tmp_path):
    out = tmp_path/'run'
    process = start(*train(data, out, epochs=200))
    wait_for_epoch(process, out, 2)
    process.send_signal(signal.SIGINT)
    said, complained = process.communicate(timeout=120)
    assert process.returncode == 130 and 'Traceback' not in complained
    assert re.search(r'Stopped after \d+ of 200 epochs', said)
    assert len(history(out)) >= 2 and (out/'model.safetensors').is_file()


def test_finished_run_is_left_alone(data, tmp_path):
    out = tmp_path/'run'
    assert shell(*train(data, out, epochs=1)).returncode == 0
    before = (out/'model.safetensors').stat().st_mtime_ns
    assert shell(*train(data, out, epochs=1)).returncode == 0
    assert (out/'model.safetensors').stat().st_mtime_ns == before
    other = shell(*train(data, out, epochs=2))
    assert other.returncode == 1 and 'holds another run (epochs 1 instead of 2)' in other.stderr


def test_two_processes(data, tmp_path):
    out = tmp_path/'run'
    command = train(data, out, epochs=3)
    run = shell('torchrun', '--nproc_per_node', '2', shutil.which(command[0]), *command[1:])
    assert run.returncode == 0, run.stderr[-3000:]
    assert run.stdout.count('The run is in') == 1
    assert json.loads((out/'config.json').read_text())['made_with']['processes'] == 2
    assert len(history(out)) == 3 and len(pd.read_csv(out/'scores.csv')) == 4
    assert [path.name for path in (out/'checkpoint').iterdir()] == ['epoch_0003']


def test_compare_evaluate_visualize(data, tmp_path):
    out = tmp_path/'compare'
    run = shell('lesionseg_compare', '--data', data, '--out', out, '--weights', 'none', '--batch_size', '4', '--epochs', '1',
                '--modes', 'feature_extraction', 'finetuning', 'ours')
    assert run.returncode == 0, run.stderr
    assert '0.7239' in run.stdout and 'feature extraction' in run.stdout and ' ours ' in run.stdout and 'Traceback' not in run.stderr
    assert {'table.csv', 'curves.png', 'scores.png', 'gallery.png', 'thresholds.png', 'thresholds.csv', 'report.html'} <= {path.name for path in out.iterdir()}
    run = shell('lesionseg_evaluate', '--model_path', out/'finetuning-seed0', '--data', data, '--out', tmp_path/'scores.csv')
    assert run.returncode == 0 and 'soft_iou' in run.stdout and len(pd.read_csv(tmp_path/'scores.csv')) == 4
    run = shell('lesionseg_visualize', '--model_path', out/'finetuning-seed0', '--compare_model', out/'feature_extraction-seed0/model.safetensors',
                '--data', data, '--threshold', '0.4', '--indices', '0', '2', '--out', tmp_path/'gallery.png')
    assert run.returncode == 0 and Image.open(tmp_path/'gallery.png').width > 500


# ---- bad input ends in one sentence, and leaves nothing behind ------------------------------------------------------

IMAGE, MASK = 'train/ISIC_0000003.jpg', 'train_masks/ISIC_0000003_Segmentation.png'


def saved(picture, name): return lambda root: picture.save(root/name)


BAD = { # what is done to the data set, and what the sentence must contain
    'no such folder': (lambda root: shutil.rmtree(root), 'is no folder'),
    'empty folder': (lambda root: [path.unlink() for path in (root/'train').iterdir()], 'holds no picture'),
    'image without mask': (lambda root: (root/MASK).unlink(), 'ISIC_0000003.jpg has no mask'),
    'mask without image': (lambda root: (root/IMAGE).unlink(), 'ISIC_0000003_Segmentation.png has no picture'),
    'two masks': (lambda root: shutil.copy(root/MASK, root/'train_masks/ISIC_0000003.png'), 'are both for ISIC_0000003'),
    'different size': (saved(Image.new('RGB', (90, 72)), IMAGE), 'must have the same size'),
    'truncated JPEG': (lambda root: (root/IMAGE).write_bytes((root/IMAGE).read_bytes()[:-300]), 'ISIC_0000003.jpg cannot be read'),
    'text called .jpg': (lambda root: (root/IMAGE).write_text('hello'), 'ISIC_0000003.jpg is no picture'),
    '0 bytes': (lambda root: (root/IMAGE).write_bytes(b''), 'ISIC_0000003.jpg is empty'),
    'grey mask': (saved(Image.linear_gradient('L').resize((96, 72)), MASK), 'grey values'),
    'mask all background': (saved(Image.new('L', (96, 72)), MASK), 'is all background'),
    'bomb': (saved(Image.new('1', (30_000, 30_000), 1), MASK), 'more than 100,000,000 pixels'),
}


@pytest.mark.parametrize('name', BAD)
def test_bad_data(name, data, tmp_path, monkeypatch):
    from lesionseg import cli
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path/'cache'))
    change, expected = BAD[name]
    change(data)
    with pytest.raises(SystemExit) as end: cli.train.__wrapped__(data=str(data), out=str(tmp_path/'run'), weights='none', epochs=1)
    sentence = str(end.value)
    assert expected in sentence and 'data' in sentence and '\n' not in sentence
    assert not (tmp_path/'run').exists()
    assert not [path for path in (tmp_path/'cache').rglob('*') if path.is_file() and 'tmp' in path.name]


@pytest.mark.parametrize('mode', ['RGBA', 'P', 'L', 'CMYK', '16 bits'])
def test_readable_pictures_are_read(mode, data, tmp_path, monkeypatch):
    from lesionseg.dataset import load_data
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path/'cache'))
    picture = Image.open(data/IMAGE); (data/IMAGE).unlink()
    picture = Image.fromarray(np.asarray(picture.convert('L')).astype('uint16')*257) if mode == '16 bits' else picture.convert(mode)
    picture.save(data/'train'/('ISIC_0000003.tif' if mode == 'CMYK' else 'ISIC_0000003.png'))
    assert len(load_data(data, valid_fraction=0).train) == 8


class Prank:
    def __reduce__(self): return (os.system, ('touch pranked',))


def test_bad_models(data, tmp_path, monkeypatch):
    from torchvision.models import resnet18
    from safetensors.torch import save_file
    from lesionseg import cli
    monkeypatch.chdir(tmp_path)
    torch.save({'a': Prank()}, tmp_path/'prank.pth')
    save_file(resnet18().state_dict(), tmp_path/'resnet.safetensors')
    torch.save(resnet18().state_dict(), tmp_path/'resnet.pth')
    for file, expected in ('prank.pth', 'might run a program'), ('resnet.safetensors', 'another architecture'), ('none.safetensors', 'is no file'):
        with pytest.raises(SystemExit, match=f'{file}.*{expected}'): cli.evaluate.__wrapped__(str(tmp_path/file), data=str(data))
    for file, expected in ('prank.pth', 'might run a program'), ('resnet.pth', 'holds no weights for MobileNetV2'):
        with pytest.raises(SystemExit, match=f'{file}.*{expected}'): cli.train.__wrapped__(data=str(data), out=str(tmp_path/'run'), weights=str(tmp_path/file), epochs=1)
    assert not (tmp_path/'pranked').exists() and not (tmp_path/'run').exists()


@pytest.mark.parametrize('flags, expected', [(dict(epochs=0), 'epochs is 0'), (dict(mode='fastest'), "'fastest' is no mode"), (dict(seed=-1), 'seed is -1'),
                                             (dict(batch_size=1), 'batch_size is 1')])
def test_bad_flags(flags, expected, data, tmp_path):
    from lesionseg import cli
    with pytest.raises(SystemExit, match=expected): cli.train.__wrapped__(**{'data': str(data), 'out': str(tmp_path/'run'), 'weights': 'none', 'epochs': 1, **flags})
    assert not (tmp_path/'run').exists()


def test_from_the_shell_it_is_one_sentence(data, tmp_path):
    run = shell('lesionseg_train', '--data', tmp_path/'nowhere', '--epochs', '1')
    assert run.returncode == 1 and run.stdout == ''
    assert run.stderr == f"lesionseg_train: {tmp_path/'nowhere'} is no folder: give the one that holds train, train_masks, test and test_masks.\n"
    run = shell(*train(data, ROOT/'README.md'/'run', epochs=1))
    assert run.returncode == 1 and 'cannot be written' in run.stderr and 'Traceback' not in run.stderr


@pytest.mark.parametrize('command', ['download', 'train', 'evaluate', 'visualize', 'compare'])
def test_help(command):
    run = shell(f'lesionseg_{command}', '--help')
    assert run.returncode == 0 and 'show this help' in run.stdout


def test_full_disk(data, tmp_path):
    "A limit on the size of files stands in for a full disk: the model (15 MB) does not fit."
    out, limit = tmp_path/'run', 5_000_000
    run = shell(*train(data, out, epochs=1), preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)))
    assert run.returncode == 1 and 'cannot be written' in run.stderr and 'Traceback' not in run.stderr, run.stderr
    assert not (out/'model.safetensors').exists() and not (out/'scores.csv').exists()
    assert shell(*train(data, out, epochs=1)).returncode == 0


# ---- the real thing, where it is at hand ----------------------------------------------------------------------------

@pytest.mark.skipif('REAL_DATA' not in os.environ, reason='no real data at hand')
def test_real_data(tmp_path):
    out = tmp_path/'run'
    run = shell('lesionseg_train', '--epochs', '1', '--out', out,
                env=os.environ | {'LESIONSEG_DATA': os.environ['REAL_DATA'], 'LESIONSEG_WEIGHTS': os.environ['REAL_WEIGHTS']})
    assert run.returncode == 0, run.stderr[-3000:]
    config = json.loads((out/'config.json').read_text())
    assert config['data']['train']['pictures'] == 846 and len(pd.read_csv(out/'scores.csv')) == 379
    committed = json.loads(next((ROOT/'nbs/results').glob('*/finetuning-seed0/config.json')).read_text())
    assert config['data']['test']['fingerprint'] == committed['data']['test']['fingerprint']

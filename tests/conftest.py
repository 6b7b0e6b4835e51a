"What the tests share: the checkout, a shell, a tiny data set, and runs of a few seconds."
import json, signal, subprocess, time
from pathlib import Path

import numpy as np, pandas as pd, pytest
from PIL import Image

ROOT = Path(__file__).parent.parent
NOTEBOOKS = sorted((ROOT/'nbs').rglob('*.ipynb'))
NOTEBOOKS = [path for path in NOTEBOOKS if '.ipynb_checkpoints' not in path.parts]
IMAGE, MASK = 'train/ISIC_0000003.jpg', 'train_masks/ISIC_0000003_Segmentation.png'


def shell(*command, **options):
    "Run a command and return what it said."
    words = [str(word) for word in command]
    return subprocess.run(words, **{'capture_output': True, 'text': True, 'cwd': ROOT} | options)


def code_cells(path):
    "The code cells of a notebook, each with its source as one text."
    cells = json.loads(path.read_text())['cells']
    return [cell | {'text': ''.join(cell['source'])} for cell in cells
            if cell['cell_type'] == 'code']


def draw_data(root):
    "A folder with eight training and four test images."
    y, x = np.mgrid[:72, :96]
    for i in range(12):
        split = 'train' if i < 8 else 'test'
        disc = (x - 40 - i)**2 + (y - 36)**2 < (15 + i)**2
        image = np.where(disc[..., None], (110, 70, 50), (225, 180, 165)).astype('uint8')
        for folder in split, f'{split}_masks': (root/folder).mkdir(parents=True, exist_ok=True)
        mask = root/f'{split}_masks'/f'ISIC_{i:07d}_Segmentation.png'
        Image.fromarray(image).save(root/split/f'ISIC_{i:07d}.jpg')
        Image.fromarray((disc*255).astype('uint8')).save(mask)
    return root


@pytest.fixture
def data(tmp_path): return draw_data(tmp_path/'data')


def train(data, out, *flags, epochs=3):
    "The command that trains on `data` for a few seconds."
    return ['lesionseg_train', '--data', data, '--out', out, '--weights', 'none',
            '--batch_size', '4', '--epochs', epochs, *flags]


def history(out):
    "The history of a run without its times."
    return pd.read_csv(out/'history.csv').drop(columns=['train_seconds', 'seconds'])


def checkpoints(out):
    return sorted(path.stem for path in (out/'checkpoint').glob('epoch_*.pt'))


def start(*command):
    "A process that Ctrl-C reaches, even if the tests run in the background, where it is ignored."
    def listen(): signal.signal(signal.SIGINT, signal.default_int_handler)
    return subprocess.Popen([str(word) for word in command], cwd=ROOT, text=True, preexec_fn=listen,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def wait_for_epoch(process, out, epoch):
    "Wait until a training process has finished an epoch."
    for _ in range(2400):
        if process.poll() is not None: raise AssertionError(f'ended early: {process.communicate()}')
        if any(int(name[6:]) >= epoch for name in checkpoints(out)): return
        time.sleep(.05)
    raise AssertionError('took too long')

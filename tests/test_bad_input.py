"Bad input ends in one sentence that names the file, and leaves nothing behind."
import os, shutil
from dataclasses import replace

import numpy as np, pytest, torch
from PIL import Image

from conftest import IMAGE, MASK, shell


def saved(image, name): return lambda root: image.save(root/name)


BAD = { # what is done to the data set, and what the sentence must contain
    'no such folder': (lambda root: shutil.rmtree(root), 'is no folder'),
    'empty folder': (
        lambda root: [path.unlink() for path in (root/'train').iterdir()], 'has no image called'),
    'image without mask': (lambda root: (root/MASK).unlink(), 'ISIC_0000003.jpg has no mask'),
    'mask without image': (
        lambda root: (root/IMAGE).unlink(), 'ISIC_0000003_Segmentation.png has no image'),
    'two masks': (
        lambda root: shutil.copy(root/MASK, root/'train_masks/ISIC_0000003.png'),
        'are both for ISIC_0000003'),
    'different size': (saved(Image.new('RGB', (90, 72)), IMAGE), 'same size'),
    'truncated JPEG': (
        lambda root: (root/IMAGE).write_bytes((root/IMAGE).read_bytes()[:-300]),
        'ISIC_0000003.jpg cannot be read'),
    'text called .jpg': (
        lambda root: (root/IMAGE).write_text('hello'), 'ISIC_0000003.jpg cannot be read'),
    '0 bytes': (lambda root: (root/IMAGE).write_bytes(b''), 'ISIC_0000003.jpg cannot be read'),
    'grey mask': (saved(Image.linear_gradient('L').resize((96, 72)), MASK), 'grey values'),
    'mask all background': (saved(Image.new('L', (96, 72)), MASK), 'all background'),
    'bomb': (saved(Image.new('1', (30_000, 30_000), 1), MASK), 'exceeds limit'),
}


@pytest.mark.parametrize('name', BAD)
def test_bad_data(name, data, tmp_path, monkeypatch):
    from lesionseg import cli
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path/'cache'))
    change, expected = BAD[name]
    change(data)
    with pytest.raises(SystemExit) as end:
        cli.train.__wrapped__(data=str(data), out=str(tmp_path/'run'), weights='none', epochs=1)
    sentence = str(end.value)
    assert expected in sentence and 'data' in sentence and '\n' not in sentence
    assert not (tmp_path/'run').exists()
    left = [path for path in (tmp_path/'cache').rglob('*') if path.is_file() and 'tmp' in path.name]
    assert left == []


@pytest.mark.parametrize('mode', ['RGBA', 'P', 'L', 'CMYK', '16 bits'])
def test_readable_images_are_read(mode, data, tmp_path, monkeypatch):
    from lesionseg.data import load_data
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path/'cache'))
    image = Image.open(data/IMAGE)
    (data/IMAGE).unlink()
    if mode == '16 bits':
        image = Image.fromarray(np.asarray(image.convert('L')).astype('uint16')*257)
    else: image = image.convert(mode)
    image.save(data/'train'/('ISIC_0000003.tif' if mode == 'CMYK' else 'ISIC_0000003.png'))
    assert len(load_data(data).train) == 8


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

    cases = {'prank.pth': 'might run a program', 'resnet.safetensors': 'another architecture',
             'none.safetensors': 'is no file'}
    for file, expected in cases.items():
        with pytest.raises(SystemExit, match=f'{file}.*{expected}'):
            cli.evaluate.__wrapped__(str(tmp_path/file), data=str(data))
    cases = {'prank.pth': 'might run a program', 'resnet.pth': 'holds no weights for MobileNetV2'}
    for file, expected in cases.items():
        with pytest.raises(SystemExit, match=f'{file}.*{expected}'):
            cli.train.__wrapped__(data=str(data), out=str(tmp_path/'run'), epochs=1,
                                  weights=str(tmp_path/file))
    assert not (tmp_path/'pranked').exists() and not (tmp_path/'run').exists()


@pytest.mark.parametrize('flags, expected', [
    (dict(epochs=0), 'epochs is 0'), (dict(mode='fastest'), "'fastest' is no mode"),
    (dict(seed=-1), 'seed is -1'), (dict(batch_size=1), 'batch_size is 1')])
def test_bad_flags(flags, expected, data, tmp_path):
    from lesionseg import cli
    usual = {'data': str(data), 'out': str(tmp_path/'run'), 'weights': 'none', 'epochs': 1}
    with pytest.raises(SystemExit, match=expected): cli.train.__wrapped__(**usual | flags)
    assert not (tmp_path/'run').exists()


def test_a_bad_seed_is_refused_before_the_first_run(data, tmp_path):
    from lesionseg import cli
    with pytest.raises(SystemExit, match='seed is 5000'):
        cli.compare.__wrapped__(data=str(data), out=str(tmp_path/'runs'), seeds=[0, 5000], epochs=1,
                                weights='none')
    assert not (tmp_path/'runs').exists()


def test_a_damaged_model_is_refused_by_all(tmp_path, monkeypatch):
    "One flipped bit in a run's weights: no command uses them."
    from lesionseg import cli
    from lesionseg.data import load_data
    from lesionseg.runs import train_run
    from lesionseg.synthetic import synthetic_dataset
    from lesionseg.training import FINE_TUNING
    root = synthetic_dataset(tmp_path/'few', 6, 2)
    cfg = replace(FINE_TUNING, epochs=1, batch_size=3)
    run = train_run(cfg, load_data(root, 64), tmp_path/'run', None, quiet=True)
    file = run.path/'model.safetensors'
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    monkeypatch.chdir(tmp_path)
    calls = [lambda: cli.evaluate.__wrapped__('run', data=str(root)),
             lambda: cli.predict.__wrapped__([str(root/'test')], 'masks', 'run'),
             lambda: cli.export.__wrapped__('run', 'model.onnx')]
    for call in calls:
        with pytest.raises(SystemExit, match='its checksum is another'): call()
    assert not (tmp_path/'masks').exists() and not (tmp_path/'model.onnx').exists()


def test_weights_that_are_no_numbers(tmp_path):
    from lesionseg import LesionSegmenter, cli
    model = LesionSegmenter()
    model.decoder.head[0].weight.data[:] = float('nan')
    model.save_pretrained(tmp_path/'nan')
    file = next((tmp_path/'nan').glob('*.safetensors'))
    with pytest.raises(SystemExit, match='weights that are no numbers'):
        cli.evaluate.__wrapped__(str(file))


def test_a_folder_called_like_the_packaged_model(tmp_path, monkeypatch):
    from lesionseg import cli
    (tmp_path/'isic2016').mkdir()
    (tmp_path/'isic2016'/'config.json').write_text('{"train_config": 1}')
    monkeypatch.chdir(tmp_path)
    assert cli._load_model('isic2016').size == 192


def test_from_the_shell_it_is_one_sentence(tmp_path):
    run = shell('lesionseg_train', '--data', tmp_path/'nowhere', '--epochs', '1')
    assert run.returncode == 1 and run.stdout == ''
    assert run.stderr.startswith(f"lesionseg_train: {tmp_path/'nowhere'} is no folder")
    assert run.stderr.count('\n') == 1

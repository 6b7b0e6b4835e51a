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
        'ISIC_0000003.jpg cannot be used'),
    'text called .jpg': (
        lambda root: (root/IMAGE).write_text('hello'), 'ISIC_0000003.jpg cannot be used'),
    '0 bytes': (lambda root: (root/IMAGE).write_bytes(b''), 'ISIC_0000003.jpg cannot be used'),
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
             'none.safetensors': 'No such file'}
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
    from lesionseg.weights import save_model
    model = LesionSegmenter()
    model.decoder.head[0].weight.data[:] = float('nan')
    file = tmp_path/'nan.safetensors'
    save_model(model, file)
    with pytest.raises(SystemExit, match='weights that are no numbers'):
        cli.evaluate.__wrapped__(str(file))


def test_a_folder_called_like_the_packaged_model(tmp_path, monkeypatch):
    from lesionseg import LesionSegmenter
    (tmp_path/'isic2016').mkdir()
    (tmp_path/'isic2016'/'config.json').write_text('{"train_config": 1}')
    monkeypatch.chdir(tmp_path)
    assert LesionSegmenter.from_pretrained('isic2016').size == 192


def test_from_the_shell_it_is_one_sentence(tmp_path):
    run = shell('lesionseg_train', '--data', tmp_path/'nowhere', '--epochs', '1')
    assert run.returncode == 1 and run.stdout == ''
    assert run.stderr.startswith(f"lesionseg_train: {tmp_path/'nowhere'} is no folder")
    assert run.stderr.count('\n') == 1


# ---- what people, mounts and other programs bring, by kind

def refusal(call, *args, **given):
    "The sentence that a call ends in."
    from lesionseg import LesionsegError
    with pytest.raises((LesionsegError, ValueError, TypeError, KeyError, SystemExit)) as end:
        call(*args, **given)
    return str(end.value)


def redraw(root, images='images/{}.jpg', masks='masks/{}.png', how=lambda mask: mask):
    "The same pairs without a split, under other names, masks changed."
    (root/'own').mkdir()
    for image in sorted(root.glob('t*/*.jpg')):
        id = image.stem
        mask = image.parent.with_name(f'{image.parent.name}_masks')/f'{id}_Segmentation.png'
        for file, made in ((images, Image.open(image)), (masks, how(Image.open(mask)))):
            path = root/'own'/file.format(id)
            path.parent.mkdir(parents=True, exist_ok=True)
            made.save(path)
    return root/'own'


@pytest.mark.parametrize('mask', [
    '_lesion_mask.png', '.mask.png', '(mask).png', '_mask01.png', '_ground truth.png', '.pbm',
    '.tga', '.jpg.png', '_annotation-1.png'])
def test_masks_under_other_names(mask, data):
    from lesionseg.files import find_files
    own = redraw(data, masks=f'masks/{{}}{mask}')
    assert find_files(own)[1].startswith('12 pairs: 7 train, 0 valid, 5 test by a seeded hash')


@pytest.mark.parametrize('name', ['mask_{}.png', 'GT-{}.png'])
def test_masks_with_the_word_in_front(name, data):
    from lesionseg.files import find_pairs
    assert len(find_pairs(redraw(data, masks=f'masks/{name}'), 'test')) == 5


@pytest.mark.parametrize('mask, said', [
    ('{}_M.png', 'there is ISIC_0000000.jpg, ISIC_0000000_M.png. Save masks as ISIC_0000000.png'),
    ('{}.dcm', 'ISIC_0000000.dcm (.dcm is not read)'),
    ('{}.nii.gz', 'ISIC_0000000.nii.gz (.gz is not read)')])
def test_what_is_there_is_named(mask, said, data):
    from lesionseg.files import find_files
    own = redraw(data)
    for file in (own/'masks').iterdir(): file.rename(file.with_name(mask.format(file.stem)))
    assert said in refusal(find_files, own)


@pytest.mark.parametrize('head, line', [
    ('ID,Part', '{},{}'), ('id, part', '{}, {}'), ('id;part;;', '{}.jpg;{};;'),
    ('id\tpart', '{}\t{}')])
def test_tables_as_spreadsheets_write_them(head, line, data):
    from lesionseg.files import find_pairs
    own = redraw(data)
    ids = sorted(file.stem for file in (own/'images').iterdir())
    rows = [line.format(id, 'train' if i < 8 else 'test') for i, id in enumerate(ids)]
    (own/'Split.csv').write_text('\n'.join([head, *rows, '']))
    assert [pair.id for pair in find_pairs(own, 'test')] == ids[8:]


def labels(mask): # the left half 2, the right half 1
    where = np.asarray(mask) > 127
    return where*(1 + (np.arange(where.shape[1]) < where.shape[1]//2)).astype('uint8')


def border(mask): # a void border of 255
    where = np.asarray(mask) > 127
    return np.where(np.roll(where, 2, 1) != where, 255, where).astype('uint8')


def colors(mask): # two colors of lesion
    return np.array([[0, 0, 0], [255, 0, 0], [0, 0, 255]], 'uint8')[labels(mask)]


@pytest.mark.parametrize('how, said', [
    (labels, "holds the values 0, 1, 2: save it as black and white, or allow what is lesion, such "
             "as 'lesion="),
    (border, "holds the values 0, 1, 255: save it as black and white, or allow what is lesion, "
             "such as 'lesion=1'"),
    (colors, "holds the values 0, 29.07, 76.245"),
    (lambda mask: np.full((72, 96, 3), (200, 150, 120), 'uint8') + np.arange(40, dtype='uint8')[
        np.random.default_rng(0).integers(0, 40, (72, 96, 1))], 'it may be a photograph')])
def test_advice_names_the_flag_that_is_right(how, said, data):
    from lesionseg.data import load_data
    own = redraw(data, how=lambda mask: Image.fromarray(how(mask)))
    for allow in '', 'grey': assert said in refusal(load_data, own, 64, allow=allow)
    if how is colors:
        loaded = load_data(own, 64, allow='lesion=29.07,lesion=76.245')
        assert (loaded.train.pixels[..., 3].mean((1, 2)) > .05).all()
    assert 'is lesion): mark the lesion' in refusal(load_data, own, 64, allow='lesion=77')


def outline(mask):
    from scipy.ndimage import binary_erosion
    where = np.asarray(mask) > 127
    return Image.fromarray(where & ~binary_erosion(where, iterations=2))


def speck(mask):
    where = np.zeros((72, 96), 'uint8')
    where[30, 40] = 255
    return Image.fromarray(where)


def test_an_outline_and_a_lesion_that_vanishes(data):
    from lesionseg.data import load_data
    loaded = load_data(redraw(data, how=outline), 64)
    assert any('are outlines, not areas: fill them: 7' in note for note in loaded.notes)
    shutil.rmtree(data/'own')
    big = load_data(redraw(data, how=speck), 32)
    assert 'kept as one pixel' in ' '.join(big.notes)
    assert (big.train.pixels[..., 3].sum((1, 2)) == 1).all() # finding nothing scores 0


def test_few_test_images_are_told(data):
    from lesionseg.data import load_data
    assert 'few test images: --folds 5 judges all' in load_data(data, 64).notes[0]


def test_nonsense_is_refused_in_python(data):
    from lesionseg import LesionSegmenter, metrics
    from lesionseg.data import load_data
    from lesionseg.files import find_pairs
    from lesionseg.inference import predict
    from lesionseg.training import lr_lambda, segmentation_loss
    masks = (torch.rand(2, 1, 8, 8) > .5).float()
    calls = [(metrics.iou, masks, masks[:1]), (metrics.iou, masks, masks, None),
             (metrics.hausdorff95, masks[0].expand(1, 8, 8), masks[0].expand(1, 8, 8)),
             (segmentation_loss, masks, masks, 'dice'), (lr_lambda, .5, 'cosine'),
             (find_pairs, data, 'both'), (load_data, data, 10**6), (load_data, data, 63.5)]
    network = LesionSegmenter(size=64)
    calls += [(predict, network, torch.rand(1, 3, 64, 64)*factor) for factor in (255, np.nan)]
    for call, *args in calls: assert refusal(call, *args)


def test_a_mask_is_no_photograph(data, tmp_path):
    from lesionseg.masks import segment_folder
    mask = next((data/'test_masks').iterdir())
    shutil.copy(mask, tmp_path/'x.png')
    table = segment_folder(tmp_path/'x.png', tmp_path/'out')
    assert 'black and white, a mask' in table.error[0]


def test_no_output_becomes_part_of_a_data_set(data):
    from lesionseg import cli
    said = refusal(cli.evaluate.__wrapped__, 'isic2016', data=str(data), out=str(data/'split.csv'))
    assert 'would be replaced' in said and not (data/'split.csv').exists()


@pytest.mark.parametrize('name', ['..', ' ', '../x', 'a/b', 'a\\b', 'x\x1b[31m'])
def test_names_that_are_none(name):
    from lesionseg.cli import _check_arguments
    assert 'is no name for a file' in refusal(_check_arguments, 'release', name=name)


def test_a_plain_state_dict(tmp_path):
    from lesionseg import LesionSegmenter
    torch.save(LesionSegmenter().state_dict(), tmp_path/'plain.pth')
    said = refusal(LesionSegmenter.from_pretrained, tmp_path/'plain.pth')
    assert 'lacks the settings' in said and "give a run's model.safetensors" in said


def test_a_config_of_another_shape(tmp_path):
    from lesionseg.runs import Run
    for text in '[]', '{"train_config": {"name": "x"}, "seed": 0, "data": [1]}':
        (tmp_path/'config.json').write_text(text)
        assert f'{tmp_path}/config.json cannot be used' in refusal(Run, tmp_path)


def test_the_surroundings(data, tmp_path, monkeypatch):
    "Double precision as the default, another format of figures, an old or no ipywidgets."
    import matplotlib, sys
    from lesionseg import report, widgets
    from lesionseg.data import load_data
    from lesionseg.runs import train_run
    from lesionseg.training import FINE_TUNING
    monkeypatch.setitem(matplotlib.rcParams, 'savefig.format', 'pdf')
    torch.set_default_dtype(torch.float64)
    try: run = train_run(replace(FINE_TUNING, epochs=1, batch_size=4), load_data(data, 64),
                         tmp_path/'run', None, quiet=True)
    finally: torch.set_default_dtype(torch.float32)
    report.write_report([run], tmp_path/'report')
    assert Image.open(tmp_path/'report'/'curves.png').format == 'PNG'

    import ipywidgets
    monkeypatch.setattr(ipywidgets, '__version__', '7.8.1')
    assert 'pip install -U ipywidgets' in refusal(widgets._ipywidgets)
    program = "import sys; sys.modules['ipywidgets'] = None; from lesionseg.all import *; load_data"
    assert shell(sys.executable, '-c', program).returncode == 0


def test_a_server_that_drips(tmp_path, monkeypatch):
    "A byte now and then is no answer."
    import socket, threading, time
    from lesionseg import download
    monkeypatch.setattr(download, '_TIMEOUT', (1, 1))
    server = socket.create_server(('127.0.0.1', 0))
    def drip():
        with server, server.accept()[0] as visitor:
            for _ in range(99):
                visitor.sendall(b'H')
                time.sleep(.1)
    threading.Thread(target=drip, daemon=True).start()
    address = f'http://127.0.0.1:{server.getsockname()[1]}/'
    assert 'not enough came in 1 s' in refusal(download.download_isic2016, tmp_path, address)


def test_a_twin_of_a_held_out_image_is_told(data):
    "Also where a hash holds out: an image that is there once more, smaller and of lower quality."
    from lesionseg.data import load_data
    before = load_data(data, 64)
    held_out = before.splits()[1].ids[0]
    for folder, ending in ('train', '.jpg'), ('train_masks', '_Segmentation.png'):
        image = Image.open(data/folder/f'{held_out}{ending}').resize((64, 48), Image.NEAREST)
        image.save(data/folder/f'ISIC_0000099{ending}')
    after = load_data(data, 64)
    assert 'ISIC_0000099' in after.splits()[0].ids
    assert [note for note in before.notes if 'too good' in note] == []
    assert f'(ISIC_0000099 = {held_out})' in after.notes[-1]

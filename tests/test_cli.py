"The commands, from a shell."
import json, time

import numpy as np, pandas as pd, pytest
from PIL import Image

from conftest import shell, start, train

COMMANDS = 'download train evaluate visualize compare predict convert export release'.split()


@pytest.mark.parametrize('command', COMMANDS)
def test_help(command):
    run = shell(f'lesionseg_{command}', '--help')
    assert run.returncode == 0 and 'show this help' in run.stdout


def test_compare_evaluate_visualize(data, tmp_path):
    out = tmp_path/'compare'
    run = shell('lesionseg_compare', '--data', data, '--out', out, '--weights', 'none',
                '--batch_size', '4', '--epochs', '1', '--modes', 'feature_extraction', 'finetuning',
                'tuned')
    assert run.returncode == 0, run.stderr
    assert 'feature extraction' in run.stdout and 'tuned' in run.stdout
    assert 'as published' not in run.stdout and 'Traceback' not in run.stderr
    assert [line for line in run.stdout.splitlines() if len(line) > 80 and ' | ' in line] == []
    written = {path.name for path in out.iterdir()}
    assert {'table.csv', 'curves.png', 'scores.png', 'differences.png', 'gallery.jpeg',
            'thresholds.png', 'thresholds.csv', 'report.html'} <= written

    run = shell('lesionseg_evaluate', '--model_path', out/'finetuning-seed0', '--data', data,
                '--out', tmp_path/'scores.csv')
    assert run.returncode == 0 and 'soft_iou' in run.stdout
    assert len(pd.read_csv(tmp_path/'scores.csv')) == 4
    run = shell('lesionseg_visualize', '--model_path', out/'finetuning-seed0', '--compare_model',
                out/'feature_extraction-seed0/model.safetensors', '--data', data,
                '--threshold', '0.4', '--indices', '0', '2', '--out', tmp_path/'gallery.png')
    assert run.returncode == 0 and Image.open(tmp_path/'gallery.png').width > 500


def test_a_run_of_another_size_is_scored_at_its_own(data, tmp_path):
    out = tmp_path/'run'
    assert shell(*train(data, out, '--size', '64', epochs=1)).returncode == 0
    run = shell('lesionseg_evaluate', '--model_path', out, '--data', data,
                '--out', tmp_path/'scores.csv')
    assert run.returncode == 0, run.stderr
    trained, evaluated = (pd.read_csv(path/'scores.csv') for path in (out, tmp_path))
    assert np.allclose(trained.iou, evaluated.iou, atol=1e-3)


def test_flags_arrive(data, tmp_path):
    out = tmp_path/'run'
    assert shell(*train(data, out, '--augment', epochs=1)).returncode == 0
    assert json.loads((out/'config.json').read_text())['train_config']['augment']
    means = []
    for flags in [], ['--threshold', '0.9'], ['--tta']:
        run = shell('lesionseg_evaluate', '--model_path', 'isic2016', '--data', data, *flags,
                    '--out', tmp_path/'scores.csv')
        assert run.returncode == 0, run.stderr
        means.append(pd.read_csv(tmp_path/'scores.csv')[['iou', 'soft_iou']].mean())
    plain, cut, augmented = means
    assert cut.iou != plain.iou and cut.soft_iou == plain.soft_iou
    assert augmented.soft_iou != plain.soft_iou


def photographs(folder, number=6):
    "A folder of images without masks, two of them broken, one lying on its side, two namesakes."
    (folder/'more').mkdir(parents=True)
    y, x = np.mgrid[:90, :120]
    for i in range(number):
        disc = (x - 50 - i)**2 + (y - 45)**2 < (20 + i)**2
        image = np.where(disc[..., None], (110, 70, 50), (225, 180, 165)).astype('uint8')
        Image.fromarray(image).save(folder/f'photo {i}.jpg')
    Image.fromarray(image).save(folder/'more'/'photo 0.jpg')
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(image).save(folder/'phone.jpg', exif=exif)
    (folder/'cut.jpg').write_bytes((folder/'photo 1.jpg').read_bytes()[:900])
    (folder/'text.jpg').write_text('no image')
    return folder


def test_predict_a_folder(tmp_path):
    folder, out = photographs(tmp_path/'in'), tmp_path/'out'
    before = {path: path.read_bytes() for path in folder.rglob('*.jpg')}
    run = shell('lesionseg_predict', folder, '--out', out, '--recursive', '--overlay',
                '--probability')
    assert run.returncode == 1 and 'Traceback' not in run.stderr
    assert 'cut.jpg' in run.stderr + run.stdout and 'text.jpg' in run.stderr + run.stdout
    table = pd.read_csv(out/'predictions.csv', dtype={'id': str})
    assert len(table) == 10 and table.error.notna().sum() == 2
    masks = sorted(out.rglob('*_segmentation.png'))
    assert len(masks) == 8
    assert {Image.open(mask).size for mask in masks} == {(120, 90), (90, 120)}
    assert all(set(np.unique(Image.open(mask))) <= {0, 255} for mask in masks)
    assert {path: path.read_bytes() for path in before} == before


def test_predict_goes_on_after_a_kill(tmp_path):
    folder, out = photographs(tmp_path/'in', number=400), tmp_path/'out'
    process = start('lesionseg_predict', folder, '--out', out)
    for _ in range(600):
        if len(list(out.rglob('*_segmentation.png'))) > 20 or process.poll() is not None: break
        time.sleep(.02)
    process.kill()
    process.wait()
    run = shell('lesionseg_predict', folder, '--out', out)
    assert run.returncode == 1 and 'Traceback' not in run.stderr # the two broken files
    assert len(list(out.rglob('*_segmentation.png'))) == 401
    assert len(pd.read_csv(out/'predictions.csv')) == 403
    assert not [path for path in out.rglob('*tmp*')]


def test_threshold_out_of_range_is_refused(data, tmp_path):
    for command in (['lesionseg_predict', data/'train', '--out', tmp_path/'out'],
                    ['lesionseg_evaluate', '--model_path', 'isic2016', '--data', data],
                    ['lesionseg_visualize', '--model_path', 'isic2016', '--data', data],
                    ['lesionseg_compare', '--data', data, '--out', tmp_path/'compare']):
        run = shell(*command, '--threshold', '1.5')
        assert run.returncode == 1 and 'threshold is 1.5' in run.stderr, command


def test_export(tmp_path):
    out = tmp_path/'model.onnx'
    run = shell('lesionseg_export', 'isic2016', '--out', out)
    assert run.returncode == 0, run.stderr
    import onnxruntime
    session = onnxruntime.InferenceSession(out, providers=['CPUExecutionProvider'])
    images = np.random.default_rng(0).random((3, 3, 96, 128), dtype='float32')
    assert session.run(None, {session.get_inputs()[0].name: images})[0].shape == (3, 1, 96, 128)

"Corrected masks: found, learned from, judged; and what is killed on the way goes on."
import multiprocessing, os, re, shutil, signal, sys

import numpy as np, pandas as pd, pytest
from PIL import Image
from safetensors.torch import load_file

from conftest import draw_data, shell, start, train, wait_for_epoch
from lesionseg.editor import correct
from lesionseg.masks import read_predictions, segment_folder


@pytest.fixture(scope='module')
def corrected(tmp_path_factory):
    "Eight photographs, their masks as a model of one epoch made them, six of them corrected."
    home = tmp_path_factory.mktemp('corrected')
    data = draw_data(home/'data')
    photos, masks, model = (home/name for name in ('photos', 'masks', 'model'))
    assert shell(*train(data, model, '--size', '64', epochs=1)).returncode == 0
    shutil.copytree(data/'train', photos)
    assert shell('lesionseg_predict', photos, '--out', masks, '--model', model).returncode == 0
    for mask in sorted((data/'train_masks').iterdir())[:6]:
        shutil.copy(mask, masks/mask.name.replace('_Segmentation', '_segmentation'))
    return photos, masks, model


def teach(corrected, *flags, masks=None):
    photos, folder, model = corrected
    return ['lesionseg_train', '--start', model, '--images', photos, '--masks', masks or folder,
            '--epochs', '2', '--folds', '2', *flags]


def test_a_model_is_taught(corrected, tmp_path):
    out = tmp_path/'taught'
    run = shell(*teach(corrected), '--out', out)
    assert run.returncode == 0, run.stderr
    assert 'learned from: 6' in run.stdout
    said = ' '.join(run.stdout.split())
    told = r'On 6 held-out images the mean IoU was (\S+) before and is (\S+) after'
    found = re.search(told, said)
    scores = pd.read_csv(out/'before_after.csv', header=[0, 1], index_col=0)
    means = [f'{scores[when].iou.mean():.3f}' for when in ('before', 'after')]
    assert [*found.groups()] == means and len(scores) == 6
    better = means[1] > means[0]
    assert ('The taught model is in' in said) == better and ('kept, is in' in said) != better

    photos, _, model = corrected
    ways = {path: tmp_path/path.name/'new' for path in (out, model)}
    for path, new in ways.items():
        run = shell('lesionseg_predict', photos, '--out', new, '--model', path, '--probability')
        assert run.returncode == 0, run.stderr
    first, second = (np.asarray(Image.open(sorted(new.glob('*_probability.png'))[0]))
                     for new in ways.values())
    assert better == (first != second).any()


def test_teaching_that_is_killed_goes_on(corrected, tmp_path):
    whole, cut = tmp_path/'whole', tmp_path/'cut'
    assert shell(*teach(corrected), '--out', whole).returncode == 0
    process = start(*teach(corrected), '--out', cut)
    wait_for_epoch(process, cut/'folds'/'fold2', 1)
    process.kill()
    process.wait()
    again = shell(*teach(corrected), '--out', cut)
    assert again.returncode == 0, again.stderr
    assert (cut/'before_after.csv').read_text() == (whole/'before_after.csv').read_text()
    models = [load_file(path/'model.safetensors') for path in (whole, cut)]
    assert all((models[1][name] == value).all() for name, value in models[0].items())


def test_only_what_somebody_looked_at(corrected, tmp_path):
    photos, masks, model = corrected
    untouched = tmp_path/'untouched'
    assert shell('lesionseg_predict', photos, '--out', untouched, '--model', model).returncode == 0
    run = shell(*teach(corrected, masks=untouched))
    assert run.returncode == 1 and 'holds 0 corrected masks of 8' in run.stderr
    some = '--epochs', '1', '--allow', 'empty' # a model of one epoch may find nothing
    run = shell(*teach(corrected, '--unconfirmed', *some), '--out', tmp_path/'all')
    assert run.returncode == 0 and 'learned from: 8' in run.stdout
    assert 'Nobody has looked at some of them' in run.stdout

    both = shutil.copytree(photos, tmp_path/'both') # one folder for photographs and masks
    for mask in masks.glob('*_segmentation.png'): shutil.copy(mask, both)
    photos_only = ['lesionseg_train', '--start', model, '--images', both, *some,
                   '--folds', '2', '--out', tmp_path/'one']
    run = shell(*photos_only)
    assert run.returncode == 0 and '8 photographs with a mask' in run.stdout, run.stderr


def test_going_on_says_whether_it_is_better(data, corrected, tmp_path):
    run = shell('lesionseg_train', '--start', corrected[2], '--data', data, '--epochs', '2',
                '--out', tmp_path/'on')
    assert run.returncode == 0, run.stderr
    assert 'On 4 held-out images the mean IoU was' in ' '.join(run.stdout.split())


def test_folds_of_any_run(data, tmp_path):
    run = shell(*train(data, tmp_path/'folds', '--folds', '2', epochs=1))
    assert run.returncode == 0, run.stderr
    assert '8 images, each by a run that had not seen it: mean IoU' in run.stdout
    ids = [pd.read_csv(path)['id'] for path in tmp_path.glob('folds/fold*/scores.csv')]
    assert len(ids) == 2 and pd.concat(ids).is_unique


def die_at(last, photos, masks):
    "In a process of its own: save and confirm a mask, and die at a file operation in the folder."
    walk = inverted(photos, masks)
    count = 0
    def hook(event, args):
        nonlocal count
        if event not in ('open', 'os.rename', 'os.remove'): return
        if str(masks) not in str(args[0]): return
        count += 1
        if count == last: os.kill(os.getpid(), signal.SIGKILL)
    sys.addaudithook(hook)
    walk.set_state({'deed': ['right', 1.]})


def inverted(photos, masks):
    "The editor with every pixel of the first mask painted over, not yet saved."
    walk = correct(photos, masks)
    walk.set_state({'values': memoryview((~walk.painted).tobytes())})
    return walk


def test_saving_that_is_killed_loses_nothing(data, tmp_path):
    "At every file operation: the mask is the old or the new one, and the table can be read."
    photos, fresh, masks = data/'test', tmp_path/'fresh', tmp_path/'masks'
    segment_folder(photos, fresh)
    # The server is a process of one thread: a fork of this one would inherit locks of its threads.
    fork, ends = multiprocessing.get_context('forkserver'), []
    fork.set_forkserver_preload(['lesionseg.all'])
    while 0 not in ends:
        shutil.copytree(fresh, masks)
        walk = inverted(photos, masks)
        file = walk.file(walk.id)
        old, new = np.asarray(Image.open(file)) > 0, walk.mask
        given = len(ends) + 1, photos, masks
        child = fork.Process(target=die_at, args=given, daemon=True)
        child.start()
        child.join(120)
        ends.append(child.exitcode)
        assert ends[-1] is not None, 'it hangs'
        found = np.asarray(Image.open(file)) > 0
        assert any((found == mask).all() for mask in (old, new))
        assert len(read_predictions(masks/'predictions.csv')) == 4
        assert not (masks/'replaced').exists()
        shutil.rmtree(masks)
    assert len(ends) > 5 and {*ends[:-1]} == {-signal.SIGKILL}

"The real thing, where it is at hand: ISIC 2016 and the ImageNet weights."
import json, os

import numpy as np, pandas as pd, pytest

from conftest import ROOT, shell

pytestmark = pytest.mark.skipif('REAL_DATA' not in os.environ, reason='no real data at hand')


def environment():
    return os.environ | {'LESIONSEG_DATA': os.environ['REAL_DATA'],
                         'LESIONSEG_WEIGHTS': os.environ['REAL_WEIGHTS']}


def test_an_epoch_of_training(tmp_path):
    out = tmp_path/'run'
    run = shell('lesionseg_train', '--epochs', '1', '--out', out, env=environment())
    assert run.returncode == 0, run.stderr[-3000:]
    config = json.loads((out/'config.json').read_text())
    assert config['data']['train']['images'] == 846 and len(pd.read_csv(out/'scores.csv')) == 379
    from lesionseg.runs import find_runs
    committed = find_runs(ROOT/'nbs/studies/results', 'isic2016')[0].config
    for part in 'train', 'test':
        assert config['data'][part]['fingerprint'] == committed['data'][part]['fingerprint']


def test_the_shipped_model_scores_what_its_card_says(tmp_path):
    out = tmp_path/'scores.csv'
    run = shell('lesionseg_evaluate', '--model_path', 'isic2016', '--out', out, env=environment())
    assert run.returncode == 0, run.stderr[-3000:]
    card = pd.read_csv(ROOT/'lesionseg/weights/scores.csv')
    card = card[(card.predicted == 'one pass') & (card.metric == 'IoU, 192 px')]['mean'].item()
    # another CPU's order of additions turns single pixels at the threshold
    assert np.isclose(pd.read_csv(out).iou.mean(), card, atol=5e-4)

"""What must stay as it is on every machine: data sets read from drawn files, with their splits, and
the packaged model's answers. `python tests/test_equality.py` writes equality.json anew, which is
right only where a change is meant. More, for two versions on one machine, in equality.py."""
import json
from pathlib import Path

import numpy as np, pytest, torch
from PIL import Image

from equality import layout
from lesionseg import LesionSegmenter
from lesionseg.inference import predict, predict_tta

FACTS = Path(__file__).with_name('equality.json')
OFFICIAL = 'ISBI2016_ISIC_Part1_'
LAYOUTS = { # Where the image and the mask of number i in a part lie
    'plain': ('{part}/ISIC_{i}.png', '{part}_masks/ISIC_{i}_Segmentation.png'),
    'the same stem': ('{part}/{i}.png', '{part}_masks/{i}.png'),
    'with validation': ('{held}/a{i}.png', '{held}_masks/a{i}_mask.png'),
    'no split': ('images/mole{i}.png', 'masks/mole{i}.png'),
    'official': (OFFICIAL + '{long}_Data/ISIC_{i}.png',
                 OFFICIAL + '{long}_GroundTruth/ISIC_{i}_Segmentation.png'),
    'PH2': ('PH2/IMD{i}/IMD{i}_Dermoscopic_Image/IMD{i}.bmp',
            'PH2/IMD{i}/IMD{i}_lesion/IMD{i}_lesion.bmp'),
}


def disc(i, width=96, height=72):
    "A dark disc on skin, and where it is: the same pixels on every machine."
    y, x = np.mgrid[:height, :width]
    inside = (x - width//3 - 2*i)**2 + (y - height//2)**2 < (height//5 + i)**2
    shade = (x + 2*y)//6
    lesion = np.stack([110 + shade//2, 70 + shade//3, 50 + shade//4], axis=-1)
    skin = np.stack([215 - shade//2, 175 - shade//2, 160 - shade//3], axis=-1)
    return np.where(inside[..., None], lesion, skin).astype('uint8'), inside


def draw(root, name):
    "Write a data set of ten training images, two of them perhaps held out, and four test images."
    for i in range(14):
        where = {'i': f'{i:03d}', 'part': 'train' if i < 10 else 'test',
                 'long': 'Training' if i < 10 else 'Test'}
        where['held'] = 'val' if 8 <= i < 10 else where['part']
        pixels, inside = disc(i)
        for place, content in zip(LAYOUTS[name], (pixels, (inside*255).astype('uint8'))):
            file = root/place.format(**where)
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(content).save(file)
    return root


def data_facts(name, folder):
    "What is read of a layout, without the notes."
    facts = layout(draw(folder/name, name))
    return {key: value for key, value in facts.items() if key != 'notes'}


def answers():
    "Probabilities of the packaged model at 8 × 8 points of four images, of `predict` and of TTA."
    model = LesionSegmenter.from_pretrained()
    pixels = np.stack([disc(4*i, model.size, model.size)[0] for i in range(4)])
    images = torch.from_numpy(pixels).permute(0, 3, 1, 2)/255
    step = model.size//8
    return {how.__name__: how(model, images)[:, 0, step//2::step, step//2::step].flatten(1).tolist()
            for how in (predict, predict_tta)}


@pytest.mark.parametrize('name', LAYOUTS)
def test_fingerprint_and_splits(name, tmp_path):
    assert data_facts(name, tmp_path) == json.loads(FACTS.read_text())['data'][name]


def test_fingerprint_notices_the_mask(tmp_path):
    "One pixel of one mask, moved, is another data set."
    before = layout(draw(tmp_path/'data', 'plain'))
    file = tmp_path/'data/train_masks/ISIC_003_Segmentation.png'
    mask = np.asarray(Image.open(file)).copy()
    mask[:24] = 255
    Image.fromarray(mask).save(file)
    after = layout(tmp_path/'data')
    assert after['train']['fingerprint'] != before['train']['fingerprint']
    assert after['test'] == before['test']


def test_answers_of_the_packaged_model():
    expected = json.loads(FACTS.read_text())['model']
    for how, found in answers().items():
        np.testing.assert_allclose(found, expected[how], atol=1e-4, rtol=0)


if __name__ == '__main__':
    import tempfile
    with tempfile.TemporaryDirectory() as folder:
        data = {name: data_facts(name, Path(folder)) for name in LAYOUTS}
    model = {how: np.round(found, 6).tolist() for how, found in answers().items()}
    FACTS.write_text(json.dumps({'data': data, 'model': model}))

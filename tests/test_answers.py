"Each exercise with a check: two right answers, and three or more that are typical and wrong."
import itertools, math, re

import numpy as np, pandas as pd, pytest, torch

from lesionseg import exercises
from test_course import EXERCISES, NBS, code_cells

GIVEN = {f'{name.rpartition("/")[2]} {number}': (name, cell) for name, number, cell in EXERCISES}
RIGHT, WRONG = {}, {}


def answers(exercise, right, wrong):
    RIGHT[exercise], WRONG[exercise] = right, wrong


def checking(exercise):
    "The test of an exercise and its hints, as its folded cell hands them to `check`."
    name, cell = GIVEN[exercise]
    code = code_cells(NBS[name])
    dots = code[[other['id'] for other in code].index(cell['id']) - 1]['text']
    found = []
    scope = {'np': np, 'torch': torch, 'pd': pd, 'math': math, 'product': itertools.product,
             'display': print, **{part: getattr(exercises, part) for part in exercises.__all__}}
    scope['check'] = lambda answer, test, *hints: found.append((test, hints))
    exec(re.sub(r'^from lesionseg.*$', '', f"{dots}\n{cell['text']}", flags=re.M), scope)
    return found[0]


@pytest.mark.parametrize('exercise', GIVEN)
def test_right_answers_pass_and_typical_wrong_ones_do_not(exercise):
    test, hints = checking(exercise)
    assert len(RIGHT[exercise]) >= 2 and len(WRONG[exercise]) >= 3
    assert all(exercises.check(answer, test, *hints) for answer in RIGHT[exercise])
    with np.errstate(all='ignore'):
        assert not any(exercises.check(answer, test, *hints) for answer in WRONG[exercise])


def test_hints_come_one_by_one(capsys):
    test, hints = checking('05_comparison 6')
    told = []
    for _ in range(4):
        exercises.check(.05, test, *hints, 'of this test')
        told.append(capsys.readouterr().out)
    assert [part in text for part, text in zip((*hints, 'of this test'), told)] == [True]*4


def interval(seed, ends):
    "A bootstrap interval of a mean from 2000 resamples."
    def found(values):
        rng = np.random.default_rng(seed)
        means = [rng.choice(values, len(values)).mean() for _ in range(2000)]
        return np.quantile(means, ends)
    return found


def test_an_interval_of_90_percent_is_refused_and_one_of_95_is_not():
    test, _ = checking('05_comparison 2')
    assert [test(interval(seed, [.025, .975])) for seed in range(40)] == [True]*40
    said = [test(interval(seed, [.05, .95])) for seed in range(40)]
    assert all('times as wide' in str(answer) for answer in said)


answers('01_data 1', [7, 7.], [8, 11, 4])
answers('01_data 2', [lambda mask: (mask > 127).mean(), lambda mask: mask.mean()/255], [
    lambda mask: mask.mean(), lambda mask: (mask == 1).mean(), lambda mask: (mask > 0).sum()])
answers('01_data 3', [
    lambda image, mask: (image.flip(2), mask.flip(2)),
    lambda image, mask: [torch.fliplr(part[0])[None] if len(part) == 1 else part.flip(-1)
                         for part in (image, mask)]], [
    lambda image, mask: (image.flip(1), mask.flip(1)),
    lambda image, mask: (image.flip(2), mask), lambda image, mask: image.flip(2)])
answers('01_data 4', [
    lambda pixels: torch.from_numpy(pixels).permute(2, 0, 1)/255,
    lambda pixels: torch.tensor(pixels.transpose(2, 0, 1), dtype=torch.float32)/255], [
    lambda pixels: torch.tensor(pixels).permute(2, 0, 1).float(),
    lambda pixels: torch.tensor(pixels).reshape(3, *pixels.shape[:2])/255,
    lambda pixels: torch.tensor(pixels.transpose(2, 0, 1)/255)]) # the last in 64 bits

answers('02_metrics 1', [[1/2, 2/3], (.5, .667)], [[2/3, 1/2], [1, 1], .5])
answers('02_metrics 2', [
    lambda p, m: 2*(p & m).sum()/(p.sum() + m.sum()) if (p | m).any() else 1.,
    lambda p, m: 1 - (p ^ m).sum()/max(p.sum() + m.sum(), 1)], [
    lambda p, m: (p & m).sum()/(p | m).sum() if (p | m).any() else 1,
    lambda p, m: 2*(p & m).sum()/(p.sum() + m.sum()),
    lambda p, m: (p & m).sum()/(p.sum() + m.sum()) if (p | m).any() else 1])
answers('02_metrics 3', [.93, .928], [.72, .9, .97])
answers('02_metrics 4', [[1.4/3, 100/130], (.467, .769)],
        [[100/130, 1.4/3], [.7, 100/130], [1.4/3, 100/120]])

answers('03_model 1', [18_496, 64*(32*9 + 1)], [32*64*9, 32*64*9 + 32, 64*9 + 64])
answers('03_model 2', [2336, 32*9 + 32*64], [32*64*9, 32*9*64 + 32*64, 64*9 + 32*64])


def from_the_end(layers):
    side = 1
    for kernel, stride in reversed(layers): side = (side - 1)*stride + kernel
    return side


def strides_first(layers):
    side, step = 1, 1
    for kernel, stride in layers:
        step *= stride
        side += (kernel - 1)*step
    return side


answers('03_model 3', [from_the_end, lambda layers: 1 + sum(
    (kernel - 1)*math.prod(stride for _, stride in layers[:i])
    for i, (kernel, _) in enumerate(layers))], [
    strides_first, lambda layers: sum(kernel for kernel, _ in layers),
    lambda layers: 1 + sum(kernel - 1 for kernel, _ in layers)])
answers('03_model 4', [.836, 1_332_640/1_594_314], [.35, .578, 2/9])
answers('03_model 5', [(1, 1, -1.5), [2, 2, -3]], [(1, 1, -.5), (1, 1, 0), (1, -1, -.5), (1, 1)])
answers('03_model 6', [(-1, 2, .5), (-3, 7, 1)], [(1, -2, -.5), (-1, 2, 0), (-1, 1, .5)])
answers('03_model 7', [[[0, 4, 2], [3, 0, 3]], np.array([[0, 4, 2], [3, 0, 3]])], [
    [[5, 1, 2], [-1, 5, 3]], [0, 4, 2, 3, 0, 3], [[0, 3], [4, 0], [2, 3]]])

answers('04_training 1', [800, 16*50], [720*50, 16, 720])


def training_step(order, mode='train'):
    "A step with its parts in an order, by their first letters."
    def step(model, images, masks, optimizer):
        getattr(model, mode)()
        for part in order:
            if part == 'f':
                loss = torch.nn.functional.binary_cross_entropy_with_logits(model(images), masks)
            if part == 'b': loss.backward()
            if part == 's': optimizer.step()
            if part == 'z': optimizer.zero_grad()
        return None if 'n' in order else loss.item()
    return step


answers('04_training 2', [training_step('fbsz'), training_step('zfbs')], [
    training_step('fbs'), training_step('fbsz', 'eval'), training_step('fbz'),
    training_step('fsbz'), training_step('fbszn')])
answers('04_training 3', [['underfitting', 'overfitting', 'fine'],
                          ('Underfitting', 'Overfitting', 'Fine')], [
    ['fine', 'overfitting', 'underfitting'], ['overfitting', 'underfitting', 'fine'],
    ['underfitting', 'overfitting']])


def stop_at(losses, patience):
    for epoch in range(1, len(losses) + 1):
        if epoch - losses[:epoch].index(min(losses[:epoch])) - 1 == patience: return epoch


def stop_counting(losses, patience, more=0):
    best, waited = math.inf, 0
    for epoch, loss in enumerate(losses, 1):
        best, waited = (loss, 0) if loss < best else (best, waited + 1)
        if waited == patience + more: return epoch


answers('04_training 4', [stop_at, stop_counting], [
    lambda losses, patience: stop_counting(losses, patience, 1),
    lambda losses, patience: losses.index(min(losses)) + 1,
    lambda losses, patience: len(losses)])
p = 1/(1 + math.exp(-1.5))
answers('04_training 5', [(1.5*p, 3*p), [1.23, 2.45]],
        [(1.5*(p - 1), 3*(p - 1)), (3*p, 1.5*p), (p/2, 3*p)])
answers('04_training 6', [lambda p: -(1 - p)**2*math.log(p),
                          lambda p: (1 - 2*p + p*p)*math.log(1/p)], [
    lambda p: -math.log(p), lambda p: -p**2*math.log(p), lambda p: -(1 - p)*math.log(p)])
answers('04_training 7', [1e-2, .005], [1e-1, 1, 1e-4, -2])

answers('05_comparison 1', [24, 24.], [157, 126, 25])
answers('05_comparison 2', [interval(0, [.025, .975]), lambda values: np.quantile(
    np.random.default_rng(7).choice(values, (2000, len(values))).mean(1), [.025, .975])], [
    interval(0, [.05, .95]), lambda values: np.quantile(values, [.025, .975]),
    lambda values: (values.mean(), values.mean()),
    lambda values: values.mean() + np.array([-1.96, 1.96])*values.std()/len(values)**.5])
answers('05_comparison 3', [20/32, .625], [10/32, 14/32, 5/15])
answers('05_comparison 4', [
    lambda low, high: 'second' if low > 0 else 'first' if high < 0 else 'undecided',
    lambda low, high: ['first', 'undecided', 'second'][1 + (low > 0) - (high < 0)]], [
    lambda low, high: 'second' if low + high > 0 else 'first',
    lambda low, high: 'second' if low > 0 else 'undecided',
    lambda low, high: 'first' if low > 0 else 'second' if high < 0 else 'undecided'])
answers('05_comparison 5', [[.25, .25, .5], np.exp([0, 0, math.log(2)])/4],
        [[1/2, 1/2, 2/3], [0, 0, 1], [1, 1, 2]])
answers('05_comparison 6', [1 - .95**20, .64], [.05, 1, .95**20])
answers('05_comparison 7', [lambda masks: masks.sum(0) > len(masks)/2,
                            lambda masks: masks.mean(0) > .5], [
    lambda masks: masks.any(0), lambda masks: masks.all(0), lambda masks: masks.mean(0) >= .5])

answers('06_your_study 1', [62, (1.96*.2/.05)**2], [16, 8, 246])
answers('06_your_study 2', [
    lambda iou, kept: np.mean([x for x, k in zip(iou, kept) if k]) if any(kept) else None,
    lambda iou, kept: sum(x*k for x, k in zip(iou, kept))/sum(kept) if sum(kept) else None], [
    lambda iou, kept: np.mean(iou), lambda iou, kept: sum(x*k for x, k in zip(iou, kept))/len(iou),
    lambda iou, kept: sum(x*k for x, k in zip(iou, kept))/max(sum(kept), 1)])


def best_threshold(probs, mask, levels=np.linspace(0, .99, 100), pick=max):
    def score(level): return ((probs > level) & mask).sum()/((probs > level) | mask).sum()
    return pick(levels, key=score)


answers('explore 1', [best_threshold, lambda probs, mask: best_threshold(
    probs, mask, np.unique(probs) - 1e-9)], [
    lambda probs, mask: .5, lambda probs, mask: best_threshold(probs, mask, pick=min),
    lambda probs, mask: (probs[mask].mean())])
answers('is_it_real 1', [.0098, (2*.012**2/3)**.5], [.012/3**.5, .012*2**.5, .004])
answers('resolution 1', [(.75, 4), [96/128, 4.]], [(.75, 2), (4, .75), (1.33, 4)])
answers('skin_tone 1', [864, (1.96*.3/.02)**2], [225, 29, 3457])
answers('speed 1', [1.43, 1/.7], [1.3, 2, .7])
answers('threshold 1', [['soft IoU', 'calibration error'], ('calibration error', 'soft iou')], [
    ['IoU at one half'], ['soft IoU'], ['IoU at one half', 'soft IoU', 'calibration error']])
answers('tuned_recipe 1', [
    lambda model, images: (model(images) + model(images.flip(3)).flip(3))/2,
    lambda model, images: torch.stack([model(images), model(images.flip(-1)).flip(-1)]).mean(0)], [
    lambda model, images: (model(images) + model(images.flip(3)))/2,
    lambda model, images: model((images + images.flip(3))/2),
    lambda model, images: model(images.flip(3)).flip(3)])
answers('what_is_frozen 1', [1_526_080, 320_000*2 + 473_920 + 412_160],
        [412_160, 886_080, 2_223_872])
answers('where_it_fails 1', [['area', 'border contact'], ('border contact', 'area')],
        [['area'], ['area', 'contrast'], ['area', 'border contact', 'hair']])
answers('which_iou 1', [['soft', 'native'], ('native', 'soft')],
        [['soft'], ['soft', 'per image'], ['soft', 'native', 'pooled']])

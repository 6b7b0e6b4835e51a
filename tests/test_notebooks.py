"The README's second command; other threads, processors and seeds; notebooks broken on purpose."
import os, time

import pytest

from broken import QUICK
from conftest import ROOT, shell

ELSEWHERE = { # what another machine does differently
    'two threads': {'OMP_NUM_THREADS': '2'},
    'another seed, and AVX2 at most': {
        'OMP_NUM_THREADS': '1', 'LESIONSEG_TEST_SEED': '7', 'ATEN_CPU_CAPABILITY': 'avx2',
        'ONEDNN_MAX_CPU_ISA': 'AVX2'}}


def run_notebooks(*command, **settings):
    "Run notebooks as tests, and say how long it took."
    begin = time.time()
    run = shell(*command, env=os.environ | settings)
    print(run.stdout[-5000:], run.stderr[-5000:])
    print(f'{command}: {time.time() - begin:.0f} s')
    return run.returncode


def test_notebooks_as_tests():
    lines = (ROOT/'README.md').read_text().splitlines()
    command = next(line for line in lines if line.endswith('nbdev_test'))
    assert run_notebooks('bash', '-c', command) == 0


@pytest.mark.parametrize('machine', ELSEWHERE)
def test_chapters_and_library_elsewhere(machine):
    workers = '1' if ELSEWHERE[machine]['OMP_NUM_THREADS'] == '2' else '2'
    command = 'nbdev_test', '--skip_folder_re', '^[_.]|studies', '--n_workers', workers
    assert run_notebooks(*command, **ELSEWHERE[machine]) == 0


@pytest.mark.parametrize('fault', QUICK)
def test_a_broken_notebook_is_red(fault, tmp_path):
    "A few of the faults of broken.py; `python tests/broken.py` tries them all."
    from broken import is_noticed
    assert is_noticed(fault, tmp_path)

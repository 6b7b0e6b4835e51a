"A few of the trials of reliability.py, and what came of all of them."
import os, sys

import pandas as pd

import reliability
from conftest import ROOT, shell


def test_a_sample_of_all_trials():
    seed = os.environ.get('LESIONSEG_TEST_SEED', '0')
    run = shell(sys.executable, ROOT/'tests/reliability.py', '--sample', '--seed', seed)
    assert run.returncode == 0, run.stdout + run.stderr


def test_the_table_is_whole():
    table = pd.read_csv(reliability.OUT, index_col='kind')
    assert (table.trials >= pd.Series(reliability.ENOUGH)).all()
    assert table[reliability.FAULTS].to_numpy().sum() == 0

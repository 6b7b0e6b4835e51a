"The README's second command, and notebooks that were broken on purpose."
import json, os, shutil, subprocess, time

import pytest

from broken import BROKEN, QUICK
from conftest import ROOT, shell


def test_notebooks_as_tests():
    lines = (ROOT/'README.md').read_text().splitlines()
    command = next(line for line in lines if line.endswith('nbdev_test'))
    begin = time.time()
    run = shell('bash', '-c', command)
    print(run.stdout[-5000:], run.stderr[-5000:])
    assert run.returncode == 0
    print(f'{command}: {time.time() - begin:.0f} s')


@pytest.mark.parametrize('fault', QUICK)
def test_a_broken_notebook_is_red(fault, tmp_path):
    "A few of the faults of broken.py; `python tests/broken.py` tries them all."
    from broken import is_noticed
    assert is_noticed(fault, tmp_path)

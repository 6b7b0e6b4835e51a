"""Do the notebooks' tests hold with other seeds?

    python tests/seeds.py [--shifts 20] [notebook ...]

runs each notebook that trains with LESIONSEG_TEST_SEED from 1 on, which is added to all seeds of
its tests, and writes tests/seeds.csv: how many of the shifts were green, and which were not.
"""
import argparse, os, re, subprocess
from pathlib import Path

import pandas as pd

ROOT = Path(__file__).parent.parent
RESULT = ROOT/'tests/seeds.csv'


def notebooks_with_seeds():
    "The notebooks whose tests read the shift."
    return [path for path in sorted((ROOT/'nbs').rglob('*.ipynb'))
            if 'LESIONSEG_TEST_SEED' in path.read_text() and '.ipynb_checkpoints' not in path.parts]


def is_green(path, shift):
    "Does a notebook pass as a test with its seeds shifted?"
    env = os.environ | {'LESIONSEG_TEST_SEED': str(shift), 'OMP_NUM_THREADS': '1'}
    command = ['nbdev_test', '--path', str(path), '--n_workers', '0']
    run = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True)
    if run.returncode: print(re.sub(r'\x1b\[\d*m', '', run.stdout + run.stderr)[-1500:], flush=True)
    return run.returncode == 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('notebooks', nargs='*', type=Path, help='none: all that read the shift')
    parser.add_argument('--shifts', type=int, default=20)
    args = parser.parse_args()
    rows = {}
    if RESULT.exists(): # as text, so that whole numbers stay whole
        table = pd.read_csv(RESULT, index_col=0, dtype=str, keep_default_na=False)
        rows = table.T.to_dict()
    for path in args.notebooks or notebooks_with_seeds():
        green = {shift: is_green(path, shift) for shift in range(1, args.shifts + 1)}
        name = path.resolve().relative_to(ROOT/'nbs').as_posix()
        red = ' '.join(str(shift) for shift, passed in green.items() if not passed)
        rows[name] = {'shifts': len(green), 'green': sum(green.values()), 'red': red}
        print(name, rows[name], flush=True)
        pd.DataFrame(rows).T.rename_axis('notebook').sort_index().to_csv(RESULT)


if __name__ == '__main__': main()

"""What does README's first command say with other seeds, and how long does it take?

    python tests/first_command.py [--seeds 0 1 2 3 4]

runs `lesionseg_compare --seeds SEED` on the built-in images for each seed, in a folder and with a
cache of its own, as after a fresh install. It writes tests/first_command.csv: what the command said
(by how much the mean IoU of fine-tuning is higher, with the ends of the 95 % interval), the seconds
it took, and those of `import torch` just before, on the same machine.
"""
import argparse, os, re, subprocess, sys, tempfile, time
from pathlib import Path

import pandas as pd

RESULT = Path(__file__).with_suffix('.csv')


def timed(*command, **options):
    "What a command that must succeed says, and the seconds it takes."
    start = time.perf_counter()
    said = subprocess.run(command, check=True, capture_output=True, text=True, **options).stdout
    return said, time.perf_counter() - start


def first_command(seed):
    "One run of the command, as a row of the table."
    with tempfile.TemporaryDirectory() as folder:
        options = {'cwd': folder, 'env': os.environ | {'XDG_CACHE_HOME': folder}}
        _, importing = timed(sys.executable, '-c', 'import torch', **options)
        said, seconds = timed('lesionseg_compare', '--seeds', str(seed), **options)
    verdict = ' '.join(said.split())
    difference, word = re.search(r'is ([\d.]+) (higher|lower) than', verdict).groups()
    low, high = re.search(r'interval ([+-][\d.]+) to ([+-][\d.]+)', verdict).groups()
    sign = {'higher': '+', 'lower': '-'}[word]
    return {'difference': sign + difference, 'low': low, 'high': high,
            'seconds': f'{seconds:.0f}', 'import torch': f'{importing:.1f}'}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--seeds', type=int, nargs='+', default=range(5))
    rows = {}
    for seed in parser.parse_args().seeds:
        rows[seed] = first_command(seed)
        print(seed, rows[seed], flush=True)
        pd.DataFrame(rows).T.rename_axis('seed').to_csv(RESULT)


if __name__ == '__main__': main()

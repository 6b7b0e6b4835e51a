"Leaves the still picture of each widget in the notebooks, and drops its live view, which is blank without the kernel that made it."
from pathlib import Path

import nbformat

LIVE = 'application/vnd.jupyter.widget-view+json'


def make_still(nb):
    "Drop live views, and outputs that were nothing else."
    nb.metadata.pop('widgets', None)
    for cell in nb.cells:
        if cell.cell_type == 'code': cell.outputs = [o for o in cell.outputs if LIVE not in o.get('data', {}) or 'image/png' in o.data]
        for output in cell.get('outputs', []): output.get('data', {}).pop(LIVE, None)


if __name__ == '__main__':
    for path in (Path(__file__).parent.parent/'nbs').glob('*.ipynb'):
        nb = nbformat.read(path, 4)
        before = nbformat.writes(nb)
        make_still(nb)
        if nbformat.writes(nb) != before: nbformat.write(nb, path)

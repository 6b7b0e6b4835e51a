"Leaves a still of each widget in the notebooks, its image or its folded text, and no live view."
from pathlib import Path

import nbformat

LIVE = 'application/vnd.jupyter.widget-view+json'


def is_kept(output):
    "Is an output no live view, or does it hold something else to look at?"
    data = output.get('data', {})
    return LIVE not in data or 'image/png' in data or 'text/html' in data


def make_still(nb):
    "Drop live views, which are blank without the kernel that made them."
    nb.metadata.pop('widgets', None)
    for cell in nb.cells:
        if cell.cell_type == 'code': cell.outputs = [o for o in cell.outputs if is_kept(o)]
        for output in cell.get('outputs', []): output.get('data', {}).pop(LIVE, None)


if __name__ == '__main__':
    for path in (Path(__file__).parent.parent/'nbs').rglob('*.ipynb'):
        nb = nbformat.read(path, 4)
        before = nbformat.writes(nb)
        make_still(nb)
        if nbformat.writes(nb) != before: nbformat.write(nb, path)

"Leaves in the notebooks a still of each widget and the smaller form of each image, no live view."
import base64, io
from pathlib import Path

import nbformat
from PIL import Image

LIVE = 'application/vnd.jupyter.widget-view+json'


def is_kept(output):
    "Is an output no live view, or does it hold something else to look at?"
    data = output.get('data', {})
    return LIVE not in data or 'image/png' in data or 'text/html' in data


def shrink(data):
    "Keep one form of an image: a palette of 256 colors, or JPEG where it has very many."
    if 'image/png' not in data: return
    data.pop('image/jpeg', None)
    image = Image.open(io.BytesIO(base64.b64decode(data['image/png'])))
    if image.mode not in ('RGB', 'RGBA') or image.convert('RGBA').getextrema()[3][0] < 255: return
    image = image.convert('RGB')
    buffer = io.BytesIO()
    if image.getcolors(4096): image.quantize(256).save(buffer, 'PNG', optimize=True)
    else: image.save(buffer, 'JPEG', quality=70, optimize=True, progressive=True)
    kind = Image.open(buffer).format.lower()
    del data['image/png']
    data[f'image/{kind}'] = base64.b64encode(buffer.getvalue()).decode()


def make_still(nb):
    "Drop live views, which are blank without the kernel that made them, and heavy images."
    nb.metadata.pop('widgets', None)
    for cell in nb.cells:
        if cell.cell_type == 'code': cell.outputs = [o for o in cell.outputs if is_kept(o)]
        for output in cell.get('outputs', []):
            output.get('data', {}).pop(LIVE, None)
            shrink(output.get('data', {}))


if __name__ == '__main__':
    for path in (Path(__file__).parent.parent/'nbs').rglob('*.ipynb'):
        nb = nbformat.read(path, 4)
        before = nbformat.writes(nb)
        make_still(nb)
        if nbformat.writes(nb) != before: nbformat.write(nb, path)

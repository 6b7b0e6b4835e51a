"Writes README.md from nbs/index.ipynb with nbconvert."
import re
from pathlib import Path

import nbformat
from nbconvert import MarkdownExporter

root = Path(__file__).parent.parent
figures = root/'nbs/figures'


def render():
    "README's text, and the figures that it shows by name."
    nb = nbformat.read(root/'nbs/index.ipynb', 4)
    nb.cells = [cell for cell in nb.cells if not cell.source.startswith('#| hide')]
    for cell in nb.cells:
        if '#| echo: false' in cell.source: cell.metadata['transient'] = {'remove_source': True}
        cell.source = re.sub(r'^#\|.*\n', '', cell.source, flags=re.M)
    names = {'output_files_dir': 'nbs/figures', 'unique_key': 'readme'}
    text, resources = MarkdownExporter().from_notebook_node(nb, resources=names)
    # links from the top
    text = re.sub(r'(\]\()(?!https?:|nbs/|\.\./|lesionseg/)([\w/.-]+\.\w+\))', r'\1nbs/\2', text)
    text = text.replace('](../', '](')
    text = re.sub(r'\n{3,}', '\n\n', text) # a hidden source leaves its empty lines
    shown = {name: data for name, data in resources['outputs'].items() if name in text}
    return '<!-- written from nbs/index.ipynb by .ci/readme.py -->\n\n' + text.strip() + '\n', shown


def stale():
    "The files that differ from index.ipynb, with what they should hold; None: it is not shown."
    text, outputs = render()
    files = {root/'README.md': text.encode(), **{root/name: data for name, data in outputs.items()}}
    gone = {path: None for path in figures.glob('readme_*') if path not in files}
    return gone | {path: data for path, data in files.items()
                   if not path.exists() or path.read_bytes() != data}


if __name__ == '__main__':
    figures.mkdir(exist_ok=True)
    for path, data in stale().items(): path.unlink() if data is None else path.write_bytes(data)

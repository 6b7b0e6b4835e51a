"""mkdocs calls these while it builds the site: the pages are the notebooks as a reader sees them
(no export lines, no hidden cells), and a reference with a table of parameters for each function."""
import inspect, re, shutil, tempfile
from importlib import import_module
from pathlib import Path

import nbformat
from nbdev.showdoc import BasicMarkdownRenderer, show_doc

root = Path(__file__).parent.parent
MODULES = '''core data transforms metrics model inference training runs comparison plots report
    synthetic download folder release widgets cli'''.split()


def clean(nb):
    "Drop hidden cells, directives and cells whose code is not to be shown."
    nb.cells = [cell for cell in nb.cells if not re.match(r'#\| *hide\b', cell.source)]
    for cell in nb.cells:
        if cell.cell_type != 'code': continue
        if '#| echo: false' in cell.source: cell.metadata['tags'] = ['hide-input']
        cell.source = re.sub(r'^#\|.*\n?', '', cell.source, flags=re.M)
    nb.cells = [cell for cell in nb.cells if cell.source.strip() or cell.get('outputs')]
    return nb


def reference(name):
    "The page of a module: its docstring, and every public function and class."
    module = import_module(f'lesionseg.{name}')
    parts = [f'# lesionseg.{name}', (module.__doc__ or '').strip()]
    for symbol in module.__all__:
        value = getattr(module, symbol)
        if not (inspect.isfunction(value) or inspect.isclass(value)): continue
        value = inspect.unwrap(value)
        doc = str(show_doc(value, renderer=BasicMarkdownRenderer, title_level=2)._repr_markdown_())
        parts.append(re.sub(r'^---\n|^\[source\].*\n', '', doc, flags=re.M))
    return '\n\n'.join(parts)


def on_config(config):
    "Build from a cleaned copy of the notebooks."
    pages = Path(tempfile.mkdtemp())
    for path in sorted((root/'nbs').rglob('*.ipynb')):
        if '.ipynb_checkpoints' in path.parts: continue
        target = pages/path.relative_to(root/'nbs')
        target.parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(clean(nbformat.read(path, 4)), target)
    (pages/'reference').mkdir()
    for name in MODULES: (pages/f'reference/{name}.md').write_text(reference(name))
    for name in 'CHANGELOG', 'CONTRIBUTING':
        text = (root/f'{name}.md').read_text()
        (pages/f'{name.lower()}.md').write_text(text.replace('](nbs/', ']('))
    config['docs_dir'] = str(pages)
    return config


def on_post_build(config): shutil.rmtree(config['docs_dir'], ignore_errors=True)

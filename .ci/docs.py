"""mkdocs calls these while it builds the site: the pages are the notebooks as a reader sees them
(no export lines, no hidden cells), and a reference with the signature of each public function."""
import ast, re, shutil, tempfile, textwrap
from importlib import import_module
from pathlib import Path

import nbformat

root = Path(__file__).parent.parent
MODULES = '''core files data transforms metrics model inference training runs comparison plots report
    synthetic download folder release widgets exercises cli'''.split()


def clean(nb):
    "Drop hidden cells, directives and cells whose code is not to be shown."
    nb.cells = [cell for cell in nb.cells if not re.match(r'#\| *hide\b', cell.source)]
    for cell in nb.cells:
        if cell.cell_type != 'code': continue
        if '#| echo: false' in cell.source: cell.metadata['tags'] = ['hide-input']
        cell.source = re.sub(r'^#\|.*\n?', '', cell.source, flags=re.M)
    nb.cells = [cell for cell in nb.cells if cell.source.strip() or cell.get('outputs')]
    return nb


def signature(node, lines):
    "A function as it is written, down to its docstring: parameters with their comments."
    first = node.body[0]
    is_doc = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    end = first.end_lineno if is_doc else first.lineno - 1
    return textwrap.dedent('\n'.join(lines[node.lineno - 1:end]))


def reference(name):
    "The page of a module: its docstring, and every public function, class and method."
    source = (root/f'lesionseg/{name}.py').read_text()
    tree, lines = ast.parse(source), source.splitlines()
    parts = [f'# lesionseg.{name}', ast.get_docstring(tree) or '']
    public = import_module(f'lesionseg.{name}').__all__
    for node in tree.body:
        if getattr(node, 'name', None) not in public: continue
        parts.append(f'## {node.name}')
        methods = [node]
        if isinstance(node, ast.ClassDef):
            bases = ', '.join(map(ast.unparse, node.bases))
            parts.append(f"{ast.get_docstring(node) or ''} {f'A `{bases}`.' if bases else ''}")
            methods = [m for m in node.body if isinstance(m, ast.FunctionDef)
                       and (m.name == '__init__' or not m.name.startswith('_'))]
            fields = [lines[f.lineno - 1].strip() for f in node.body if isinstance(f, ast.AnnAssign)]
            if fields: parts.append('\n'.join(['```python', *fields, '```']))
        parts += [f'```python\n{signature(method, lines)}\n```' for method in methods]
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
    for name in MODULES:
        (pages/f'reference/{name}.md').write_text(reference(name))
    for name in 'CHANGELOG', 'CONTRIBUTING':
        text = (root/f'{name}.md').read_text()
        (pages/f'{name.lower()}.md').write_text(text.replace('](nbs/', ']('))
    shutil.copy(root/'nbs/references.bib', pages)
    (pages/'wide.css').write_text('.md-grid { max-width: 90rem }')  # a line of code has 100 columns
    config['docs_dir'] = str(pages)
    return config


def on_post_build(config): shutil.rmtree(config['docs_dir'], ignore_errors=True)

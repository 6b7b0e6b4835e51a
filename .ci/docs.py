"""mkdocs calls these while it builds the site. Its pages are the notebooks as a reader sees them
(no export lines, no hidden cells), a reference with the signature of each public function, and
one to try a model without a kernel."""
import ast, re, shutil, tempfile, textwrap
from configparser import ConfigParser
from importlib import import_module
from pathlib import Path

import nbformat

from lesionseg.comparison import pick_by_rank
from lesionseg.data import load_data, to_tensors
from lesionseg.inference import predict, predict_tta
from lesionseg.metrics import iou
from lesionseg import LesionSegmenter
from lesionseg.report import _viewer, write_report
from lesionseg.runs import find_runs
from lesionseg.synthetic import synthetic_dataset

root = Path(__file__).parent.parent
ini = ConfigParser(delimiters=['='])
ini.read(root/'settings.ini')
settings = ini['DEFAULT']
MODULES = '''core files data transforms metrics model weights inference training runs comparison
    plots report synthetic download masks editor convert release widgets exercises cli'''.split()


def clean(nb):
    "Drop hidden cells, directives and cells whose code is not to be shown."
    nb.cells = [cell for cell in nb.cells if not re.match(r'#\| *hide\b', cell.source)]
    for cell in nb.cells:
        if cell.cell_type != 'code': continue
        if '#| echo: false' in cell.source: cell.metadata['tags'] = ['hide-input']
        cell.source = re.sub(r'^#\|.*\n?', '', cell.source, flags=re.M)
    nb.cells = [cell for cell in nb.cells if cell.source.strip() or cell.get('outputs')]
    return nb


def buttons(name):
    "Links that open a notebook where it can be run; `name` is its path in nbs."
    project = settings['git_url'].removeprefix('https://github.com/')
    colab = f"https://colab.research.google.com/github/{project}/blob/{settings['branch']}"
    binder = f"https://mybinder.org/v2/gh/{project}/{settings['branch']}?labpath="
    return (f'<a class="md-button" href="{colab}/nbs/{name}">Open in Colab</a>\n'
            f'<a class="md-button" href="{binder}nbs/{name}">Open in Binder</a>')


def notebook_page(path):
    "The notebook as a page: cleaned, and with its buttons below the title."
    nb = clean(nbformat.read(path, 4))
    title, _, rest = nb.cells[0].source.partition('\n')
    name = path.relative_to(root/'nbs').as_posix()
    nb.cells[0].source = f'{title}\n\n{buttons(name)}\n{rest}'
    return nb


TRY_IT = """---
hide: [toc]
---
# Try it

Move the slider: which threshold would you choose? First comes what the packaged model says, then
what it says with test-time augmentation. The {count} images are synthetic; the model has learned
from photographs and has never seen one of them. Nothing has to be installed, and nothing runs but
your browser.

<div id="viewer"></div>

There is more to a comparison than one image: [the report of the published comparison](report.html),
as `lesionseg_compare` writes it. Its images are photographs of people and are left out here.
"""


def viewer(count=12):
    "HTML: a slider and a sample picker over synthetic images, segmented by the packaged model."
    model = LesionSegmenter.from_pretrained()
    with tempfile.TemporaryDirectory() as folder:
        data = load_data(synthetic_dataset(folder, n_train=1, n_test=2*count), size=model.size)
        images, masks = to_tensors(data.test)
    predictions = {'isic2016': predict(model, images),
                   'with test-time augmentation': predict_tta(model, images)}
    chosen = pick_by_rank(iou(predictions['isic2016'], masks).numpy(), count)[::-1]
    few = {name: probs[chosen] for name, probs in predictions.items()}
    return _viewer(images[chosen], masks[chosen], few, [data.test.ids[i] for i in chosen], .5)


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
            fields = [lines[f.lineno - 1].strip() for f in node.body
                      if isinstance(f, ast.AnnAssign)]
            if fields: parts.append('\n'.join(['```python', *fields, '```']))
        parts += [f'```python\n{signature(method, lines)}\n```' for method in methods]
    return '\n\n'.join(parts)


STYLE = """
.md-grid { max-width: 90rem } /* a line of code has 100 columns */
.md-typeset .md-button { padding: .3em 1em; font-size: .7rem }
.models { display: flex; flex-wrap: wrap; gap: .6rem 1.2rem }
.models figure { margin: 0; max-width: 100% } .models figcaption { margin: .2rem 0 }
.models canvas { width: 11.2rem; height: 11.2rem; background: #888 }
.controls { display: flex; flex-wrap: wrap; gap: .4rem .8rem; align-items: center }
.controls input { flex: 1 1 14rem } .controls select { font: inherit }
.key span { display: inline-block; width: 1.6em; height: .5em; border: 1px solid }
.key .mask { background: #00e5ff } .key .found { background: #ffd000; margin-left: 1em }
"""


def on_config(config):
    "Build from a cleaned copy of the notebooks."
    pages = Path(tempfile.mkdtemp())
    for path in sorted((root/'nbs').rglob('*.ipynb')):
        if '.ipynb_checkpoints' in path.parts: continue
        target = pages/path.relative_to(root/'nbs')
        target.parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(notebook_page(path), target)
    (pages/'reference').mkdir()
    for name in MODULES:
        (pages/f'reference/{name}.md').write_text(reference(name))
    for name in 'CHANGELOG', 'CONTRIBUTING':
        text = (root/f'{name}.md').read_text()
        (pages/f'{name.lower()}.md').write_text(text.replace('](nbs/', ']('))
    shutil.copy(root/'nbs/references.bib', pages)
    (pages/'try_it.md').write_text(TRY_IT.format(count=12))
    with tempfile.TemporaryDirectory() as folder:
        write_report(find_runs(root/'nbs/studies/results', 'isic2016'), folder)
        shutil.copy(f'{folder}/report.html', pages)
    (pages/'site.css').write_text(STYLE)
    config['docs_dir'] = str(pages)
    return config


def on_page_content(html, page, **others):
    "Put the viewer into its page."
    if page.file.src_uri != 'try_it.md': return html
    return html.replace('<div id="viewer"></div>', viewer())


def on_post_build(config): shutil.rmtree(config['docs_dir'], ignore_errors=True)

"""Writes the pages of the site as plain Markdown; mkdocs calls the functions `on_…` as it builds.

The pages are the notebooks as a reader sees them (no export lines, no hidden cells), a reference
with the signature of each public function, and two pages that the module itself writes."""
import ast, base64, os, re, shutil, tempfile, textwrap
from configparser import ConfigParser
from functools import partial
from html import escape, unescape
from pathlib import Path

import nbformat
from latex2mathml.converter import convert as mathml

from lesionseg import LesionSegmenter
from lesionseg.page import export_page, read_card
from lesionseg.report import write_report
from lesionseg.runs import find_runs
from lesionseg.weights import PACKAGED

root = Path(__file__).parent.parent
ini = ConfigParser(delimiters=['='])
ini.read(root/'settings.ini')
settings = ini['DEFAULT']
repository = f"{settings['git_url']}/blob/{settings['branch']}"
notebooks = sorted(path for path in (root/'nbs').rglob('*.ipynb')
                   if '.ipynb_checkpoints' not in path.parts)
pages = {path.relative_to(root).as_posix(): path.relative_to(root/'nbs').with_suffix('.md')
         for path in notebooks} # Files of the repository, and the pages that show them
pages |= {'CHANGELOG.md': Path('changelog.md'), 'CONTRIBUTING.md': Path('contributing.md'),
          'lesionseg/weights/README.md': Path('card.md')}


def new_link(link, source, folder):
    "A link of the file `source` as a link of its page: to a page, a file beside it, or elsewhere."
    target, mark, anchor = link[1].partition('#')
    names = [os.path.normpath(base/target) for base in (Path(source).parent, Path())]
    name = next((name for name in names if (root/name).is_file()), names[0])
    if name in pages: new = pages[name]
    elif not name.startswith('nbs/'): return f'({repository}/{name}{mark}{anchor}'
    else:
        new = Path(name).relative_to('nbs')
        (folder/new).parent.mkdir(parents=True, exist_ok=True)
        if (root/name).is_file(): shutil.copy(root/name, folder/new)
    return f'({os.path.relpath(new, pages[source].parent)}{mark}{anchor}'


def relink(text, source, folder):
    "Markdown of a file of the repository, with links that hold on its page."
    return re.sub(r'(?<=\])\((?!\w+:|#)([^()\s]+)', partial(new_link, source=source, folder=folder),
                  text).replace('<details>', '<details markdown="1">')


def output_text(output, source, folder, count):
    "What a cell has printed or shown, as Markdown; an image becomes a file."
    data = output.get('data', {})
    for kind in {'image/png', 'image/jpeg'} & data.keys():
        page = folder/pages[source].with_suffix('')
        page.mkdir(parents=True, exist_ok=True)
        name = f"{count}.{kind.removeprefix('image/')}"
        (page/name).write_bytes(base64.b64decode(data[kind]))
        return f'![What the cell above shows]({page.name}/{name}){{ loading=lazy }}'
    if 'text/markdown' in data: return relink(data['text/markdown'], source, folder)

    if 'text/html' in data:
        body = re.sub(r'<style scoped>.*?</style>|border="1" class="dataframe"|\n(?=\s*\n)', '',
                      data['text/html'], flags=re.S)
    else:
        text = output.get('text') or data.get('text/plain') or output['evalue']
        body = f'<pre>{escape(text.rstrip())}</pre>'
    return f'<div class="output">{body}</div>'


def cell_text(cell, source, folder):
    "A cell and its outputs as Markdown; nothing of a hidden one."
    if re.match(r'#\| *hide\b', cell.source): return ''
    if cell.cell_type != 'code': return relink(cell.source, source, folder)
    code = re.sub(r'^#\|.*\n?', '', cell.source, flags=re.M).strip()
    is_shown = code and '#| echo: false' not in cell.source
    outputs = [output_text(output, source, folder, f'{cell.id}-{i}')
               for i, output in enumerate(cell.outputs)]
    return '\n\n'.join([f'```python\n{code}\n```']*bool(is_shown) + outputs)


def module_of(nb):
    "The name of the module that a notebook writes, or None."
    found = [re.match(r'#\| *default_exp (\w+)', cell.source) for cell in nb.cells]
    return next((match[1] for match in found if match), None)


def head(nb, source):
    "A line for below the title: how long it reads, where to run it, what it exports."
    if source == 'nbs/index.ipynb':
        return ('[Try it in this browser](try_it.md){ .md-button .md-button--primary }\n'
                '[Begin the course](00_start_here.md){ .md-button }')
    words = sum(len(cell.source.split()) for cell in nb.cells if cell.cell_type == 'markdown')
    minutes = max(1, round(words/200))
    project = settings['git_url'].removeprefix('https://github.com/')
    colab = f"https://colab.research.google.com/github/{project}/blob/{settings['branch']}/{source}"
    binder = f"https://mybinder.org/v2/gh/{project}/{settings['branch']}?labpath={source}"
    up = '../'*(len(pages[source].parts) - 1)
    parts = [f'[Open in Colab]({colab})', f'[Open in Binder]({binder})']
    if not re.search('minutes? to read', nb.cells[0].source):
        parts.insert(0, f"{minutes} minute{'s'*(minutes > 1)} to read")
    if module_of(nb): parts.append(f'[Reference]({up}reference/{module_of(nb)}.md)')
    return ' · '.join(parts) + '\n{ .head }'


def notebook_page(path, folder):
    "A notebook as Markdown."
    nb, source = nbformat.read(path, 4), path.relative_to(root).as_posix()
    texts = [cell_text(cell, source, folder) for cell in nb.cells]
    title, _, rest = texts[0].partition('\n')
    return '\n\n'.join([title, head(nb, source), rest, *texts[1:]])


def signature(node, lines):
    "A function as it is written, down to its docstring: parameters with their comments."
    first = node.body[0]
    is_doc = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    end = first.end_lineno if is_doc else first.lineno - 1
    return textwrap.dedent('\n'.join(lines[node.lineno - 1:end]))


def public_nodes(tree):
    "The functions and classes of a module that it exports."
    lists = [node.value for node in tree.body if isinstance(node, ast.Assign)
             and ast.unparse(node.targets[0]) == '__all__']
    return [node for node in tree.body if getattr(node, 'name', None) in ast.literal_eval(lists[0])]


def reference(name, notebook):
    "The page of a module: its docstring, and every public function, class and method."
    text = (root/f'lesionseg/{name}.py').read_text()
    tree, lines = ast.parse(text), text.splitlines()
    parts = [f'# lesionseg.{name}', ast.get_docstring(tree) or '',
             f'Built and explained in [its notebook](../{pages[notebook]}).']
    for node in public_nodes(tree):
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


def reference_list(modules):
    "A page with every public name, by module."
    parts = ['# Reference', '> Every public function and class, with what it does.']
    for name in modules:
        tree = ast.parse((root/f'lesionseg/{name}.py').read_text())
        rows = [f'- [`{node.name}`]({name}.md#{node.name}): '
                f"{(ast.get_docstring(node) or '').partition(chr(10))[0]}"
                for node in public_nodes(tree)]
        parts += [f'## [lesionseg.{name}]({name}.md)', '\n'.join(rows)]
    return '\n\n'.join(parts)


def try_it():
    "What `lesionseg_export isic2016 --out page.html` writes, with a way back to the site."
    with tempfile.TemporaryDirectory() as folder:
        export_page(LesionSegmenter.from_pretrained(), f'{folder}/page.html', read_card(PACKAGED))
        text = Path(f'{folder}/page.html').read_text('utf-8')
    return text.replace('<h1>', '<p class="small"><a href="../">lesionseg</a> · Try it</p>\n<h1>')


def report():
    "The published comparison as `lesionseg_compare` writes it, without the photographs."
    with tempfile.TemporaryDirectory() as folder:
        write_report(find_runs(root/'nbs/studies/results', 'isic2016'), folder)
        return Path(f'{folder}/report.html').read_text('utf-8')


WHOLE = { # Pages that are no Markdown: what search knows of them, and who writes them
    'try_it.md': ('# Try it\n\nDrop photographs, see the masks, move the threshold, correct them '
                  'by hand, in the browser and without Python. Nothing is sent anywhere.', try_it),
    'report.md': ('# A report\n\nThe published comparison of feature extraction and fine-tuning as '
                  '`lesionseg_compare` writes it.', report)}


def existing(nav, folder):
    "The contents without pages that do not exist."
    if isinstance(nav, str): return nav if (folder/nav).is_file() else None
    if isinstance(nav, list): return [item for item in (existing(of, folder) for of in nav) if item]
    entries = {title: existing(of, folder) for title, of in nav.items()}
    return {title: of for title, of in entries.items() if of}


def on_config(config):
    "Write all pages into a folder, and build from there."
    folder = Path(tempfile.mkdtemp())
    texts = {f'{pages[name]}': relink((root/name).read_text(), name, folder)
             for name in pages if name.endswith('.md')}
    texts['card.md'] = texts['card.md'].partition('\n---\n')[2]
    modules = {}
    for path in notebooks:
        source = path.relative_to(root).as_posix()
        texts[f'{pages[source]}'] = notebook_page(path, folder)
        modules[module_of(nbformat.read(path, 4))] = source
    modules.pop(None)
    texts |= {f'reference/{name}.md': reference(name, modules[name]) for name in modules}
    texts['reference/index.md'] = reference_list(modules)
    texts |= {name: text for name, (text, _) in WHOLE.items()}
    texts['index.md'] = '---\nhide: [navigation]\n---\n' + texts['index.md']
    for name, text in texts.items():
        (folder/name).parent.mkdir(parents=True, exist_ok=True)
        (folder/name).write_text(text)
    shutil.copy(root/'.ci/site.css', folder)
    config['docs_dir'] = str(folder)
    config['nav'] = existing(config['nav'], folder)
    return config


def formula(match):
    "TeX as MathML, which browsers draw without a script."
    display = 'block' if match[1] == 'div' else 'inline'
    return mathml(unescape(match[2]), display=display)


def on_page_content(html, page, **others):
    "Draw the formulas; take from the code what colors nothing; let search find prose."
    found = r'<(span|div) class="arithmatex">\\[(\[](.*?)\\[)\]]</\1>'
    html = re.sub(found, formula, html, flags=re.S)
    html = re.sub('<span class="[nw]">([^<]*)</span>', r'\1', html)
    code = 'class="language-python'
    is_reference = page.file.src_uri.startswith('reference/')
    return html if is_reference else html.replace(code, f'data-search-exclude {code}')


def on_post_page(output, page, **others):
    "The whole page, where somebody else writes it."
    name = page.file.src_uri
    return WHOLE[name][1]() if name in WHOLE else output


def on_post_build(config):
    "Leave out what no reader loads: source maps, and the search of other languages."
    for path in Path(config['site_dir']).rglob('*.map'): path.unlink()
    shutil.rmtree(Path(config['site_dir'])/'assets/javascripts/lunr')
    shutil.rmtree(config['docs_dir'])

"""How large the module is: `python tests/house.py` prints it, tests/test_house.py holds it.

A room is a file of `lesionseg/`; every line counts, blank ones and nbdev's markers too.
"""
import ast, json, re
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parent.parent
MODULE = ROOT/'lesionseg'
MOST = { # Lines that a room may have: what it has, so that it does not grow unnoticed
    'core': 165, 'files data': 594, 'transforms': 59, 'metrics': 142, 'model': 176,
    'weights': 115, 'inference': 239, 'masks': 331, 'training': 229, 'runs': 278,
    'comparison': 224, 'plots': 240, 'teach': 140, 'editor': 193, 'convert': 106,
    'report release': 228, 'page': 76, 'widgets': 114, 'synthetic': 404, 'download': 105,
    'cli': 479, 'exercises': 100, '__init__ all': 55}
ALL_LINES = 4792 # 7,036 in 0.2.0
READERS = { # Exports that no other file names: readers and their own code use them
    'files.Pair', 'model.STEM', 'model.conv_block', 'model.InvertedResidual',
    'model.mobilenet_features', 'model.decoder_block',
    'transforms.random_affine', 'transforms.color_jitter', 'weights.PACKAGED',
    'weights.ARCHITECTURE', 'inference.OnnxSegmenter', 'training.LOSSES',
    'training.SCHEDULES', 'training.batch_metrics', 'training.lr_lambda',
    'masks.find_images', 'editor.Corrector'}
ORDER = '''core files data metrics model transforms weights inference training runs comparison plots
    synthetic download masks editor convert teach page report release widgets exercises
    cli'''.split() # Imports go back


def source(room):
    return (MODULE/f'{room}.py').read_text()


def rooms():
    "The names of all rooms."
    return sorted(path.stem for path in MODULE.glob('*.py') if path.stem != '_modidx')


def lines(room):
    return source(room).count('\n')


def nodes(kind):
    "All nodes of a kind in the module, as pairs of room and node."
    return [(room, node) for room in rooms() for node in ast.walk(ast.parse(source(room)))
            if isinstance(node, kind)]


def count(kind):
    return len(nodes(kind))


def functions():
    return nodes((ast.FunctionDef, ast.AsyncFunctionDef))


def body_lines(function):
    "Lines of a function from its `def` to its end, without its decorators."
    return function.end_lineno - function.lineno + 1


def parameters(function):
    "How many parameters a caller may give."
    given = function.args
    names = [arg.arg for arg in (*given.posonlyargs, *given.args, *given.kwonlyargs)]
    return len([name for name in names if name not in ('self', 'cls')])


def width(percent=90):
    "Percentile of the widths of all lines that hold something."
    widths = [len(line) for room in rooms() for line in source(room).splitlines() if line.strip()]
    return float(np.percentile(widths, percent))


def exports(room):
    "The public names of a room."
    for node in ast.parse(source(room)).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], 'id', '') == '__all__':
            return ast.literal_eval(node.value)
    return []


def code_of(notebook):
    cells = json.loads(notebook.read_text())['cells']
    return '\n'.join(''.join(cell['source']) for cell in cells if cell['cell_type'] == 'code')


def alone():
    "Exports that no other file names: no room, notebook, test or page."
    places = {path.stem: path.read_text() for path in MODULE.glob('*.py')
              if path.stem not in ('_modidx', 'all')}
    codes = {path: code_of(path) for path in (ROOT/'nbs').rglob('*.ipynb')
             if '.ipynb_checkpoints' not in path.parts}
    notebooks = {(re.search(r'default_exp (\w+)', code) or [path, path])[1]: code
                 for path, code in codes.items()}
    others = {path.name: path.read_text() for path in
              [*ROOT.glob('tests/test_*.py'), *ROOT.glob('.ci/*.py'), ROOT/'settings.ini']}
    texts = [(name, text) for group in (places, notebooks, others) for name, text in group.items()]
    return [f'{room}.{name}' for room in ORDER for name in exports(room)
            if not any(re.search(rf'\b{name}\b', text) for home, text in texts if home != room)]


def main():
    print(f'{"lines":>6} {"at most":>8}  room')
    for names, most in MOST.items():
        print(f'{sum(map(lines, names.split())):6} {most:8}  {names}')
    print(f'{sum(map(lines, rooms())):6} {ALL_LINES:8}  all')
    raised, tried = count(ast.Raise), count(ast.Try)
    private = [node for room, node in functions() if node.name.startswith('_')
               and not node.name.startswith('__')]
    print(f'{raised} raise, {tried} try, {len(private)} of {len(functions())} functions private')
    print(f'longest function {max(body_lines(node) for _, node in functions())} lines; '
          f'90 % of the lines have at most {width():.0f} characters')
    print('exports that no other file names:', *alone())


if __name__ == '__main__': main()

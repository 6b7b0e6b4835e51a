"The module is small, and stays so: the counts of house.py, and what ruff says."
import ast

import pytest

import house
from conftest import NOTEBOOKS, ROOT, code_cells, shell

CHAPTERS = [path for path in NOTEBOOKS if path.name[:2] in ('01', '02', '03', '04', '05')]
LONG = {'03', '04', '05'} # chapters that had grown too long


@pytest.mark.parametrize('names', house.MOST)
def test_a_room_has_few_lines(names):
    assert sum(map(house.lines, names.split())) <= house.MOST[names]


def test_the_module_has_few_lines():
    assert sum(map(house.lines, house.rooms())) <= house.ALL_LINES
    assert {*house.ORDER, '__init__', 'all'} == {*house.rooms()}


def test_guards_are_few():
    assert house.count(ast.Raise) <= 70
    assert house.count(ast.Try) <= 24


def test_functions_are_short():
    long = [f'{room}.{node.name}: {house.body_lines(node)}' for room, node in house.functions()
            if house.body_lines(node) > 30 and room != 'cli']
    assert long == []


def test_lines_are_not_dense():
    assert house.width() <= 90
    wide = [f'{room}, line {number}' for room in house.rooms()
            for number, line in enumerate(house.source(room).splitlines(), 1)
            if len(line) > 100 and number > 8] # nbdev's head: title and __all__
    assert wide == []


def test_exports_are_used_elsewhere():
    assert {*house.alone()} <= house.READERS


def test_ruff():
    run = shell('ruff', 'check', '--no-cache', 'lesionseg', 'tests', '.ci', 'setup.py', 'nbs')
    assert run.returncode == 0, run.stdout[-3000:]


@pytest.mark.parametrize('path', CHAPTERS, ids=lambda path: path.stem)
def test_a_chapter_holds_what_it_teaches(path):
    cells = [cell for cell in code_cells(path) # folded ones, as those that check answers, aside
             if not cell['metadata'].get('jupyter', {}).get('source_hidden')]
    count = {cell['id']: cell['text'].count('\n') + 1 for cell in cells}
    hidden = [cell['id'] for cell in cells if cell['text'].startswith('#| hide')]
    lines = sum(count.values())
    assert sum(count[id] for id in hidden) <= .15*lines
    if path.name[:2] in LONG: assert len(cells) <= 70 and lines <= 600


def names(source, kind):
    "Names that a cell's source defines (ast.Store) or uses (ast.Load)."
    clean = '\n'.join('' if line.lstrip().startswith(('%', '!')) else line
                      for line in source.splitlines())
    found = set()
    for node in ast.walk(ast.parse(clean)):
        if isinstance(node, ast.Name) and isinstance(node.ctx, kind): found.add(node.id)
        if kind is ast.Store and isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            found.add(node.name)
        if kind is ast.Store and isinstance(node, ast.arg): found.add(node.arg)
        if kind is ast.Store and isinstance(node, ast.alias):
            found.add((node.asname or node.name).split('.')[0])
    return found


@pytest.mark.parametrize('path', NOTEBOOKS, ids=lambda path: path.stem)
def test_visible_cells_need_no_hidden_one(path):
    "A reader of the site, where hidden cells are dropped, can follow each name."
    visible, hidden = set(), set()
    for cell in code_cells(path):
        if cell['text'].startswith('#| hide'):
            hidden |= names(cell['text'], ast.Store)
            continue
        visible |= names(cell['text'], ast.Store)
        assert names(cell['text'], ast.Load) & hidden - visible == set(), cell['text'][:200]


@pytest.mark.parametrize('path', NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_light(path):
    assert path.stat().st_size <= 500_000


def test_the_notebooks_are_light_to_clone():
    files = [path for path in (ROOT/'nbs').rglob('*') if path.is_file()
             and '.ipynb_checkpoints' not in path.parts and 'runs' not in path.parts]
    assert sum(path.stat().st_size for path in files) <= 10*2**20
    assert len([path for path in files if 'results' in path.parts]) <= 30

"""Each decimal that stands in prose, and what it is bound to.

`tests/prose.csv` has a row for each: file, cell, the words around it, the number, and
what it is bound to. That is one of

- `claim: NAME`, a row of claims.csv, which the tests compute from the results;
- `assert: CELL`, a cell that asserts this number; `output: CELL`, one that shows it (cells have
  unique ids, and may be of another notebook); `code: CELL`, one that is set to it;
- `derived: EXPRESSION`, arithmetic; `cited: KEY`, an entry of references.bib;
- `setting: WORDS`, a number that nothing here computes, and what it is.

`python tests/prose.py` writes the table anew: it keeps what was bound, binds what is new to a cell
that holds the number, and lists what it could not bind."""
import ast, json, math, re
from functools import cache
from pathlib import Path

import pandas as pd
from scipy import stats

ROOT = Path(__file__).parent.parent
TABLE = ROOT/'tests/prose.csv'
COLUMNS = ['file', 'cell', 'before', 'number', 'after', 'bound']
PLACE = COLUMNS[:5]
TEXTS = ['README.md', 'lesionseg/weights/README.md', 'lesionseg/static/card.md']
DECIMAL = re.compile(r'(?<![\w./])\d*\.\d+(?![\w/]|\.\d)')
NO_PROSE = re.compile(r'\]\([^)]*\)|https?://\S+|arXiv\s+\d+\.\d+|doi 10\.\S+|\{[{%].*?[%}]\}')
NUMBER = re.compile(r'(?<![\w.])\d*\.\d+(?:e-?\d+)?|(?<![\w.])\d+(?:e-?\d+)?(?![\w.])')


@cache
def notebook(file):
    return json.loads((ROOT/file).read_text())['cells']


@cache
def files():
    "Texts and notebooks, by their paths from the root."
    found = sorted((ROOT/'nbs').rglob('*.ipynb'))
    found = [path for path in found if '.ipynb_checkpoints' not in path.parts]
    return TEXTS + [path.relative_to(ROOT).as_posix() for path in found]


def prose_of(file):
    "The prose of a file by cell."
    if not file.endswith('.ipynb'): return {'': (ROOT/file).read_text()}
    return {cell['id']: ''.join(cell['source']) for cell in notebook(file)
            if cell['cell_type'] == 'markdown'}


def decimals(text):
    "Where the decimals of a text stand; not those of addresses."
    blind = NO_PROSE.sub(lambda found: '#'*len(found[0]), text)
    return list(DECIMAL.finditer(blind))


def rows_of(file, cell, text):
    "A row without a binding for each decimal of a cell."
    rows = []
    for found in decimals(text):
        before, after = text[max(0, found.start() - 40):found.start()], text[found.end():][:20]
        before, after = (re.sub(r'\s+', ' ', part).strip() for part in (before, after))
        rows.append((file, cell, before, found[0], after))
    return rows


def all_rows():
    return [row for file in files() for cell, text in prose_of(file).items()
            for row in rows_of(file, cell, text)]


def read_table():
    "The committed table, with all cells as text."
    return pd.read_csv(TABLE, dtype=str, keep_default_na=False)


# What a cell holds.

@cache
def cells():
    "All code cells by their ids."
    return {cell['id']: cell for file in files() if file.endswith('.ipynb')
            for cell in notebook(file) if cell['cell_type'] == 'code'}


def literals(node):
    "The numbers with a point in a piece of code; not the tolerance of a comparison."
    tolerances = {part for call in ast.walk(node) if isinstance(call, ast.keyword)
                  and call.arg == 'eps' for part in ast.walk(call)}
    return [abs(part.value) for part in ast.walk(node) if part not in tolerances
            and isinstance(part, ast.Constant) and type(part.value) is float]


def is_check(node):
    "Is a statement an assertion, or a call of one of fastcore's?"
    if isinstance(node, ast.Assert): return True
    call = node.value if isinstance(node, ast.Expr) else None
    return isinstance(call, ast.Call) and getattr(call.func, 'id', '').startswith('test_')


@cache
def held(kind, cell):
    "The numbers that a cell asserts, is set to, or shows."
    source = ''.join(cells()[cell]['source'])
    if kind == 'output': return [float(part) for part in NUMBER.findall(shown(cells()[cell]))]
    tree = ast.parse(re.sub(r'^\s*[%!].*', '', source, flags=re.M))
    if kind == 'code': return literals(tree) + [float(n) for n in DECIMAL.findall(source)]
    return [number for node in ast.walk(tree) if is_check(node) for number in literals(node)]


def shown(cell):
    "What a cell puts out, as text."
    text = ''
    for output in cell['outputs']:
        data = output.get('data', {})
        text += ''.join(output.get('text', '')) + '\n'
        kind = 'text/html' if 'text/html' in data else 'text/plain'
        text += re.sub('<[^>]*>', ' ', ''.join(data.get('text/markdown') or data.get(kind, '')))
    return text


def agrees(printed, number):
    "Is the printed number this one, rounded to as many digits?"
    digits = len(printed.partition('.')[2])
    return abs(float(printed) - number) <= .5*10**-digits + 1e-9


def is_bound(number, bound, claims=(), sources=()):
    "Does what a number is bound to hold that number?"
    kind, _, rest = bound.partition(': ')
    if kind == 'setting': return bool(rest)
    if kind == 'cited': return rest in sources
    if kind == 'derived': return agrees(number, eval(rest, {'math': math, 'stats': stats}))
    if kind == 'claim': return rest in claims and any(agrees(number, n) for n in claims[rest])
    if rest not in cells(): return False
    if kind == 'code': return float(number) in held(kind, rest)
    return any(agrees(number, value) for value in held(kind, rest))


def bind(row, claims):
    "The claim, or the cell of the same notebook, that holds a number; empty if there is none."
    file, cell, _, number, _ = row
    for name, (where, values) in claims.items():
        if where == (file, cell) and number in values: return f'claim: {name}'
    if file == 'README.md': file = 'nbs/index.ipynb' # which it is written from
    if not file.endswith('.ipynb'): return ''
    code = [cell['id'] for cell in notebook(file) if cell['cell_type'] == 'code']
    for kind in 'assert', 'output', 'code':
        for id in reversed(code):
            if is_bound(number, f'{kind}: {id}'): return f'{kind}: {id}'
    return ''


def sources():
    "The keys of references.bib."
    return re.findall(r'^@\w+\{([^,]+),', (ROOT/'nbs/references.bib').read_text(), re.M)


def faults(file, cell, text, bounds, claims=(), keys=()):
    """What is wrong with the decimals of a cell; `bounds` are the table's rows of this cell.

    A decimal must stand in the table with the words around it, and be what it is bound to."""
    rows = rows_of(file, cell, text)
    strangers = [row for row in rows if row not in bounds]
    gone = [row for row in bounds if row not in rows]
    loose = [row for row in rows if row in bounds
             and not is_bound(row[3], bounds[row], claims, keys)]
    return [('not in the table', *row) for row in strangers] \
        + [('not in the prose', *row) for row in gone] \
        + [(f'not what it is bound to ({bounds[row]})', *row) for row in loose]


def table_by_cell():
    "(file, cell) → the table's rows there, each with its binding."
    found = {}
    for *row, bound in read_table()[COLUMNS].itertuples(index=False):
        found.setdefault((row[0], row[1]), {})[tuple(row)] = bound
    return found


def claims_by_place():
    "Name of a claim → its file and cell, and the numbers as they are printed."
    table = pd.read_csv(TABLE.parent/'claims.csv', dtype=str, keep_default_na=False)
    return {row['claim']: ((row['where'], row['cell']), [row['value'], row['low'].lstrip('−-'),
                           row['high'].lstrip('−-')]) for row in table.to_dict('records')}


def keys_of(row):
    "What a row is known by in an older table, from the strictest on."
    file, cell, before, number, _ = row
    return row, (file, number, before[-12:]), (file, cell, number)


def main():
    old = read_table().to_dict('records') if TABLE.exists() else []
    known = {} # the same words; the same few words before it; the same cell
    for row in old:
        place = tuple(row[key] for key in PLACE)
        for key in keys_of(place): known.setdefault(key, row['bound'])
    claims, rows = claims_by_place(), []
    for row in all_rows():
        bound = next((known[key] for key in keys_of(row) if known.get(key)), '')
        by_cell = bound.startswith(('assert', 'output', 'code'))
        if not bound or by_cell and not is_bound(row[3], bound): bound = bind(row, claims)
        rows.append((*row, bound))
    pd.DataFrame(rows, columns=COLUMNS).to_csv(TABLE, index=False)
    free = [row for row in rows if not row[-1]]
    for row in free: print(*row[:2], '…', row[2], f'[{row[3]}]', row[4])
    print(f'{len(rows)} decimals, {len(free)} of them bound to nothing')


if __name__ == '__main__': main()

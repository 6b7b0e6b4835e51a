"""Each number that the texts report is followed to the committed file that it comes from.

`tests/claims.csv` has a row for each claim: what is claimed, the file, cell and words
that print it, the value and its interval as printed there, the table, how it is computed from it,
and the command that makes the table. The column `how` names a function of this module, then a
column, then conditions. Every other decimal of the prose is in prose.csv, see `prose.py`."""
import ast, contextlib, io, re
from fnmatch import fnmatch
from functools import cache

import numpy as np, pandas as pd, pytest
from scipy import stats

import mutate_prose, prose
from conftest import ROOT, code_cells
from lesionseg.comparison import bootstrap_interval

CLAIMS = pd.read_csv(ROOT/'tests/claims.csv', dtype=str, keep_default_na=False)
CLAIMS = CLAIMS.to_dict('records')
ids = [f"{claim['where'].split('/')[-1]}: {claim['claim']}"[:80] for claim in CLAIMS]
WORDS = {'seventeenth': '17', 'twelfth': '12'}


def words_of(where, cell):
    "What a reader sees at a place: a text, the prose of a cell, or what a cell puts out."
    texts = prose.prose_of(where)
    text = texts[cell] if cell in texts else prose.shown(prose.cells()[cell])
    return re.sub(r'\s+', ' ', text)


@cache
def tables(where):
    "The tables that `FILE`, `FILE: column=value` or `FILE: group/run*` means, one for each run."
    file, _, part = where.partition(': ')
    table = pd.read_csv(ROOT/'nbs/studies/results'/file, low_memory=False)
    if not part: return [table]
    if '=' in part: return [rows(table, [part]).dropna(axis=1, how='all')]
    runs = table.groupby(['group', 'run'])
    return [of_run for (group, run), of_run in runs if fnmatch(f'{group}/{run}', part)]


def rows(table, conditions):
    "The rows for which all conditions (column=value, column!=value) hold."
    for condition in conditions:
        column, unequal, value = re.fullmatch(r'(.+?)(!?)=(.+)', condition).groups()
        text = '{:g}'.format if table[column].dtype == float else str
        is_equal = table[column].map(text) == value
        table = table[is_equal != bool(unequal)]
    assert len(table), f'no row with {conditions}'
    return table


def of_images(files, column, conditions):
    "The values of each image: a row for an image, a column for a run (or just one)."
    parts = [rows(table, conditions).set_index('id') for table in files]
    keys = ['seed'] if 'seed' in parts[0] else []
    if not keys: return pd.concat([part[column].dropna() for part in parts], axis=1)
    return parts[0].pivot(columns=keys, values=column)


# How a value is computed: (files, column, conditions) → value, or value, low and high.

def mean(files, column, conditions):
    "Mean over images and runs, and its 95 % bootstrap interval over images."
    values = of_images(files, column, conditions)
    return values.mean().mean(), *bootstrap_interval(values.mean(axis=1))

def sd(files, column, conditions):
    "Standard deviation between the runs."
    return of_images(files, column, conditions).mean().std()

def lowest(files, column, conditions): return of_images(files, column, conditions).mean().min()
def highest(files, column, conditions): return of_images(files, column, conditions).mean().max()
def median(files, column, conditions): return rows(files[0], conditions)[column].median()
def percent(files, column, conditions): return 100*rows(files[0], conditions)[column].mean()
def average(files, column, conditions): return rows(files[0], conditions)[column].mean()
def cell(files, column, conditions): return one(rows(files[0], conditions))[column]
def count(files, column, conditions): return rows(files[0], conditions)[column].count()

def one(table):
    "The only row of a table."
    assert len(table) == 1, f'{len(table)} rows instead of one'
    return table.iloc[0]

def cell_with_interval(files, column, conditions):
    "A value, and the columns low and high beside it."
    row = one(rows(files[0], conditions))
    return row[column], row['low'], row['high']

def paired_gain(files, column, conditions):
    """Second half of the files minus the first, seed by seed: mean, and a t interval over seeds.

    The variance has two parts: the seeds (n − 1 degrees of freedom) and the images."""
    half = len(files)//2
    first, second = (of_images(part, column, conditions) for part in (files[:half], files[half:]))
    return blocked(second.to_numpy() - first.loc[second.index].to_numpy())

def blocked(difference):
    "Mean and interval of a difference, a row for an image and a column for a seed."
    seeds, images = difference.mean(0), difference.mean(1)
    error = (seeds.var(ddof=1)/len(seeds) + images.var(ddof=1)/len(images))**.5
    half_width = stats.t.ppf(.975, len(seeds) - 1)*error
    return seeds.mean(), seeds.mean() - half_width, seeds.mean() + half_width

def best_epoch_gain(files, column, conditions):
    "The most that the best epoch has over the last, among the runs."
    return max(table[column].max() - table[column].iloc[-1] for table in files)

def whole_run(files, column, conditions):
    "How many times the seconds of a run fit into those of the published loop: median over seeds."
    table = files[0]
    end = table[table.change == 'as published'].seconds.max()
    seconds = rows(table, conditions).groupby('seed').seconds.max()
    return round(end/seconds.median())

def raced(files, column, conditions):
    "How many times a run fits into the published loop's time: the least of the rounds."
    table = files[0].pivot(index='round', columns='change', values=column)
    return round((table['as published']/table[conditions[0]]).min())

def longest(files, column, conditions):
    "Median over seeds of the last value of a column that counts up."
    return rows(files[0], conditions).groupby('seed')[column].max().median()

def lowest_end(files, column, conditions):
    "The lowest last value among the seeds."
    return rows(files[0], conditions).groupby('seed')[column].last().min()

MARKS = {'iou': .823, 'soft_iou': .724}

def reached(files, column, conditions):
    "The mark of a metric, if every seed ends above it."
    return MARKS[column] if lowest_end(files, column, conditions) > MARKS[column] else np.nan

def loss(files, column, conditions):
    "How much less a strategy scores than the tuned recipe: a table with two rows of column names."
    table = tables_with_two_headers(files[0])
    return (table['tuned'].mean(axis=1) - table[column].mean(axis=1)).mean()

def level(files, column, conditions):
    "Mean score of a strategy: a table with two rows of column names."
    return tables_with_two_headers(files[0])[column].to_numpy().mean()

def deep(files, column, conditions):
    "Mean over a collection's images and all runs with these names: three rows of column names."
    table = files[0]
    keys = zip((re.sub(r'\.\d+$', '', name) for name in table), table.iloc[0], table.iloc[1])
    chosen = [{*conditions} <= {str(part) for part in key} for key in keys]
    return table[table.iloc[:, 0] == column].loc[:, chosen].astype(float).to_numpy().mean()

def blocked_gain(files, column, conditions):
    "One strategy minus another, seed by seed, of a table with two rows of column names."
    table = tables_with_two_headers(files[0])
    return blocked(table[column].to_numpy() - table[conditions[0]].to_numpy())

def over_teacher(files, column, conditions):
    "How much more a network scores than the first teacher, on the same images."
    table = files[0].pivot(index='id', columns='network', values=column)
    return (table[conditions[0]] - table['teacher, 192 px']).mean()

def count_below(files, column, conditions): return (files[0][column] <= float(conditions[0])).sum()

def where_drawn_twice(files, column, conditions):
    "Mean over the test images that two people or more have drawn."
    people = files[0]
    return files[0].set_index('id').loc[people[people.part == 'test'].id, column].mean()

def calibration(files, column, conditions):
    "Expected calibration error, over all pixels or over those from 0.1 to 0.9."
    table = rows(files[0], conditions)
    if column == 'undecided': table = table[table.bin.between(1, 8)]
    gap = (table.probability - table.frequency).abs()
    return (gap*table['share']).sum()/table['share'].sum()

def tables_with_two_headers(table):
    "The same table with its first row taken into the column names."
    names = list(table.columns[1:]) # pandas adds .1, .2, … to a name that it has seen
    strategy = [re.sub(r'\.\d+$', '', name) for name in names]
    strategy = [short if short in names else name for short, name in zip(strategy, names)]
    means = table.iloc[:, 0].astype(str).str.startswith('mean of') # a last row of another kind
    values = table[~means].iloc[2:, 1:].astype(float)
    values.columns = pd.MultiIndex.from_arrays([strategy, range(len(strategy))])
    return values

HOW = {f.__name__: f for f in (
    mean, sd, lowest, highest, average, median, percent, cell, count, cell_with_interval,
    paired_gain, best_epoch_gain, whole_run, raced, longest, lowest_end, reached, loss,
    level, deep, blocked_gain, over_teacher,
    calibration, count_below, where_drawn_twice)}


@cache
def compute(file, how):
    name, column, *conditions = [word.strip() for word in how.split(';')]
    files = tables(file)
    assert files, f'{file} is missing'
    return np.atleast_1d(HOW[name](files, column, conditions)).tolist()


def computed(claim):
    "What the file says: value, low and high; the last two may be missing."
    return compute(claim['file'], claim['how'])


def agrees(printed, number):
    "Is the printed number this one, rounded to as many digits?"
    printed = WORDS.get(printed, printed).replace('−', '-')
    digits = len(printed.partition('.')[2])
    return abs(float(printed) - number) <= .5*10**-digits + 1e-9


@pytest.mark.parametrize('claim', CLAIMS, ids=ids)
def test_claim(claim):
    printed = [claim[key] for key in ('value', 'low', 'high') if claim[key]]
    for text, number in zip(printed, computed(claim), strict=False):
        assert agrees(text, number), f'{text} is printed, {number:.5f} is computed'
    assert claim['fragment'] in words_of(claim['where'], claim['cell']), 'is not there'
    for text in printed:
        pattern = rf'(?<![\d.]){re.escape(text)}(?!\d)'
        assert re.search(pattern, claim['fragment']), f"{text} is not in {claim['fragment']!r}"
    if claim['low']: assert len(computed(claim)) == 3


def changed(printed):
    "The same number with one added to its last digit."
    printed = WORDS.get(printed, printed)
    digits = len(printed.partition('.')[2])
    return f'{float(printed.replace("−", "-")) + 10**-digits:.{digits}f}'


@pytest.mark.parametrize('claim', CLAIMS, ids=ids)
def test_a_changed_number_is_seen(claim):
    numbers = dict(zip(('value', 'low', 'high'), computed(claim)))
    for key, number in numbers.items():
        if claim[key] and not agrees(claim[key], number): pytest.skip('is wrong as it is')
        if claim[key]: assert not agrees(changed(claim[key]), number + 1e-6)


def claimed():
    "All claims by their names, with what the files say, without signs."
    return {claim['claim']: [abs(number) for number in computed(claim)] for claim in CLAIMS}


def test_every_decimal_of_prose_is_bound():
    "Where one is new, or its words have changed: python tests/prose.py writes the table anew."
    claims, keys, bounds = claimed(), prose.sources(), prose.table_by_cell()
    places = {(file, cell): text for file in prose.files()
              for cell, text in prose.prose_of(file).items()}
    found = [fault for place in places | dict.fromkeys(bounds, '')
             for fault in prose.faults(*place, places.get(place, ''), bounds.get(place, {}),
                                       claims, keys)]
    assert found == []


def test_a_changed_decimal_of_prose_is_seen():
    counted = mutate_prose.mutate(claimed())
    assert (counted.alone >= .98*counted.changes).all()
    assert counted['with table'].sum() >= .9*counted.checked.sum()


def outputs_of(path):
    "What the code cells of a notebook put out today, by cell; run in the folder of the notebook."
    scope, found = {}, {}
    for cell in code_cells(path):
        body = ast.parse(cell['text']).body
        last = [ast.Expression(body.pop().value)] if isinstance(body[-1], ast.Expr) else []
        said, value = io.StringIO(), None
        with contextlib.redirect_stdout(said):
            exec(compile(ast.Module(body, []), path.name, 'exec'), scope)
            for node in last: value = eval(compile(node, path.name, 'eval'), scope)
        shown = getattr(value, 'data', None) if type(value).__name__ == 'Markdown' else value
        found[cell['id']] = said.getvalue() + ('' if shown is None else str(shown))
    return found


@pytest.mark.parametrize('name', ['index.ipynb', 'studies/what_came_out.ipynb'])
def test_results_are_shown_as_they_are(name, monkeypatch):
    "The cells that only read committed results show what these hold."
    path = ROOT/'nbs'/name
    monkeypatch.chdir(path.parent)
    with pd.option_context('display.width', 250, 'display.max_columns', None):
        now = outputs_of(path)
    numbers = {cell['id']: prose.NUMBER.findall(prose.shown(cell)) for cell in code_cells(path)}
    wrong = {cell: sorted({*shown} - {*prose.NUMBER.findall(now[cell])})
             for cell, shown in numbers.items()}
    assert {cell: missing for cell, missing in wrong.items() if missing} == {}


NEEDED = {'article': {'journal', 'year'}, 'inproceedings': {'booktitle', 'year'},
          'book': {'publisher', 'year'}, 'misc': set()}


def test_references_have_what_bibtex_asks_for():
    text = (ROOT/'nbs/references.bib').read_text()
    entries = re.findall(r'^@(\w+)\{(\w+),\n(.*?)^\}', text, re.M | re.S)
    assert [key for _, key, _ in entries] == prose.sources()
    lacking = {key: (NEEDED[kind] | {'author', 'title'}) - {*re.findall(r'^  (\w+) =', body, re.M)}
               for kind, key, body in entries}
    assert {key: fields for key, fields in lacking.items() if fields} == {}

"""Each number that the texts report is followed to the committed file that it comes from.

`nbs/studies/results/claims.csv` has a row for each: what is claimed, where it is printed, the value
and its interval as printed there, the file, how it is computed from it, and the command that makes
the file. The column `how` names a function of this module, then a column, then conditions."""
import json, re
from fnmatch import fnmatch
from functools import cache

import numpy as np, pandas as pd, pytest
from scipy import stats

from conftest import ROOT
from lesionseg.comparison import bootstrap_interval

CLAIMS = pd.read_csv(ROOT/'nbs/studies/results/claims.csv', dtype=str, keep_default_na=False)
CLAIMS = CLAIMS.to_dict('records')
ids = [f"{claim['where'].split('/')[-1]}: {claim['claim']}"[:80] for claim in CLAIMS]
WORDS = {'seventeenth': '17', 'twelfth': '12'}


@cache
def text_of(path):
    "What a reader sees: a file's text; of a notebook its prose, and what its cells put out."
    content = (ROOT/path).read_text()
    if not path.endswith('.ipynb'): return content
    cells = json.loads(content)['cells']
    seen = [''.join(cell['source']) for cell in cells if cell['cell_type'] == 'markdown']
    for output in (output for cell in cells for output in cell.get('outputs', ())):
        data = output.get('data', {})
        seen.append(''.join(output.get('text', '')))
        seen += [''.join(data.get(kind, ''))
                 for kind in ('text/html', 'text/plain', 'text/markdown')]
    return '\n'.join(seen)


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
    if not keys: return pd.concat([part[column] for part in parts], axis=1)
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


def computed(claim):
    "What the file says: value, low and high; the last two may be missing."
    name, column, *conditions = [word.strip() for word in claim['how'].split(';')]
    files = tables(claim['file'])
    assert files, f"{claim['file']} is missing"
    return np.atleast_1d(HOW[name](files, column, conditions)).tolist()


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
    for text in printed:
        pattern = rf'(?<![\d.]){re.escape(text)}(?!\d)'
        assert re.search(pattern, text_of(claim['where'])), f"{text} is not in {claim['where']}"
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

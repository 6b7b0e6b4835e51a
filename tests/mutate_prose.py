"""Changes each decimal of the prose, one at a time, and counts how many changes are seen.

Three changes of each: one more in the last digit, one more in the first digit that counts, and two
digits swapped. A change is seen `alone` if the prose then differs from prose.csv. Of the numbers
that something computes, asserts or shows (`checked`; not settings, examples and cited ones), `with
table` counts the changes that are seen even if prose.csv is changed alike.

`python tests/mutate_prose.py` writes tests/mutations.csv (seconds)."""
import pandas as pd

import prose

RESULT = prose.TABLE.parent/'mutations.csv'
SEEN = ['alone', 'checked', 'with table']


def raised(number, place):
    "The number with one more in the digit at a place; 9 becomes 8."
    digit = 8 if number[place] == '9' else int(number[place]) + 1
    return f'{number[:place]}{digit}{number[place + 1:]}'


def changes(number):
    "Up to three wrong numbers that look like this one."
    counts = [i for i, digit in enumerate(number) if digit.isdigit()]
    first = next((i for i in counts if number[i] != '0'), counts[-1])
    found = {raised(number, counts[-1]), raised(number, first)}
    for i, j in zip(counts, counts[1:]):
        parts = [*number]
        parts[i], parts[j] = parts[j], parts[i]
        if j == i + 1: found.add(''.join(parts))
    return sorted(wrong for wrong in found if float(wrong) != float(number))[:3]


def mutate(claims):
    "For each file: its decimals, the changes, and how many of them are seen."
    bounds, keys, rows = prose.table_by_cell(), prose.sources(), []
    for file in prose.files():
        for cell, text in prose.prose_of(file).items():
            of_cell = bounds.get((file, cell), {})
            for found in prose.decimals(text):
                row = prose.rows_of(file, cell, text[:found.end()])[-1]
                bound = next(bound for known, bound in of_cell.items() if known[:4] == row[:4])
                for wrong in changes(found[0]):
                    changed = text[:found.start()] + wrong + text[found.end():]
                    alone = prose.faults(file, cell, changed, of_cell)
                    checked = not bound.startswith(('setting', 'cited'))
                    both = checked and not prose.is_bound(wrong, bound, claims, keys)
                    rows.append((file, found.start(), cell, bool(alone), checked, both))
    table = pd.DataFrame(rows, columns=['file', 'place', 'cell', *SEEN])
    counted = table.groupby('file', sort=False)[SEEN].sum()
    counted.insert(0, 'changes', table.groupby('file').size())
    decimals = table.drop_duplicates(['file', 'cell', 'place']).groupby('file').size()
    counted.insert(0, 'decimals', decimals)
    return counted


def main():
    from test_claims import claimed
    counted = mutate(claimed())
    counted.to_csv(RESULT)
    total = counted.sum()
    print(counted.to_string())
    print(f'{total.decimals} decimals, {total.changes} changes: {total.alone} seen in prose alone, '
          f"{total['with table']} of {total.checked} checked ones with the same change there")


if __name__ == '__main__': main()

"""What a reader meets, chapter by chapter: `python tests/course.py` prints it, test_course.py
holds it. With `--run` it also runs all cells of each chapter, one after the other, on two cores,
and prints the seconds that passed, those of the CPU, and how many other processes wanted it.

Words are those of the prose, from the title to the exercises; code, links, the map and the list
of sources are left out. They are read at 200 a minute. A glossary term is explained where it
first stands in bold; it is early if a paragraph before uses it and does not link to what
explains it. The cell at the head of a chapter, which says what is to come, may use any."""
import json, math, os, re, resource, subprocess, sys, tempfile, time
from pathlib import Path

NBS = Path(__file__).parent.parent/'nbs'
CHAPTERS = {'01_data': '1 Data', '02_metrics': '2 Metrics', '03_model': '3 Model',
            '04_training': '4 Training', '05_comparison': '5 Comparison',
            '06_your_study': '6 Your study'}
ENTRY = re.compile(r'^\*\*(.+?)\*\*: .+\. \(\[[^]]+\]\((.+)\.ipynb\)\)$', re.M)


def cells(name, kind):
    "The cells of one kind, each with its source as text."
    found = json.loads((NBS/f'{name}.ipynb').read_text())['cells']
    return [cell | {'text': ''.join(cell['source'])} for cell in found
            if cell['cell_type'] == kind]


def stations(name):
    "The map that stands at the head of a chapter."
    return ' → '.join(f'**{title}**' if chapter == name else f'[{title}]({chapter}.ipynb)'
                      for chapter, title in CHAPTERS.items())


def lesson(name):
    "The prose of a chapter up to its exercises."
    texts = []
    for cell in cells(name, 'markdown'):
        if cell['text'].startswith('## Exercises'): break
        texts.append(cell['text'])
    return '\n\n'.join(texts)


def words(name):
    "How many words a chapter has to read."
    text = re.sub(r'^Sources:.*$', '', lesson(name).replace(stations(name), ''), flags=re.M)
    text = re.sub(r'```.*?```', '', text, flags=re.S)
    text = re.sub(r'\]\([^)]*\)', ']', text)
    return len([word for word in text.split() if re.search(r'\w', word)])


def minutes(name): return math.ceil(words(name)/200)


def visible_share(name):
    "Share of the lines of code that a reader sees, folded cells aside."
    code = [cell['text'] for cell in cells(name, 'code')
            if not cell['metadata'].get('jupyter', {}).get('source_hidden')]
    lines = [(text.count('\n') + 1, text.startswith('#| hide')) for text in code]
    return sum(n for n, hidden in lines if not hidden)/sum(n for n, _ in lines)


def paragraphs():
    "All prose in reading order, heads of chapters aside: chapter and paragraph."
    found = []
    for name in CHAPTERS:
        for cell in cells(name, 'markdown')[1:]:
            lines = re.sub(r'`[^`]*`', ' ', cell['text']).split('\n')
            found += [(name, line) for line in lines if not line.startswith(('#', 'Sources'))]
    return found


def early():
    "Terms of the glossary that a chapter uses before one explains them, or that none explains."
    glossary = '\n'.join(cell['text'] for cell in cells('glossary', 'markdown'))
    read, found = paragraphs(), []
    for term, home in ENTRY.findall(glossary):
        if home not in CHAPTERS: continue
        flags = re.I if term.islower() else 0
        use = re.compile(rf'(?<![\w-]){re.escape(term)}(?:e?s)?(?![\w-])', flags)
        bold = re.compile(rf'\*\*[^*]*{re.escape(term)}[^*]*\*\*', re.I)
        explained = [i for i, (_, line) in enumerate(read) if bold.search(line)]
        if not explained:
            found.append((term, home, 'is nowhere in bold'))
            continue
        link = f'({read[explained[0]][0]}.ipynb'
        before = [(name, line) for name, line in read[:explained[0]] if link not in line]
        found += [(term, name, line[:60]) for name, line in before
                  if use.search(re.sub(r'\]\([^)]*\)', ']', line))]
    return found


def run(name):
    "Seconds that a chapter takes, seconds of CPU, and the load of the machine meanwhile."
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, 'OMP_NUM_THREADS': '2', 'LESIONSEG_CACHE': folder}
        environment.pop('MPLBACKEND', None)
        subprocess.run(['jupyter', 'nbconvert', '--to', 'notebook', '--execute', f'{name}.ipynb',
                        '--output-dir', folder], cwd=NBS, env=environment, check=True,
                       capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.monotonic() - start, cpu, os.getloadavg()[0]


def run_all():
    print(f'{"chapter":14} {"seconds":>8} {"of CPU":>7} {"load":>5}')
    total = [0, 0]
    for name in CHAPTERS:
        seconds, cpu, load = run(name)
        total = [total[0] + seconds, total[1] + cpu]
        print(f'{name:14} {seconds:8.0f} {cpu:7.0f} {load:5.1f}', flush=True)
    print(f'{"all":14} {total[0]:8.0f} {total[1]:7.0f}')


def main():
    print(f'{"chapter":14} {"words":>6} {"minutes":>8} {"visible code":>13}')
    for name in CHAPTERS:
        print(f'{name:14} {words(name):6} {minutes(name):8} {100*visible_share(name):11.0f} %')
    print(f'{len(early())} terms are used before they are explained', *early(), sep='\n')


if __name__ == '__main__':
    main()
    if '--run' in sys.argv: run_all()

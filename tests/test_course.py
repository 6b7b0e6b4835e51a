"The course: exercises have solutions, glossary terms occur where said, sources are listed."
import ast, json, re

import pytest

import course
from conftest import NOTEBOOKS, ROOT, code_cells

CHAPTERS = {'data': '01_data', 'metrics': '02_metrics', 'model': '03_model',
            'training': '04_training', 'comparison': '05_comparison'}
SOLUTIONS = ROOT/'nbs/studies/solutions'
NBS = {path.relative_to(ROOT/'nbs').with_suffix('').as_posix(): path for path in NOTEBOOKS}


def text(path):
    "The sources of all cells of a notebook."
    return '\n'.join(''.join(cell['source']) for cell in json.loads(path.read_text())['cells'])


def exercises():
    "Each exercise that has a check: its notebook, its number there, and the source of the check."
    found = []
    for name, path in NBS.items():
        if name.startswith('studies/solutions') or name == 'lib/exercises': continue
        checks = [cell for cell in code_cells(path) if re.search(r'^check\(', cell['text'], re.M)]
        found += [(name, i, cell) for i, cell in enumerate(checks, 1)]
    return found


def bare(source):
    "A checking cell without imports and without the assert of a solution."
    source = re.sub(r'^from lesionseg.*\n+', '', source, flags=re.M)
    return re.sub(r'\s+', ' ', source.replace('assert check(', 'check(').rstrip(';'))


@pytest.mark.parametrize('name', course.CHAPTERS)
def test_a_chapter_is_short_and_says_how_long(name):
    "At most 2,500 words; reading time and machine time stand at its head, below the map."
    assert course.words(name) <= 2500
    head = course.cells(name, 'markdown')[0]['text']
    assert head.count(course.stations(name)) == 1
    assert re.search(rf'^\*{course.minutes(name)} minutes to read, .*\brun', head, re.M)
    assert f'Chapter {name[1]} of 6' in head
    start = text(NBS['00_start_here'])
    row = next(line for line in start.splitlines() if f']({name}.ipynb) |' in line)
    assert f' | {course.minutes(name)} min' in row
    assert course.visible_share(name) >= .85


@pytest.mark.parametrize('name', course.CHAPTERS)
def test_a_chapter_ends_with_what_one_can_do_now(name):
    assert course.lesson(name).count('**You can now** ') == 1


def test_words_are_explained_before_they_are_used():
    assert course.early() == []


STUDIES = [name for name in NBS if re.fullmatch(r'studies/\w+', name)]


@pytest.mark.parametrize('name', STUDIES)
def test_a_study_has_two_questions_that_judge(name):
    questions = text(NBS[name]).partition('\n## Two to judge\n')[2]
    assert questions.count('<details><summary>Answer</summary>') == 2


EXERCISES = exercises()
SOLVED = {bare(cell['text']) for path in SOLUTIONS.glob('*.ipynb') for cell in code_cells(path)}


@pytest.mark.parametrize('chapter', CHAPTERS)
def test_a_chapter_has_exercises_solutions_and_a_quiz(chapter):
    source = text(NBS[CHAPTERS[chapter]])
    quiz = source.partition('\n## Quiz\n')[2]
    assert 3 <= quiz.count('<summary>Answer</summary>') <= 5
    assert f'studies/solutions/{chapter}.ipynb' in source
    assert len([name for name, *_ in EXERCISES if name == CHAPTERS[chapter]]) >= 3


@pytest.mark.parametrize('name, number, cell', EXERCISES, ids=[f'{e[0]} {e[1]}' for e in EXERCISES])
def test_an_exercise_is_solved_and_stored_with_its_dots(name, number, cell):
    "The check is folded, says that nothing was attempted, and stands in the solutions as it is."
    assert cell['metadata'] == {'jupyter': {'source_hidden': True}}
    assert ''.join(cell['outputs'][0]['text']).strip() == 'Not attempted yet.'
    assert bare(cell['text']) in SOLVED
    call = next(node for node in ast.walk(ast.parse(cell['text'])) if isinstance(node, ast.Call)
                and getattr(node.func, 'id', '') == 'check')
    assert len(call.args) == 5, 'the answer, the test, and three hints'


def test_solutions_try_wrong_answers():
    for path in SOLUTIONS.glob('*.ipynb'):
        source = '\n'.join(cell['text'] for cell in code_cells(path))
        right = len(re.findall(r'^assert check\(', source, re.M))
        wrong = len(re.findall(r'assert not check\(', source))
        assert wrong >= 2*right > 0


ENTRY = re.compile(r'^\*\*(.+?)\*\*: .+\. \(\[[^]]+\]\((.+)\.ipynb\)\)$', re.M)
ENTRIES = ENTRY.findall(text(NBS['glossary']))


def test_glossary_is_alphabetical():
    terms = [term.lower() for term, lesson in ENTRIES]
    assert len(terms) >= 80
    assert terms == sorted(set(terms))
    assert len(ENTRIES) == len(re.findall(r'^\*\*', text(NBS['glossary']), re.M))


@pytest.mark.parametrize('lesson', sorted({lesson for term, lesson in ENTRIES}))
def test_glossary_terms_occur_in_their_lesson(lesson):
    source = text(NBS[lesson]).lower()
    terms = [term for term, where in ENTRIES if where == lesson]
    assert [term for term in terms if term.lower() not in source] == []


BIB = (ROOT/'nbs/references.bib').read_text()
SOURCES = {key: dict(re.findall(r'^  (\w+) = \{(.*)\},?$', body, re.M))
           for key, body in re.findall(r'^@\w+\{(\w+),\n(.*?)^\}', BIB, re.M | re.S)}
CITED = re.compile(r"([A-ZÀ-Ž][\w’'-]+)(?: (?:&|and) [A-ZÀ-Ž]\w+| et al\.)?"
                   r",? \(?((?:18|19|20)\d\d)\)")
NO_AUTHOR = {'CIE', 'ISIC', 'RFC', 'Lancet'} # words that stand before a year, and are no author


def test_references_are_complete():
    assert len(SOURCES) >= 14
    for key, source in SOURCES.items():
        assert {'author', 'title'} <= source.keys(), key
        assert 'year' in source or 'github.com' in source['url'], key
        assert {'doi', 'eprint', 'url'} & source.keys(), key


@pytest.mark.parametrize('path', NOTEBOOKS, ids=list(NBS))
def test_what_is_cited_is_listed(path):
    "Each arXiv number, DOI and 'Author (year)' of a notebook is in references.bib."
    source = text(path)
    listed = {(name, entry.get('year')) for entry in SOURCES.values()
              for name in re.findall(r"[\w’'-]+", entry['author'])}
    cited = {pair for pair in CITED.findall(source) if pair[0] not in NO_AUTHOR}
    assert cited - listed == set()
    known = {entry.get(key) for entry in SOURCES.values() for key in ('doi', 'eprint')}
    known |= set(re.findall(r'doi\.org/(10\.[^\s}]+)', BIB))
    found = re.findall(r'arxiv\.org/(?:abs|pdf)/([\d.]+\d)', source)
    found += re.findall(r'doi\.org/(10\.[^\s)\]"\']+)', source)
    assert set(found) - known == set()


def test_bibliography_shows_every_source():
    outputs = [output for cell in code_cells(NBS['bibliography']) for output in cell['outputs']]
    shown = ''.join(''.join(output.get('data', {}).get('text/markdown', '')) for output in outputs)
    assert [key for key, entry in SOURCES.items() if entry['title'] not in shown] == []

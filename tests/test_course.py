"The course: exercises have solutions, glossary terms occur where said, sources are listed."
import json, re

import pytest

from conftest import NOTEBOOKS, ROOT, code_cells

CHAPTERS = {'data': '01_data', 'metrics': '02_metrics', 'model': '03_model',
            'training': '04_training', 'comparison': '05_comparison'}
SOLUTIONS = ROOT/'nbs/studies/solutions'
NBS = {path.relative_to(ROOT/'nbs').with_suffix('').as_posix(): path for path in NOTEBOOKS}


def text(path):
    "The sources of all cells of a notebook."
    return '\n'.join(''.join(cell['source']) for cell in json.loads(path.read_text())['cells'])


def exercises():
    "The names of all exercises that have a check."
    from lesionseg.exercises import EXERCISES
    return list(EXERCISES)


def home(exercise):
    "The notebook in which an exercise stands."
    name = exercise.split()[0]
    return NBS[CHAPTERS.get(name, f'studies/{name}')]


def asked(path):
    "The names of the exercises that a notebook checks."
    return set(re.findall(r"check\('(\w+ \d+)'", '\n'.join(c['text'] for c in code_cells(path))))


@pytest.mark.parametrize('chapter', CHAPTERS)
def test_a_chapter_has_exercises_solutions_and_a_quiz(chapter):
    from lesionseg.exercises import QUIZZES
    source = text(NBS[CHAPTERS[chapter]])
    assert 3 <= len(QUIZZES[chapter]) <= 5
    assert f"quiz('{chapter}')" in source
    assert f'studies/solutions/{chapter}.ipynb' in source
    assert (SOLUTIONS/f'{chapter}.ipynb').is_file()
    assert len([name for name in exercises() if name.split()[0] == chapter]) >= 3


@pytest.mark.parametrize('exercise', exercises())
def test_an_exercise_has_a_solution(exercise):
    "A right answer that passes, and a wrong one that does not; the notebooks run as tests."
    name = exercise.split()[0]
    source = text(SOLUTIONS/f"{name if name in CHAPTERS else 'studies'}.ipynb")
    assert len(re.findall(rf"assert check\('{exercise}'", source)) == 1
    assert len(re.findall(rf"assert not check\('{exercise}'", source)) >= 2
    assert exercise in asked(home(exercise))


def test_no_notebook_asks_what_is_unknown():
    assert {name for path in NOTEBOOKS for name in asked(path)} <= set(exercises())


def test_a_notebook_holds_no_answer():
    "An exercise is stored with its dots: the check says not yet."
    for exercise in exercises():
        for cell in code_cells(home(exercise)):
            if f"check('{exercise}'" not in cell['text']: continue
            said = ''.join(''.join(output.get('text', '')) for output in cell['outputs'])
            assert said.startswith('Not yet: '), exercise


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

"The repository: notebooks that read well, a module that is theirs, a README that is current."
import ast, importlib.util, json, re, sys
from configparser import ConfigParser

import pytest

import house
from conftest import NOTEBOOKS, ROOT, code_cells, shell

ids = [str(path.relative_to(ROOT/'nbs')) for path in NOTEBOOKS]
WIDTH, LINES = 100, 30


def contents():
    files = [path for folder in ('nbs', 'lesionseg') for path in (ROOT/folder).rglob('*.*')]
    return {path: path.read_bytes() for path in files
            if path.suffix in ('.ipynb', '.py') and '.ipynb_checkpoints' not in path.parts}


@pytest.mark.parametrize('command', ['nbdev_clean', 'nbdev_export'])
def test_leaves_no_difference(command):
    before = contents()
    assert shell(command).returncode == 0
    after = contents()
    assert sorted(path.name for path in after if after[path] != before.get(path)) == []


def test_readme_is_current():
    spec = importlib.util.spec_from_file_location('readme', ROOT/'.ci/readme.py')
    readme = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(readme)
    assert list(readme.stale()) == []


def test_readme_fits_a_terminal():
    "Commands, tables of text and code of the README; a link may be longer."
    code = re.findall(r'```.*?```|^    [^\n]*$', (ROOT/'README.md').read_text(), re.S | re.M)
    assert [line for part in code for line in part.splitlines() if len(line) > 84] == []


def shows(source):
    "Does a cell end in a value that Jupyter shows?"
    code = re.sub(r'^[%!].*', '', source, flags=re.M)
    last = (ast.parse(code).body or [None])[-1]
    if not isinstance(last, ast.Expr) or source.rstrip().endswith(';'): return False
    if re.match(r'#\| *(hide|export|slow|eval: false)', source): return False
    call = isinstance(last.value, ast.Call)
    return not call or getattr(last.value.func, 'attr', None) in ('round', 'head', 'describe')


@pytest.mark.parametrize('path', NOTEBOOKS, ids=ids)
def test_notebook_reads_well(path):
    "Outputs are there, and none of them is an error, a warning or a path of a machine."
    notebook, code = json.loads(path.read_text()), code_cells(path)
    head = ''.join(notebook['cells'][0]['source'])
    assert not re.search('^- ', head, re.M), 'nbdev reads a list in the first cell as settings'
    outputs = [output for cell in code for output in cell['outputs']]
    assert outputs or not code
    assert [cell['text'][-60:] for cell in code
            if shows(cell['text']) and not cell['outputs']] == []
    assert [o for o in outputs if o['output_type'] == 'error' or o.get('name') == 'stderr'] == []
    assert re.findall(r'/(?:home|root|tmp|Users|work)/.{,40}', json.dumps(outputs)) == []
    assert 'widgets' not in notebook['metadata'], 'run python .ci/still.py'
    assert 'widget-view' not in json.dumps(outputs), 'run python .ci/still.py'


@pytest.mark.parametrize('path', NOTEBOOKS, ids=ids)
def test_lines_and_cells_fit_the_window(path):
    "JupyterLab at 1280 pixels shows 100 columns; a cell 30 lines, or is a class."
    wide, long = [], []
    for i, cell in enumerate(json.loads(path.read_text())['cells']):
        if cell['cell_type'] != 'code': continue
        lines = ''.join(cell['source']).splitlines()
        body = [line for line in lines if not line.startswith('#|')]
        wide += [f'cell {i}, line {n}: {len(line)}' for n, line in enumerate(lines, 1)
                 if len(line) > WIDTH]
        one_class = re.search(r'^class ', ''.join(cell['source']), re.M)
        most = LINES + 10*('lib' in path.parts) # lessons are read, the library is looked up
        if len(body) > most and not one_class: long.append(f'cell {i}: {len(body)} lines')
    assert wide == [] and long == []


@pytest.mark.parametrize('path', sorted((ROOT/'nbs').glob('0*.ipynb')), ids=str)
def test_what_a_chapter_prints_fits(path):
    "An output of 900 pixels shows 115 columns; of longer lines JupyterLab breaks the words."
    printed = [line for cell in json.loads(path.read_text())['cells']
               for output in cell.get('outputs', []) if 'text' in output
               for line in ''.join(output['text']).splitlines()]
    assert [line for line in printed if len(line) > 110] == []


def test_each_lesson_sets_up_colab_in_its_own_folder():
    "The same cell, but for the folder, in the first page, the chapters and the studies."
    ini = ConfigParser(delimiters=['='])
    ini.read(ROOT/'settings.ini')
    url = ini['DEFAULT']['git_url']
    nbs = ROOT/'nbs'
    for path in [nbs/'index.ipynb', *nbs.glob('0[1-5]_*.ipynb'), *nbs.glob('studies/*.ipynb')]:
        cell = json.loads(path.read_text())['cells'][1]
        text = ''.join(cell['source'])
        assert cell['metadata'] == {'jupyter': {'source_hidden': True}}, path
        assert "if 'google.colab' in sys.modules:" in text, path
        assert f"git clone -q --depth 1 {url} {{home}}" in text, path
        folder = path.parent.relative_to(ROOT).as_posix()
        assert text.endswith(f"os.chdir(f'{{home}}/{folder}')"), path


def test_lines_of_scripts_fit_too():
    scripts = [*ROOT.glob('tests/*.py'), *ROOT.glob('.ci/*.py'), ROOT/'.ci/run', ROOT/'setup.py']
    assert [f'{path.name}, line {n}' for path in scripts
            for n, line in enumerate(path.read_text().splitlines(), 1) if len(line) > WIDTH] == []


def test_imports_point_one_way():
    "A module imports only from modules that come before it: no circle, no step back up."
    found = {}
    for name in house.ORDER:
        tree = ast.parse((ROOT/f'lesionseg/{name}.py').read_text())
        nodes = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
        assert [node.module for node in nodes if (node.module or '').startswith('lesionseg')] == []
        found[name] = {node.module for node in nodes if node.level and node.module}
    modules = {path.stem for path in (ROOT/'lesionseg').glob('*.py')}
    assert modules == {*house.ORDER, '__init__', '_modidx', 'all'}
    late = [f'{name} imports {other}' for name, others in found.items() for other in others
            if house.ORDER.index(other) >= house.ORDER.index(name)]
    assert late == []


def test_importing_does_nothing():
    "No random number is drawn, no warning filter set, and commands start without torch."
    program = '''if True:
        import scipy.special, torch, warnings
        torch.manual_seed(0); first = torch.rand(1).item()
        torch.manual_seed(0); filters = warnings.filters[:]
        import lesionseg.all
        assert torch.rand(1).item() == first and warnings.filters == filters'''
    run = shell(sys.executable, '-c', program)
    assert run.returncode == 0, run.stderr
    program = '''if True:
        import sys, lesionseg.cli
        assert 'torch' not in sys.modules
        for name in lesionseg.__all__: getattr(lesionseg, name)'''
    assert shell(sys.executable, '-c', program).returncode == 0


def seconds(*command):
    "Processor time of a command, the least of three."
    program = f'''if True:
        import os, subprocess
        def spent(): return sum(os.times()[2:4])
        times = []
        for _ in range(3):
            start = spent()
            subprocess.run({[*map(str, command)]!r}, capture_output=True, check=True)
            times.append(spent() - start)
        print(min(times))'''
    return float(shell(sys.executable, '-c', program).stdout)


def test_help_is_quick():
    torch = seconds(sys.executable, '-c', 'import torch')
    assert seconds('lesionseg_predict', '--help') < .6*torch
    assert seconds(sys.executable, '-c', 'import lesionseg.cli') < 1.2*torch


def test_types():
    run = shell('pyright', '--pythonpath', sys.executable)
    assert run.returncode == 0, run.stdout[-3000:]

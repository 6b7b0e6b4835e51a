"The wheel and the source archive: built, installed, and tried in an empty folder."
import os, subprocess, sys, venv, zipfile

import pytest

from conftest import shell

TRY = '''if True:
    import numpy as np, lesionseg
    from lesionseg import LesionSegmenter, segment
    model = LesionSegmenter.from_pretrained()
    probs = segment(np.full((60, 90, 3), 200, np.uint8), model)
    assert probs.shape == (60, 90) and 0 <= probs.min() <= probs.max() <= 1
    print(lesionseg.__file__)'''


@pytest.fixture(scope='module')
def built(tmp_path_factory):
    "The wheel, made from the source archive."
    out = tmp_path_factory.mktemp('dist')
    run = shell(sys.executable, '-m', 'build', '--no-isolation', '--outdir', out, '.')
    assert run.returncode == 0, run.stdout[-2000:] + run.stderr[-2000:]
    return out


def test_what_is_in_the_wheel(built):
    names = zipfile.ZipFile(next(built.glob('*.whl'))).namelist()
    for name in 'py.typed', 'weights/isic2016.safetensors', 'weights/README.md', 'cli.py', \
            'static/report.html', 'static/card.md':
        assert f'lesionseg/{name}' in names
    assert not [name for name in names if name.startswith(('tests', 'nbs'))]


@pytest.mark.parametrize('kind', ['whl', 'tar.gz'])
def test_installed_it_works_in_an_empty_folder(kind, built, tmp_path):
    "In an environment of its own that borrows the requirements of this one."
    home, empty = tmp_path/'venv', tmp_path/'empty'
    empty.mkdir()
    venv.create(home, with_pip=False)
    python = home/'bin/python'
    site = next((home/'lib').glob('python*'))/'site-packages'
    packages = [path for path in sys.path if path.endswith('site-packages')]
    (site/'requirements.pth').write_text('\n'.join(packages))
    install = shell(sys.executable, '-m', 'pip', '--python', python, 'install', '-q', '--no-deps',
                    '--no-build-isolation', '--ignore-installed', next(built.glob(f'*.{kind}')))
    assert install.returncode == 0, install.stderr
    run = subprocess.run([python, '-c', TRY], cwd=empty, capture_output=True, text=True,
                         env={**os.environ, 'PYTHONPATH': str(site)})
    assert run.returncode == 0, run.stderr
    assert run.stdout.strip().startswith(str(site))

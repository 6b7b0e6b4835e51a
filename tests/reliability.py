"""Kills, damages, odd files, odd flags and odd calls: do they end well?

    python tests/reliability.py [--only kills …] [--sample] [--seed 1]

tries hundreds of each (half an hour on a core) and writes reliability.csv; --sample tries a few of
each, as test_reliability.py does, and writes nothing. Each trial has a process and a
folder of its own. It ends well if the result is that of an undisturbed call, or if a sentence says
what is wrong. There are three faults: a traceback; a silent change (another result, or a file that
was there is another, and not a word); a file outside the folder for results, or no end in time.
One bit of a text or of a JPEG is one letter or one shade: there any result will do.
"""
import argparse, contextlib, functools, hashlib, http.server, io, itertools, json, os, pickle
import random, shutil, signal, sys, tempfile, threading, time, traceback, warnings, zipfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path

if __name__ == '__main__': # before they are read
    for name in 'OMP_NUM_THREADS', 'TQDM_DISABLE': os.environ.setdefault(name, '1')

import accelerate, huggingface_hub, matplotlib.pyplot, onnx # noqa: F401
import onnxruntime, pooch, requests # noqa: F401
import pandas as pd, seaborn, torch, torchvision # noqa: F401
from fastcore.script import anno_parser

import lesionseg.all # noqa: F401 (once, and not in each trial)
import odd
from lesionseg import cli, download
from lesionseg.core import LesionsegError

OUT = Path(__file__).with_name('reliability.csv')
FAULTS = ['traceback', 'silent', 'outside or hang']
ENOUGH = {'kills': 100, 'damages': 150, 'inputs': 400, 'flags': 300, 'calls': 400}
ENDS = (LesionsegError, ValueError, TypeError, KeyError, ArithmeticError, OSError,
        RuntimeError) # Of calls
SAMPLE = {'kills': 3, 'damages': 6, 'inputs': 40, 'flags': 6, 'calls': 60}
LIMIT = 300 # Seconds for a trial
TEACH = ('--start run --images photos --masks mended --folds 2 --epochs 1 --batch_size 4 '
         '--out').split()
SMALL = '--size 64 --epochs 2 --batch_size 4 --weights none'.split()


# ---- a process of its own

@dataclass
class End:
    "How a process ended."
    code: int|None # None: it did not
    said: str # All that it printed
    value: object = None # What its function returned

    @property
    def fault(self):
        if self.code is None: return 'outside or hang'
        return 'traceback' if self.code not in (0, 1, 2) or 'Traceback' in self.said else ''


def die_at(last, home, count):
    "Count the file operations below a folder, and be killed at one of them."
    names = {'os.rename', 'os.remove', 'os.mkdir', 'os.rmdir', 'shutil.rmtree', 'open'}
    lock = threading.Lock()
    def hook(event, args):
        if event not in names or not isinstance(args[0], (str, os.PathLike)): return
        if not os.path.abspath(args[0]).startswith(str(home)): return
        if event == 'open' and not (args[2] or 0) & (os.O_WRONLY | os.O_RDWR): return
        with lock: count[0] += 1
        if count[0] == last: os.kill(os.getpid(), signal.SIGKILL)
    sys.addaudithook(hook)


def answer(function, log):
    "What the child does: call a function, and tell how that ended."
    said = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for stream in 1, 2: os.dup2(said, stream)
    sys.stdout, sys.stderr = (open(stream, 'w', closefd=False) for stream in (1, 2))
    code, value = 0, None
    try: value = function()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
        if isinstance(end.code, str): print(end.code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
        code = 99
    for stream in sys.stdout, sys.stderr: stream.flush()
    log.with_suffix('.pkl').write_bytes(pickle.dumps(value))
    os._exit(code)


def attempt(function, home, limit=LIMIT):
    "Call a function in a child process."
    log = home.parent/'log'
    child = os.fork()
    if not child:
        os.chdir(home)
        answer(function, log)
    end = time.monotonic() + limit
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            code = os.waitstatus_to_exitcode(status)
            value = None if code < 0 else pickle.loads(log.with_suffix('.pkl').read_bytes())
            return End(code, log.read_text(errors='replace'), value)
        time.sleep(.005)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return End(None, log.read_text(errors='replace'))


def call(command, words):
    "A command as from a shell; to teach is to train with other words."
    command = command.replace('teach', 'train')
    function = getattr(cli, command).__wrapped__
    given = vars(anno_parser(function, f'lesionseg_{command}').parse_args(words))
    function(**{name: value for name, value in given.items() if name not in ('pdb', 'xtra')})


# ---- folders

SEEN = {} # Contents of files that nobody has written since


def content(file):
    "What a file says, but for the clock."
    about = file.stat()
    about = file.suffix, about.st_ino, about.st_mtime_ns, about.st_size
    if about not in SEEN: SEEN[about] = read_content(file)
    return SEEN[about]


def read_content(file):
    if file.suffix == '.csv':
        with contextlib.suppress(Exception):
            table = pd.read_csv(file, dtype=str)
            return table.drop(columns=['seconds', 'train_seconds'], errors='ignore').to_csv()
    content = file.read_bytes()
    if file.suffix == '.safetensors': # the order of its head is by chance
        with contextlib.suppress(Exception):
            end = 8 + int.from_bytes(content[:8], 'little')
            head = json.dumps(json.loads(content[8:end]), sort_keys=True)
            content = head.encode() + content[end:]
    return hashlib.sha256(content).hexdigest()


def snapshot(folder):
    "The contents of all files below a folder, by name; locks and caches aside."
    names = {str(file.relative_to(folder)): file for file in sorted(folder.rglob('*'))}
    return {name: content(file) for name, file in names.items()
            if file.is_file() and file.name not in ('.lock', 'manifest.json') # of whoever fetched
            and not name.startswith('cache')}


@dataclass(eq=False)
class Stage:
    "What the trials begin with: a data set, photographs, runs, masks; and where they happen."
    work: Path
    url: str = ''

    @property
    def home(self): return self.work/'home'

    def fresh(self):
        "Make the trial's folder anew. Its files are links: whoever writes must replace."
        shutil.rmtree(self.home, ignore_errors=True)
        shutil.copytree(self.work/'stage', self.home, copy_function=os.link)
        os.environ |= {'LESIONSEG_CACHE': str(self.home/'cache'), 'HOME': str(self.home)}
        return self.home

    def run(self, command, words):
        return attempt(partial(call, command, words), self.home)

    @functools.cache
    def undisturbed(self, command, words, out):
        "What a command says and leaves, as far as calls agree."
        ends, found = [], []
        for again in False, False, True: # the last goes on where all is done
            if not again: self.fresh()
            ends.append(self.run(command, words))
            found.append(snapshot(self.home/out))
            assert ends[-1].code == 0, ends[-1].said
        return ends[0].said, {name: text for name, text in found[0].items()
                              if all(other.get(name) == text for other in found)}


def serve(folder):
    "A server of the four archives, each with two files."
    masks = {True: '_Segmentation.png', False: '.jpg'}
    for i, (part, name) in enumerate(download._ZIPS.items()):
        with zipfile.ZipFile(folder/name, 'w') as archive:
            for j in 1, 2:
                buffer = io.BytesIO()
                odd.disc(i)[0].save(buffer, 'PNG' if 'masks' in part else 'JPEG')
                ending = masks['masks' in part]
                archive.writestr(f'x/ISIC_000000{j}{ending}', buffer.getvalue())
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_): pass
    handler = partial(Quiet, directory=folder)
    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f'http://127.0.0.1:{server.server_port}/'


def make_stage(work):
    "Draw, train and predict once what all trials begin with."
    home = work/'stage'
    (work/'zips').mkdir()
    stage = Stage(work, serve(work/'zips'))
    full = download.download_isic2016
    download.download_isic2016 = partial(full, base_urls=stage.url,
                                         counts=dict.fromkeys(download._ZIPS, 2))
    odd.draw_data(home/'data')
    (home/'photos').mkdir()
    (home/'mended').mkdir()
    for i in range(4):
        photo, lesion = odd.disc(i + 20)
        photo.save(home/'photos'/f'p{i}.jpg', quality=95)
        odd.save_mask(lesion, home/'mended'/f'p{i}_segmentation.png')
    odd.write_outlines(home/'outlines', home/'photos')
    stage.fresh()
    calls = [('train', ['--data', 'data', '--out', 'run', *SMALL]),
             ('train', ['--data', 'data', '--out', 'cut', *SMALL, '--epochs', '1']),
             ('predict', ['photos', '--out', 'masks', '--model', 'run'])]
    for command, words in calls:
        end = stage.run(command, words)
        assert end.code == 0, end.said
    for name in 'run', 'cut', 'masks': shutil.copytree(stage.home/name, home/name)
    (home/'cut/scores.csv').unlink()
    return stage


# ---- kills

DATA = ('--data', 'data')
KILLED = { # Command: words, where its results are
    'train': (*DATA, '--out', 'new', *SMALL),
    'compare': ('--modes', 'finetuning', *DATA, '--out', 'new', *SMALL),
    'predict': ('photos', '--out', 'new', '--model', 'run', '--overlay'),
    'release': ('run', *DATA, '--out', 'new'),
    'export': ('run', '--out', 'new/page.html'),
    'download': ('--out', 'new'),
    'evaluate': ('--model_path', 'run', *DATA, '--out', 'new/scores.csv'),
    'visualize': ('--model_path', 'run', *DATA, '--out', 'new/gallery.png'),
    'teach': (*TEACH, 'new')}


TIMES = {'train': 18, 'compare': 6, 'predict': 20, 'release': 10, 'export': 12, 'download': 20,
         'evaluate': 12, 'visualize': 8, 'teach': 16} # How often each is killed


@functools.cache
def count_operations(stage, command):
    count = [0]
    def counted():
        die_at(0, stage.home, count)
        try: call(command, KILLED[command])
        finally: return count[0]
    stage.fresh()
    return attempt(counted, stage.home).value


def kill(stage, command, share):
    "Kill a command at one of its file operations, and call it again."
    _, wanted = stage.undisturbed(command, KILLED[command], 'new')
    last = 1 + int(share*count_operations(stage, command))
    stage.fresh()
    def doomed():
        die_at(last, stage.home, [0])
        call(command, KILLED[command])
    attempt(doomed, stage.home)
    end = stage.run(command, KILLED[command])
    if end.fault: return end.fault, end.said
    found = snapshot(stage.home/'new')
    other = [name for name in wanted if found.get(name) != wanted[name]]
    other += [name for name in found if 'tmp' in name]
    return 'silent' if end.code or other else '', f'{other} {end.said}'


def kills(stage, rng):
    for command in KILLED:
        for share in sorted(rng.random() for _ in range(TIMES[command])):
            name = f'{command} after {share:.0%} of its operations'
            yield name, partial(kill, stage, command, share)


# ---- damages

def put(file, text):
    "Replace a file, never the one that it is a link to."
    file.unlink()
    file.write_bytes(text)


def flip(text, share=.5):
    "One bit of a content changed."
    changed = bytearray(text)
    if changed: changed[int(len(changed)*share)] ^= 1
    return bytes(changed)


DAMAGES = {
    'emptied': lambda file: put(file, b''),
    'cut in half': lambda file: put(file, file.read_bytes()[:file.stat().st_size//2]),
    'its last byte lost': lambda file: put(file, file.read_bytes()[:-1]),
    'one bit flipped': lambda file: put(file, flip(file.read_bytes())),
    'overwritten': lambda file: put(file, bytes(range(256))),
    'a folder in its place': lambda file: (file.unlink(), file.mkdir()),
    'removed': lambda file: file.unlink()}
EVALUATE = ('--model_path', 'run', *DATA, '--out', 'new/scores.csv')
AFTER = { # Damaged folder: command, words, and where the result is that must be the right one
    'cut': ('train', (*DATA, '--out', 'cut', *SMALL), 'cut'),
    'run': ('evaluate', EVALUATE, 'new'), 'data': ('evaluate', EVALUATE, 'new'),
    'masks': ('predict', ('photos', '--out', 'masks', '--model', 'run'), 'masks'),
    'photos': ('predict', ('photos', '--out', 'masks', '--model', 'run'), 'masks'),
    'cache': ('evaluate', EVALUATE, 'new'), 'zips': ('download', ('--out', 'zips'), 'zips'),
    'mended': ('teach', (*TEACH, 'new'), 'new')}


def spoil(stage, folder, name, damage):
    "Damage a file, and call what needs it."
    command, words, out = AFTER[folder]
    said, wanted = stage.undisturbed(command, words, out)
    prepare(stage, folder)
    file = stage.home/folder/name
    if folder == 'cache': file = next(file.parent.glob('*.npy'))
    DAMAGES[damage](file)
    end = stage.run(command, words)
    if end.fault or end.code: return end.fault, end.said
    letters = damage == 'one bit flipped' and file.suffix in ('.csv', '.json', '.jpg', '.html')
    found = snapshot(stage.home/out)
    other = [part for part in wanted if found.get(part) != wanted[part]]
    told = len(end.said) > len(said) + 10
    if command == 'teach': told |= end.said.split('\n')[0] != said.split('\n')[0] # what is counted
    return 'silent' if other and not letters and not told else '', f'{other} {end.said}'


def prepare(stage, folder):
    stage.fresh()
    if folder == 'cache': stage.run('evaluate', EVALUATE)
    if folder == 'zips': shutil.copytree(stage.work/'zips', stage.home/'zips')


def damages(stage, rng):
    for folder in AFTER:
        prepare(stage, folder)
        files = [file for file in sorted((stage.home/folder).rglob('*'))
                 if file.is_file() and file.name not in ('.lock', 'log')]
        files = rng.sample(files, min(len(files), 2 if folder in ('cache', 'photos') else 5))
        for file, damage in itertools.product(files, DAMAGES):
            name = str(file.relative_to(stage.home/folder))
            yield f'{folder}/{name} {damage}', partial(spoil, stage, folder, name, damage)


# ---- inputs

def try_input(stage, make, check):
    "Put something odd into the folder; a check then says whether what came of it is right."
    stage.fresh()
    before = snapshot(stage.home)
    make(stage.home)
    changed = snapshot(stage.home)
    def action():
        warnings.simplefilter('ignore')
        try: return check(stage.home)
        except LesionsegError as error: return f'a sentence: {error}'
    end = attempt(action, stage.home)
    if end.fault: return end.fault, end.said
    after = snapshot(stage.home)
    gone = [name for name in changed if after.get(name) != changed[name] and name in before
            and not name.startswith('masks/')]
    outside = [name for name in after.keys() - changed.keys()
               if not name.startswith(('new/', 'masks/', 'run/', 'runs/'))]
    if outside: return 'outside or hang', f'{outside}'
    return 'silent' if gone or end.value is False else '', f'{gone} {end.value} {end.said}'


def inputs(stage, rng):
    for name, make, check in rng.sample([*odd.inputs(rng)], 420):
        yield name, partial(try_input, stage, make, check)


# ---- flags

def try_flags(stage, command, words):
    "A command with odd words: what was there stays, and what is new lies where it belongs."
    stage.fresh()
    before = snapshot(stage.home)
    above = {path.name for path in stage.work.iterdir()}
    end = stage.run(command, words)
    if end.fault: return end.fault, end.said
    after = snapshot(stage.home)
    gone = [name for name in before if after.get(name) != before[name]]
    if gone: return 'silent', f'{gone} {end.said}'
    if end.code == 1 and len(end.said.strip().splitlines()[-1]) < 20: return 'silent', end.said
    new = {path.name for path in stage.work.iterdir()} - above - {'log', 'log.pkl'}
    return 'outside or hang' if new else '', f'{new} {end.said}'


def flags(stage, rng):
    for _ in range(ENOUGH['flags']):
        command, words = odd.flags(rng)
        yield f'{command} {words}', partial(try_flags, stage, command, words)


# ---- calls

def try_call(stage, function):
    "A function with odd arguments: a sentence of whoever noticed, or a result that is sound."
    stage.home.mkdir(exist_ok=True)
    def action():
        warnings.simplefilter('ignore')
        try: return function()
        except ENDS as error:
            return f'{type(error).__name__}: {error}'
    end = attempt(action, stage.home)
    return end.fault or ('silent' if end.value is False else ''), f'{end.value} {end.said}'


def calls(stage, rng):
    for name, function in odd.calls(rng, ENOUGH['calls']):
        yield name, partial(try_call, stage, function)


KINDS = {f.__name__: f for f in (kills, damages, inputs, flags, calls)}


def trials(stage, only, sample, seed):
    "The trials of each kind, or a few of them."
    for kind in only:
        rng = random.Random(f'{kind} {seed}')
        found = [*KINDS[kind](stage, rng)]
        if sample: found = rng.sample(found, SAMPLE[kind])
        yield from ((kind, name, trial) for name, trial in found)


def try_all(only, sample, seed):
    "A table of the kinds: how many trials, how many of each fault. Faults are printed."
    rows = []
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as work:
        stage = make_stage(Path(os.path.realpath(work)))
        for kind, name, trial in trials(stage, only, sample, seed):
            fault, said = trial()
            counts = {each: int(each == fault) for each in FAULTS}
            rows.append({'kind': kind, 'trials': 1, **counts})
            if fault: print(f'{fault}: {kind}, {name}\n    {said[-1500:]}', flush=True)
    return pd.DataFrame(rows).groupby('kind', sort=False).sum()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--only', nargs='+', choices=KINDS, default=[*KINDS])
    parser.add_argument('--sample', action='store_true', help='try a few of each kind')
    parser.add_argument('--seed', type=int, default=0)
    args = parser.parse_args()
    table = try_all(args.only, args.sample, args.seed)
    print(table.to_string())
    if not args.sample:
        old = pd.read_csv(OUT, index_col='kind') if OUT.is_file() else table
        pd.concat([old.drop(index=table.index, errors='ignore'), table]).loc[
            [kind for kind in KINDS if kind in {*old.index, *table.index}]].to_csv(OUT)
    sys.exit(int(table[FAULTS].to_numpy().sum() > 0))


if __name__ == '__main__': main()

"Runs that are killed, interrupted, repeated, shared by several processes, or meet a full disk."
import json, re, resource, shutil, signal

import pandas as pd

from conftest import ROOT, checkpoints, history, shell, start, train, wait_for_epoch


def test_killed_run_resumes_exactly(data, tmp_path):
    whole, cut = tmp_path/'whole', tmp_path/'cut'
    assert shell(*train(data, whole, epochs=6)).returncode == 0
    process = start(*train(data, cut, epochs=6))
    wait_for_epoch(process, cut, 2)
    process.kill()
    process.wait()
    assert not (cut/'scores.csv').exists()
    assert shell(*train(data, cut, epochs=6)).returncode == 0
    pd.testing.assert_frame_equal(history(cut), history(whole), check_exact=True)
    assert (cut/'scores.csv').read_text() == (whole/'scores.csv').read_text()
    assert checkpoints(cut) == checkpoints(whole)

    rows = (cut/'history.csv').read_text().splitlines(keepends=True) # killed before its last row
    (cut/'history.csv').write_text(''.join(rows[:-1]))
    (cut/'scores.csv').unlink()
    assert shell(*train(data, cut, epochs=6)).returncode == 0
    pd.testing.assert_frame_equal(history(cut), history(whole), check_exact=True)
    assert not [path for path in cut.rglob('*tmp*')]


def test_interrupted_run_keeps_finished_epochs(data, tmp_path):
    out = tmp_path/'run'
    process = start(*train(data, out, epochs=200))
    wait_for_epoch(process, out, 2)
    process.send_signal(signal.SIGINT)
    said, complained = process.communicate(timeout=120)
    assert process.returncode == 130 and 'Traceback' not in complained
    assert re.search(r'Stopped after \d+ of 200 epochs', said)
    assert len(history(out)) >= 2 and (out/'model.safetensors').is_file()


def test_finished_run_is_left_alone(data, tmp_path):
    out = tmp_path/'run'
    assert shell(*train(data, out, epochs=1)).returncode == 0
    before = (out/'model.safetensors').stat().st_mtime_ns
    assert shell(*train(data, out, epochs=1)).returncode == 0
    assert (out/'model.safetensors').stat().st_mtime_ns == before
    other = shell(*train(data, out, '--seed', '1', epochs=1))
    assert other.returncode == 1 and 'holds another run (seed 0 instead of 1)' in other.stderr


def test_two_trainings_in_one_folder(data, tmp_path):
    "The second is told so, and the first goes on."
    out = tmp_path/'run'
    first = start(*train(data, out, epochs=200))
    wait_for_epoch(first, out, 1)
    second = shell(*train(data, out, epochs=200))
    assert second.returncode == 1 and second.stderr.count('\n') == 1
    assert 'is in use by another' in second.stderr
    first.send_signal(signal.SIGINT)
    first.communicate(timeout=120)
    assert first.returncode == 130


def test_a_folder_that_vanishes(data, tmp_path):
    "The loss of the run folder is noticed at the next epoch, in one sentence."
    out = tmp_path/'run'
    process = start(*train(data, out, epochs=500))
    wait_for_epoch(process, out, 1)
    shutil.rmtree(out, ignore_errors=True)
    said, complained = process.communicate(timeout=120)
    assert process.returncode == 1 and 'Traceback' not in complained
    assert str(out) in complained.splitlines()[-1]


def test_two_processes(data, tmp_path):
    out = tmp_path/'run'
    command = train(data, out, epochs=3)
    run = shell('torchrun', '--nproc_per_node', '2', shutil.which(command[0]), *command[1:])
    assert run.returncode == 0, run.stderr[-3000:]
    assert run.stdout.count('The run is in') == 1
    assert json.loads((out/'config.json').read_text())['made_with']['processes'] == 2
    assert len(history(out)) == 3 and len(pd.read_csv(out/'scores.csv')) == 4
    assert checkpoints(out)[-1] == 'epoch_000003'


def test_full_disk(data, tmp_path):
    "A limit on the size of files stands in for a full disk: the model (15 MB) does not fit."
    out, limit = tmp_path/'run', 5_000_000
    def limited(): resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    run = shell(*train(data, out, epochs=1), preexec_fn=limited)
    assert run.returncode == 1 and 'cannot be written' in run.stderr, run.stderr
    assert 'Traceback' not in run.stderr
    assert not (out/'model.safetensors').exists() and not (out/'scores.csv').exists()
    assert shell(*train(data, out, epochs=1)).returncode == 0


def test_out_that_cannot_be_made(data):
    run = shell(*train(data, ROOT/'README.md'/'run', epochs=1))
    assert run.returncode == 1 and 'cannot be used (Not a directory)' in run.stderr
    assert 'Traceback' not in run.stderr

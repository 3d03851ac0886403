"""`zslbench show` and `zslbench status --failures`: what a trial was, and why it failed."""

import json

import pytest
from plugins import write_plugin

from zslbench.records import Store


@pytest.fixture
def failed(zslbench, synthetic, tmp_path):
    """A store with a trial that failed in a plugin and one that is done; their records."""
    plugin = write_plugin(tmp_path / "mine.py", before="print('last words'); raise ValueError('no <b>way</b>')")
    args = ("run", "--dataset", synthetic, "--plugin", plugin, "--methods", "mine,eszsl", "--splits", 1)
    assert zslbench(*args, "--no-validation", "--workers", 0, "--store", "s").returncode == 1
    return {record.label: record for record in Store(tmp_path / "s").records()}


def test_a_failed_trial_is_shown_whole(in_process, failed, tmp_path):
    """Type, message, traceback and what it printed; `status` names the line of the author's file and the command."""
    key = failed["mine"].key
    text = (tmp_path / "mine.py").read_text().splitlines()
    line = next(number for number, line in enumerate(text, 1) if "last words" in line)
    code, out, _ = in_process("show", key[:8], "--store", "s")
    assert code == 0
    for said in ("ValueError: no <b>way</b>", "last words", "ridge=1.0", f'File "{tmp_path / "mine.py"}", line {line}'):
        assert said in out
    code, out, _ = in_process("status", "--store", "s", "--failures")
    assert code == 1
    assert f"failed: mine 6/2#0 seed 0: ValueError: no <b>way</b> ({tmp_path / 'mine.py'}, line {line})" in out
    assert f"zslbench show {key[:8]} --store s" in out


def test_a_finished_trial_is_shown_with_its_numbers(in_process, failed):
    """In percent, and whole as JSON."""
    record = failed["eszsl"]
    out = in_process("show", record.key, "--store", "s")[1]
    assert record.outcome is not None
    assert f"T1 {100 * record.outcome.zsl['T1'][-1]:.1f}" in out
    assert json.loads(in_process("show", record.key, "--store", "s", "--json")[1])["key"] == record.key


@pytest.mark.parametrize(("key", "said"), [("abc", "is short for a key"), ("zzzz", "found none")])
def test_a_key_that_names_no_trial(in_process, failed, key, said):
    """One line, exit code 2."""
    code, _, err = in_process("show", key, "--store", "s")
    assert (code, err.count("\n")) == (2, 1)
    assert said in err

"""A debugger in a method: its prompt is seen, it begins in the method's frame, and the results stay on stdout."""

import os
import pty
import subprocess
import sys
import time
from pathlib import Path

import pytest
from plugins import write_plugin

from zslbench.records import Store


def debugged(folder: Path, synthetic: Path, said: str, *options: str, before: str) -> subprocess.CompletedProcess[str]:
    """A run of a method with a statement before it is fitted, on whose prompt somebody types."""
    plugin = write_plugin(folder / "mine.py", before=before)
    return subprocess.run(
        [sys.executable, "-m", "zslbench", "run", "--methods", "mine", "--plugin", plugin, "--dataset", synthetic,
         "--splits", "1", "--no-validation", "--store", "s", *options],
        cwd=folder, input=said, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("call", ["breakpoint()", "import pdb; pdb.set_trace()"])
def test_a_breakpoint_is_seen_and_the_method_goes_on(tmp_path, synthetic, call):
    """In a serial run the prompt stands in the method's frame, on stderr where stdout is no terminal, after what was
    printed before; `c` goes on, and stdout holds the table alone."""
    before = f"print('early'); value = 41; {call}"
    done = debugged(tmp_path, synthetic, "p value + 1\nc\n", "--workers", "0", before=before)
    assert done.returncode == 0, done.stderr
    early, where, _, answer, *_ = done.stderr.splitlines()
    assert early == "early"
    assert where == f"> {tmp_path / 'mine.py'}(15)fit()"
    assert answer.startswith("(Pdb) 42")
    assert "mine 6/2#0 seed 0: T1" in done.stderr
    assert "left" not in done.stderr  # nothing that the debugger set is laid at the method's door
    assert "Pdb" not in done.stdout
    assert done.stdout.startswith("toy 6/2")


def test_stepping_into_what_prints_is_harmless(tmp_path, synthetic):
    """`s` into print steps into nothing of zslbench."""
    done = debugged(tmp_path, synthetic, "s\ns\nc\n", "--workers", "0", before="breakpoint(); print('printed')")
    assert done.returncode == 0, done.stderr
    assert "printed\n" in done.stderr


def test_leaving_the_debugger_ends_the_run(tmp_path, synthetic):
    """`q` is like Ctrl-C: exit code 130, and no failed record of a method that did not fail."""
    done = debugged(tmp_path, synthetic, "q\n", "--workers", "0", before="breakpoint(); print()")
    assert done.returncode == 130
    assert not list(Store(tmp_path / "s").records())


def test_breakpoints_can_be_switched_off(tmp_path, synthetic, monkeypatch):
    """PYTHONBREAKPOINT=0 is obeyed, and what is printed is kept."""
    monkeypatch.setenv("PYTHONBREAKPOINT", "0")
    done = debugged(tmp_path, synthetic, "", "--workers", "0", before="breakpoint(); print('printed')")
    assert (done.returncode, "printed" in done.stderr) == (0, False)
    (record,) = Store(tmp_path / "s").records()
    assert (tmp_path / "s" / record.run.log).read_text() == "printed\n"


def test_a_post_mortem_begins_in_the_method_s_frame(tmp_path, synthetic):
    """--pdb: the traceback, then a prompt in the author's line although NumPy raised; `c` records the failure."""
    before = "print('early'); value = 41; np.linalg.inv(np.zeros((2, 2)))"
    done = debugged(tmp_path, synthetic, "p value + 1\nc\n", "--pdb", before=before)
    assert done.returncode == 1
    assert done.stderr.startswith("early\nTraceback (most recent call last):\n")
    shown = done.stderr.splitlines()
    assert shown[shown.index(next(line for line in shown if line.startswith("(Pdb)"))) - 2] == (
        f"> {tmp_path / 'mine.py'}(14)fit()"
    )
    assert "(Pdb) 42" in done.stderr
    assert "failed LinAlgError: Singular matrix (mine.py, line 14)" in done.stderr
    (record,) = Store(tmp_path / "s").records()
    assert (record.status, record.failure.type) == ("failed", "LinAlgError")
    assert (tmp_path / "s" / record.run.log).read_text() == "early\n"


def test_leaving_a_post_mortem_ends_the_run(tmp_path, synthetic):
    """`q`, or nobody at the prompt: exit code 130, with no second prompt."""
    done = debugged(tmp_path, synthetic, "", "--pdb", "--splits", "3", before="raise ValueError('bad')")
    assert done.returncode == 130
    assert done.stderr.count("(Pdb)") == 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--workers", "2"], "--pdb runs trials in this process, --workers 2 does not: choose one."),
        (["--address", "auto"], "--pdb runs trials in this process and --address on a cluster: choose one."),
        (["--timeout", "3s"], "--pdb stops a trial for as long as you like, --timeout ends it: choose one."),
    ],
)
def test_what_a_post_mortem_excludes(in_process, synthetic, options, said):
    """Options that ask for trials elsewhere are refused in one line."""
    code, out, err = in_process("run", "--methods", "eszsl", "--dataset", synthetic, "--pdb", *options)
    assert (code, out, err) == (2, "", f"zslbench: {said}\n")


def test_a_post_mortem_of_two_plugins_is_refused(in_process, synthetic, tmp_path):
    """They run in processes of their own, where nobody is at the terminal."""
    plugins = [write_plugin(tmp_path / f"{name}.py", name=name) for name in ("one", "two")]
    args = [word for plugin in plugins for word in ("--plugin", plugin)]
    code, _, err = in_process("run", "--methods", "one,two", "--dataset", synthetic, *args, "--pdb")
    assert code == 2
    assert "a post mortem needs the trials in this process" in err


def test_the_screen_ends_where_a_debugger_begins(tmp_path, synthetic):
    """On a terminal nothing is drawn over the prompt, and the table is printed at the end."""
    plugin = write_plugin(tmp_path / "mine.py", before="value = 41; breakpoint(); time.sleep(0.6)")
    own, terminal = pty.openpty()
    args = ["run", "--methods", "mine", "--plugin", plugin, "--dataset", synthetic, "--splits", "1",
            "--no-validation", "--store", "s", "--workers", "0"]  # fmt: skip
    process = subprocess.Popen(
        [sys.executable, "-m", "zslbench", *args], cwd=tmp_path, stdin=terminal, stdout=terminal, stderr=terminal
    )
    os.close(terminal)
    os.write(own, b"p value + 1\nc\n")
    said, end = b"", time.monotonic() + 60
    while time.monotonic() < end:
        try:
            said += os.read(own, 1 << 16)
        except OSError:  # the other end is closed
            break
    assert process.wait(30) == 0, said
    os.close(own)
    shown = said.decode()
    after = shown[shown.index("fit()") :]
    assert "42" in after
    assert "elapsed" not in after
    assert after.index("mine 6/2#0 seed 0: T1") < after.index("toy 6/2, features")

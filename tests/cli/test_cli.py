"""The command line: what goes where, which exit code, and what running again does."""

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from conftest import timeless
from plugins import write_plugin

import zslbench as package
from zslbench.cli import cli
from zslbench.records import Store

Command = Callable[..., subprocess.CompletedProcess[str]]


def small(dataset: Path, methods: str = "eszsl,projection", **options: object) -> list[str]:
    """The arguments of a small serial run into the store ``s``."""
    named = {"splits": 2, "workers": 0, "store": "s"} | options
    pairs = [(f"--{name.replace('_', '-')}", str(value)) for name, value in named.items()]
    return ["run", "--methods", methods, "--dataset", str(dataset), *(part for pair in pairs for part in pair)]


@pytest.fixture
def reading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Run a command that only reads in this process, which is quicker."""
    monkeypatch.chdir(tmp_path)

    def call(*args: str) -> Result:
        result = CliRunner().invoke(cli, args, standalone_mode=False, catch_exceptions=False)
        assert result.return_value in (0, None)
        return result

    return call


def test_a_run_prints_the_table_to_stdout_and_progress_to_stderr(zslbench, reading, synthetic, tmp_path):
    """stdout holds the leaderboard alone, stderr a line per trial; all done is exit code 0; again does nothing."""
    done = zslbench(*small(synthetic))
    assert done.returncode == 0
    assert done.stdout.startswith("toy 6/2, features made, semantics truth")
    assert all(name in done.stdout for name in ("eszsl", "projection", "AUSUC", "2/2"))
    assert "seed 0" not in done.stdout
    lines = done.stderr.splitlines()
    assert [line.split()[0] for line in lines] == [f"{number}/8" for number in range(1, 9)]
    assert "\x1b" not in done.stdout + done.stderr
    records = (tmp_path / "s/records.jsonl").read_bytes()

    again = zslbench(*small(synthetic))
    assert (again.returncode, again.stderr) == (0, "8 of 8 trials are done already.\n")
    assert again.stdout == done.stdout
    assert (tmp_path / "s/records.jsonl").read_bytes() == records

    shown = zslbench("leaderboard", "--store", "s")
    assert (shown.returncode, shown.stdout, shown.stderr) == (0, done.stdout, "")
    as_json = zslbench(*small(synthetic), "--json").stdout
    assert timeless(reading("leaderboard", "--store", "s", "--json").stdout) == timeless(as_json)


def test_adding_a_method_runs_only_that(zslbench, synthetic, tmp_path):
    """A further method joins the table; the trials of the others are not run again."""
    first = zslbench(*small(synthetic, "eszsl"))
    before = (tmp_path / "s/records.jsonl").read_bytes()
    both = zslbench(*small(synthetic, "eszsl,projection"))
    assert first.returncode == both.returncode == 0
    lines = both.stderr.splitlines()
    assert lines[0] == "4 of 8 trials are done already."
    assert len(lines) == 5
    assert all(" projection 6/2#" in line for line in lines[1:])
    assert (tmp_path / "s/records.jsonl").read_bytes().startswith(before)
    assert "eszsl" in both.stdout


def test_json_is_one_document_and_nothing_else(zslbench, synthetic, tmp_path):
    """With --json, stdout is one JSON document, whatever the methods print; --quiet silences stderr."""
    before = "print('loud'); os.write(1, b'native'); os.system('echo shell')"
    plugin = write_plugin(tmp_path / "plugin.py", before=before)
    plugin.write_text("print('imported')\n" + plugin.read_text())
    done = zslbench(*small(synthetic, "mine,eszsl", plugin=plugin), "--json", "--quiet")
    assert done.returncode == 0
    (table,) = json.loads(done.stdout)
    assert {row["label"] for row in table["rows"]} == {"mine", "eszsl"}
    assert done.stderr.replace("native", "").replace("shell\n", "") == "imported\n"
    logs = {record.label: record.run.log for record in Store(tmp_path / "s").records()}
    assert logs["eszsl"] is None
    assert (tmp_path / "s" / logs["mine"]).read_text() == "loud\n"


def test_a_dry_run_runs_and_writes_nothing(zslbench, reading, synthetic, tmp_path):
    """--dry-run counts what is to do, done and failed, estimates the time, and leaves no trace."""
    before = sorted(tmp_path.rglob("*"))
    fresh = reading(*small(synthetic), "--dry-run")
    assert fresh.stderr == ""
    assert re.search(r"~ rough: .*\n8 trials to run, about [\d.]+ s on 1 worker", fresh.stdout)
    plan = json.loads(reading(*small(synthetic), "--dry-run", "--json").stdout)
    assert plan["rough"]
    assert plan["seconds"] > 0
    assert [(row["label"], row["to_do"], row["done"], row["failed"]) for row in plan["methods"]] == [
        ("eszsl", 4, 0, 0), ("projection", 4, 0, 0),
    ]  # fmt: skip
    assert sorted(tmp_path.rglob("*")) == before

    zslbench(*small(synthetic, splits=1))
    files = {path: path.read_bytes() for path in (tmp_path / "s").rglob("*") if path.is_file()}
    later = json.loads(reading(*small(synthetic), "--dry-run", "--json").stdout)
    assert [(row["to_do"], row["done"]) for row in later["methods"]] == [(2, 2), (2, 2)]
    expected = sum(2 * row["seconds_per_trial"] for row in later["methods"])
    assert later["seconds"] == pytest.approx(expected)
    assert re.search(r"4 trials to run, about [\d.]+ s on 1 worker", reading(*small(synthetic), "--dry-run").stdout)
    assert "Everything is done." in reading(*small(synthetic, splits=1), "--dry-run").stdout
    assert {path: path.read_bytes() for path in (tmp_path / "s").rglob("*") if path.is_file()} == files


def test_a_failing_plugin_costs_its_own_row_until_it_is_mended(zslbench, synthetic, tmp_path):
    """A failing method ends with exit code 1 and an unranked row beside the others' results; once mended, running
    the same command again completes the table."""
    path = write_plugin(tmp_path / "plugin.py", before="raise ValueError('not yet')")
    args = small(synthetic, "mine,eszsl", plugin=path)
    broken = zslbench(*args, "--json")
    assert broken.returncode == 1
    (table,) = json.loads(broken.stdout)
    eszsl, mine = table["rows"]
    assert (eszsl["label"], eszsl["rank"], eszsl["done"]) == ("eszsl", 1, 2)
    assert (mine["label"], mine["rank"], mine["done"], mine["planned"], mine["failed"]) == ("mine", None, 0, 2, 2)
    assert mine["metrics"] == {}
    assert f"1/8 mine 6/2#0 seed 0: failed ValueError: not yet ({path.name}, line 14)" in broken.stderr.splitlines()

    again = zslbench(*args)
    assert again.returncode == 1
    assert (
        again.stderr.splitlines()[-1]
        == "4 trial(s) failed: see `zslbench status --failures --store s`; run again to retry them."
    )
    assert re.search(r"^ +mine .* 0/2 \(2 failed\)", again.stdout, re.M)

    write_plugin(path)
    mended = zslbench(*args)
    assert mended.returncode == 0
    assert len(mended.stderr.splitlines()) == 1 + 4
    assert "failed" not in mended.stdout
    assert re.search(r"^[12] +mine ", mended.stdout, re.M)


def test_a_half_failed_row_is_not_ranked(zslbench, synthetic, tmp_path):
    """A method that fails on one split shows the mean of what it has, and no rank."""
    flag = tmp_path / "failed once"
    path = write_plugin(
        tmp_path / "plugin.py", before=f"0 if os.path.exists({str(flag)!r}) else [open({str(flag)!r}, 'w'), 1 / 0]"
    )
    done = zslbench(*small(synthetic, "mine,eszsl", plugin=path), "--no-validation", "--json")
    assert done.returncode == 1
    rows = {row["label"]: row for row in json.loads(done.stdout)[0]["rows"]}
    assert (rows["eszsl"]["rank"], rows["mine"]["rank"]) == (1, None)
    assert (rows["mine"]["done"], rows["mine"]["failed"], rows["mine"]["metrics"]["H"]["splits"]) == (1, 1, 1)


def test_a_torn_line_is_reported_set_aside_and_run_again(zslbench, synthetic, tmp_path):
    """A store whose last line is torn completes with a warning, and gives the same table as before."""
    done = zslbench(*small(synthetic), "--json")
    path = tmp_path / "s/records.jsonl"
    content = path.read_bytes()
    whole = content[: content[:-1].rfind(b"\n") + 1]
    path.write_bytes(content[:-100])
    shown = zslbench("leaderboard", "--store", "s")
    assert shown.returncode == 0
    assert shown.stderr == "zslbench: warning: s/records.jsonl: the last line is torn and ignored.\n"
    assert path.read_bytes() == content[:-100]
    again = zslbench(*small(synthetic), "--json")
    assert again.returncode == 0
    warning, known, *ran = again.stderr.splitlines()
    assert warning == "zslbench: warning: s/records.jsonl: the last line is torn and was moved to records.torn."
    assert known == "7 of 8 trials are done already."
    assert len(ran) == 1
    assert path.read_bytes().startswith(whole)
    assert (tmp_path / "s/records.torn").read_bytes() == content[len(whole) : -100] + b"\n"
    assert timeless(again.stdout) == timeless(done.stdout)


def test_missing_predictions_do_not_stop_a_leaderboard(zslbench, reading, synthetic, tmp_path):
    """A table needs the records alone; predictions are for looking closer."""
    done = zslbench(*small(synthetic, "eszsl"))
    for path in (tmp_path / "s/predictions").iterdir():
        path.unlink()
    assert reading("leaderboard", "--store", "s").stdout == done.stdout


def test_selection_by_validation_and_by_the_oracle(zslbench, reading, synthetic, tmp_path):
    """--select val and test-max choose among a method's epochs, as the stored curves say; the oracle is marked."""
    path = write_plugin(tmp_path / "plugin.py")
    last = json.loads(zslbench(*small(synthetic, "mine", plugin=path), "--json").stdout)
    records = list(Store(tmp_path / "s").records())
    curves = {(r.trial.stage, r.trial.split): r.outcome.gzsl["H"] for r in records}
    assert {len(curve) for curve in curves.values()} == {3}
    by_rule = {"last": last[0]["rows"][0]["metrics"]["H"]["mean"]}
    for rule in ("val", "test-max"):
        (table,) = json.loads(reading("leaderboard", "--store", "s", "--select", rule, "--json").stdout)
        by_rule[rule] = table["rows"][0]["metrics"]["H"]["mean"]
    tests = [curves["test", split] for split in range(2)]
    chosen = [int(np.argmax(curves["validation", split])) for split in range(2)]
    assert by_rule == {
        "last": pytest.approx(np.mean([curve[-1] for curve in tests])),
        "val": pytest.approx(np.mean([curve[epoch] for curve, epoch in zip(tests, chosen, strict=True)])),
        "test-max": pytest.approx(np.mean([max(curve) for curve in tests])),
    }
    assert "an oracle, not a result" in reading("leaderboard", "--store", "s", "--select", "test-max").stdout


def interrupted(args: list[str], folder: Path, after: int, number: signal.Signals) -> subprocess.CompletedProcess[str]:
    """Run the command in a process group of its own and send it a signal once `after` records are stored."""
    with subprocess.Popen(
        [sys.executable, "-m", "zslbench", *args], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL, text=True, start_new_session=True,
    ) as process:  # fmt: skip
        try:
            records = folder / "s/records.jsonl"
            end = time.monotonic() + 60
            while not records.exists() or records.read_bytes().count(b"\n") < after:
                assert process.poll() is None
                assert time.monotonic() < end
                time.sleep(0.02)
            os.killpg(process.pid, number)
            stdout, stderr = process.communicate(timeout=30)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
    return subprocess.CompletedProcess(args, process.returncode, stdout, stderr)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_ctrl_c_keeps_what_is_finished(zslbench, synthetic, tmp_path, number):
    """Ctrl-C, a batch system's time limit and a closed terminal end a run with exit code 130 and one sentence on what
    is stored; the next run goes on from there."""
    path = write_plugin(tmp_path / "plugin.py", before="time.sleep(0.2)")
    args = small(synthetic, "mine", splits=4, plugin=path)
    stopped = interrupted(args, tmp_path, 2, number)
    assert (stopped.returncode, stopped.stdout) == (130, "")
    assert stopped.stderr.splitlines()[-1] == (
        "zslbench: interrupted; what was finished is stored, run the same command again to go on"
    )
    assert "Traceback" not in stopped.stderr
    kept = (tmp_path / "s/records.jsonl").read_bytes()
    assert kept.count(b"\n") in (2, 3)
    again = zslbench(*args)
    assert again.returncode == 0
    assert (tmp_path / "s/records.jsonl").read_bytes().startswith(kept)
    assert again.stderr.splitlines()[0] == f"{len(kept.splitlines())} of 8 trials are done already."


def on_a_terminal(args: list[str], folder: Path, **env: str) -> tuple[int, str, str]:
    """Run the command with stderr on a terminal; returns its exit code, stdout and what the terminal got."""
    leader, follower = pty.openpty()
    environment = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR")}
    environment |= {"TERM": "xterm-256color", "COLUMNS": "100"} | env
    with subprocess.Popen(
        [sys.executable, "-m", "zslbench", *args], cwd=folder, env=environment, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=follower, text=True,
    ) as process:  # fmt: skip
        os.close(follower)
        said = bytearray()
        end = time.monotonic() + 60
        while time.monotonic() < end and select.select([leader], [], [], 30)[0]:
            try:
                said += os.read(leader, 65536)
            except OSError:  # the other side is closed
                break
        os.close(leader)
        stdout = process.stdout.read()
        return process.wait(timeout=10), stdout, said.decode()


COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def test_a_terminal_shows_a_live_screen_that_stays_out_of_the_logs(synthetic, tmp_path):
    """While a serial trial runs, the screen goes on to the terminal, what the method prints goes to its log alone."""
    path = write_plugin(tmp_path / "plugin.py", before="print('[mine]'); time.sleep(1.2)")
    args = small(synthetic, "mine", splits=1, plugin=path)
    code, stdout, said = on_a_terminal([*args, "--no-validation"], tmp_path)
    assert code == 0
    assert "[mine]" not in said + stdout
    assert said.count("mine 6/2#0: ") >= 3  # refreshed during the trial
    assert "1 s" in said
    (record,) = Store(tmp_path / "s").records()
    assert (tmp_path / "s" / record.run.log).read_text() == "[mine]\n"
    assert "\x1b" not in stdout
    assert COLOUR.search(said)


def test_no_color_is_respected(synthetic, tmp_path):
    """With NO_COLOR set there is no colour, even on a terminal."""
    path = write_plugin(tmp_path / "plugin.py", before="1 / 0")
    args = small(synthetic, "mine,eszsl", splits=1, plugin=path)
    code, stdout, said = on_a_terminal(args, tmp_path, NO_COLOR="1")
    assert code == 1
    assert not [code for code in COLOUR.findall(said) if re.search(r"[34]\d|38|9\d", code)]
    assert "\x1b" not in stdout


def test_help_is_quick_and_imports_no_heavy_library():
    """--help, list and describe import neither torch nor ray."""
    for args in (["--help"], ["run", "--help"], ["leaderboard", "--help"], ["list", "datasets"], ["describe", "eszsl"]):
        code = (
            f"import sys; sys.argv = ['zslbench', *{args!r}]\nfrom zslbench.cli import main\ntry: main()\n"
            "except SystemExit as end: code = end.code\n"
            "print(code, [name for name in ('torch', 'ray', 'pandas') if name in sys.modules], file=sys.stderr)"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
        assert done.stderr == "0 []\n", args
        assert done.stdout


def test_help_names_every_command():
    """`zslbench`, `--help` and `-h` list the commands; without arguments that is a usage error."""
    runner = CliRunner()
    shown = runner.invoke(cli, ["-h"])
    assert shown.exit_code == 0
    assert shown.output == runner.invoke(cli, ["--help"]).output
    for name in ("run", "leaderboard", "list", "describe"):
        assert re.search(rf"^  {name} ", shown.output, re.MULTILINE)


def test_no_argument_shows_the_help(zslbench):
    """`zslbench` alone shows its help as it is meant to be read, not as an error on one line."""
    bare = zslbench()
    assert bare.returncode in (0, 2)
    assert "zslbench: " not in bare.stderr
    assert len((bare.stdout + bare.stderr).splitlines()) > 10


def test_the_version_is_the_package_s():
    """--version prints the version of the package."""
    assert CliRunner().invoke(cli, ["--version"]).output == f"zslbench, version {package.__version__}\n"


def test_methods_and_plugins_are_listed_and_described(tmp_path):
    """`list` and `describe` know plugin files, in text and in JSON."""
    path = write_plugin(tmp_path / "plugin.py")
    runner = CliRunner()
    rows = json.loads(runner.invoke(cli, ["list", "methods", "--json", "--plugin", str(path)]).stdout)
    assert [row["name"] for row in rows][-1] == "mine"
    assert "eszsl" in {row["name"] for row in rows}
    said = json.loads(runner.invoke(cli, ["describe", "mine", "--json", "--plugin", str(path)]).stdout)
    assert said["parameters"] == [
        {"name": "ridge", "default": 1.0, "type": "a number > 0", "meaning": "penalty", "search": ""}
    ]
    text = runner.invoke(cli, ["describe", "mine", "--plugin", str(path)]).output
    assert "ridge" in text
    assert "a number > 0" in text


def test_a_data_set_folder_is_described(synthetic):
    """`describe FOLDER` tells the shapes, the split families and the hashes of a data set."""
    said = json.loads(CliRunner().invoke(cli, ["describe", str(synthetic), "--json"]).stdout)
    assert (said["images"], said["split families"][:2]) == (96, ["6/2", "5/3"])
    assert said["features"]["made"]["shape"] == [96, 16]
    assert said["default semantics"] == "truth"
    assert set(said["hashes"]) == {"features", "labels", "semantics"}


def test_a_leaderboard_can_be_saved(zslbench, reading, synthetic, tmp_path):
    """-o writes to the file what --format prints, and prints nothing."""
    zslbench(*small(synthetic, "eszsl", splits=1))
    for form in ("md", "csv", "json", "table"):
        saved = reading("leaderboard", "--store", "s", "--format", form, "-o", "out")
        assert (saved.stdout, saved.stderr) == ("", "")
        printed = reading("leaderboard", "--store", "s", "--format", form).stdout
        assert (tmp_path / "out").read_text().rstrip("\n") == printed.rstrip("\n")
        assert "eszsl" in printed


def test_the_store_can_be_named_by_the_environment(zslbench, synthetic, tmp_path):
    """ZSLBENCH_STORE stands in for --store, and --store wins."""
    args = [part for part in small(synthetic, "eszsl", splits=1) if part not in ("--store", "s")]
    assert zslbench(*args, ZSLBENCH_STORE="env").returncode == 0
    assert zslbench(*args, "--store", "given", ZSLBENCH_STORE="env").returncode == 0
    assert len((tmp_path / "env/records.jsonl").read_bytes().splitlines()) == 2
    assert (tmp_path / "given/records.jsonl").exists()
    assert not (tmp_path / "results").exists()


def test_a_reader_that_leaves_early_is_no_error(zslbench, synthetic, tmp_path):
    """`zslbench leaderboard | head -1` ends quietly, in any format."""
    zslbench(*small(synthetic, "eszsl", splits=1))
    for form in ("json", "table"):
        read, write = os.pipe()
        os.close(read)
        try:
            done = subprocess.run(
                [sys.executable, "-m", "zslbench", "leaderboard", "--store", "s", "--format", form],
                cwd=tmp_path, stdout=write, stderr=subprocess.PIPE, text=True, timeout=60, check=False,
            )  # fmt: skip
        finally:
            os.close(write)
        assert (done.returncode, done.stderr) == (0, "")

"""stdout and stderr that cannot take what is printed: what was done stays done, one line says what was lost."""

import io
import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import ROOT
from nasty_names import HARMLESS, write_store
from plugins import write_plugin
from reports import several

from zslbench.cli.streams import Stream, put, say, tell, unfailing
from zslbench.errors import InputError
from zslbench.files import write_all, write_whole

LOST = "zslbench: not all of the result could be printed: {}. Nothing that is stored is lost.\n"
Ended = subprocess.CompletedProcess[bytes]


def zslbench(folder: Path, redirected: str, *args: object, **env: str) -> Ended:
    """Run the real command through a shell that redirects its output."""
    command = ["sh", "-c", f'exec "$@" {redirected}', "sh", sys.executable, "-m", "zslbench", *map(str, args)]
    return subprocess.run(
        command,
        cwd=folder,
        env=os.environ | env,
        capture_output=True,
        timeout=120,
        stdin=subprocess.DEVNULL,
        check=False,
    )


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with two methods."""
    return several(tmp_path_factory.mktemp("streams") / "store", ("a", "b"), splits=2).folder


@pytest.mark.parametrize(
    ("redirected", "why", "arguments"),
    [
        (">/dev/full", "No space left on device", ()),
        (">/dev/full", "No space left on device", ("--json",)),
        (">&-", "Bad file descriptor", ("--help",)),
        (">/dev/full 2>/dev/full", "", ()),
        (">&- 2>&- <&-", "", ()),
    ],
)
def test_a_result_that_cannot_be_printed(store: Path, redirected: str, why: str, arguments: tuple[str, ...]) -> None:
    """A full or a closed stdout is one line and exit code 2, whatever form is printed, also where stderr fails too."""
    ended = zslbench(store, redirected, "leaderboard", "--store", store, *arguments)
    assert (ended.returncode, ended.stdout) == (2, b"")
    assert ended.stderr.decode() == (LOST.format(why) if why else "")


@pytest.mark.parametrize("redirected", ["2>/dev/full", "2>&-"])
def test_messages_that_cannot_be_printed(store: Path, redirected: str) -> None:
    """Where stderr fails, a result is printed and a bad input ends with exit code 2."""
    ended = zslbench(store, redirected, "leaderboard", "--store", store, "--json")
    assert (ended.returncode, ended.stderr) == (0, b"")
    assert json.loads(ended.stdout)
    assert zslbench(store, redirected, "leaderboard", "--store", "nowhere").returncode == 2


def test_a_run_whose_leaderboard_cannot_be_printed(synthetic: Path) -> None:
    """Its trials are stored, the exit code is 2 and not that of failed trials, and the same command then says 0."""
    folder = synthetic.parent
    write_plugin(folder / "mine.py")
    run = ("run", "--methods", "mine", "--plugin", "mine.py", "--dataset", "toy", "--splits", 1, "--workers", 0,
           "--no-validation", "--quiet")  # fmt: skip
    ended = zslbench(folder, ">/dev/full", *run)
    assert (ended.returncode, ended.stderr.decode()) == (2, LOST.format("No space left on device"))
    stored = (folder / "results/records.jsonl").read_bytes()
    assert stored.count(b"\n") == 1
    assert zslbench(folder, "2>&-", *run).returncode == 0
    assert (folder / "results/records.jsonl").read_bytes() == stored


@pytest.mark.parametrize(("command", "code"), [(("leaderboard",), 0), (("status",), 1), (("export",), 0)])
def test_a_reader_who_has_left(tmp_path: Path, command: tuple[str, ...], code: int) -> None:
    """A closed pipe (``| head``) is the reader's choice: no word, and the exit code that the command has otherwise."""
    write_store(tmp_path / "store", HARMLESS)
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as pipe:
        ended = subprocess.run(
            [sys.executable, "-m", "zslbench", *command, "--store", str(tmp_path / "store")],
            stdout=pipe, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, timeout=120, check=False, cwd=tmp_path,
        )  # fmt: skip
    assert (ended.returncode, ended.stderr) == (code, b"")


@pytest.mark.parametrize("encoding", ["ascii:strict", "cp1252"])
def test_an_encoding_that_lacks_characters(tmp_path: Path, encoding: str) -> None:
    """What cannot be shown is replaced in tables, and in JSON written as an escape that means the same."""
    folder = write_store(tmp_path / "store", ("\u0100ther \u4e2d\U0001f469", *HARMLESS[1:])).folder
    ended = zslbench(tmp_path, "", "leaderboard", "--store", folder, "--wide", PYTHONIOENCODING=encoding)
    text = ended.stdout.decode(encoding.partition(":")[0])
    assert (ended.returncode, ended.stderr) == (0, b"")
    assert "?ther ??" in text
    ended = zslbench(tmp_path, "", "leaderboard", "--store", folder, "--json", PYTHONIOENCODING=encoding)
    assert json.loads(ended.stdout.decode(encoding.partition(":")[0]))[0]["dataset"] == "\u0100ther \u4e2d\U0001f469"


def test_a_stream_takes_everything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Within the block no printing raises, however long and odd it is; after it the streams are those of before."""
    with open("/dev/full", "w", encoding="ascii") as full, open(tmp_path / "err", "w", encoding="ascii") as err:
        monkeypatch.setattr(sys, "stdout", full)
        monkeypatch.setattr(sys, "stderr", err)
        with unfailing() as out:
            say("x" * 100_000, "\udc80 \u4e2d")
            put("{}\n" * 100_000)
            print("more", flush=True)
            tell("caf\xe9 \x1b[31m\nsecond")
        assert (sys.stdout, sys.stderr) == (full, err)
    assert out.lost == "No space left on device"
    assert (tmp_path / "err").read_bytes() == rb"caf\u00e9 \x1b[31m second" + b"\n"


def test_a_pipe_that_is_slow() -> None:
    """A pipe that takes less than it is given gets the rest later, also where it is set not to wait."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    copy = subprocess.Popen(["wc", "-c"], stdin=reading, stdout=subprocess.PIPE)
    os.close(reading)
    stream = io.BufferedWriter(Stream(writing))
    stream.write(b"x" * 300_000)
    stream.flush()
    os.close(writing)
    assert copy.communicate(timeout=60)[0].strip() == b"300000"


def limited(folder: Path, code: str) -> Ended:
    """Run Python code that may write no file of more than 4096 bytes, as on a full disk."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))

    return subprocess.run(
        [sys.executable, "-c", code], cwd=folder, preexec_fn=limit, capture_output=True, timeout=120, check=False,
        env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"},
    )  # fmt: skip


@pytest.mark.parametrize(
    "arguments",
    [
        ("leaderboard", "-o", "x.html"), ("leaderboard", "-o", "x.json"), ("export", "-o", "x.csv"),
        ("export", "-o", "x.parquet"),
    ],
    ids=" ".join,
)  # fmt: skip
def test_a_disk_that_fills_up(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """Whatever is written: the file of before stays, nothing half written is left, one line, exit code 2."""
    several(tmp_path / "store", tuple("abcdefgh"), splits=6 if arguments[0] == "export" else 2)
    target = tmp_path / arguments[2]
    target.write_text("before")
    ended = limited(tmp_path, f"import sys; sys.argv[1:] = {[*arguments, '--store', 'store']}; "
                              f"from zslbench.cli import main; main()")  # fmt: skip
    assert ended.returncode == 2, ended.stderr
    assert ended.stdout == b""
    assert ended.stderr.decode().count("\n") == 1
    assert f"{arguments[2]} cannot be written: " in ended.stderr.decode()
    assert target.read_text() == "before"
    left = {
        path.name for path in tmp_path.rglob("*") if path.is_file() and path.parent.name not in ("store", "predictions")
    }
    assert left == {target.name}


def test_several_files_are_written_together(tmp_path: Path) -> None:
    """Where one of them cannot be, none is; half characters in text are written out."""
    (tmp_path / "folder").mkdir()
    contents = {tmp_path / "a": "new", tmp_path / "deep" / "b": b"new", tmp_path / "folder": "no"}
    with pytest.raises(InputError, match="folder cannot be written"):
        write_all(contents)
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == []
    write_all({path: content for path, content in contents.items() if path.name != "folder"})
    assert (tmp_path / "deep/b").read_bytes() == b"new"
    write_whole(tmp_path / "half", "\udc80")
    assert (tmp_path / "half").read_bytes() == rb"\udc80"


@pytest.mark.parametrize(
    "name", ["", ".", "..", "n" * 300 + ".html", "nowhere/x.html", "file/x.html", "/proc/x.html", "loop.html"],
    ids=lambda name: name[:20] or "empty",
)  # fmt: skip
@pytest.mark.parametrize("command", [("leaderboard", "--format", "html"), ("report",)], ids=lambda command: command[0])
def test_names_that_no_file_can_have(
    in_process: Callable[..., tuple[object, str, str]], store: Path, tmp_path: Path, command: tuple[str, ...], name: str
) -> None:
    """Empty, too long, a folder, below a file: one line and exit code 2, before anything is computed."""
    (tmp_path / "file").write_text("")
    (tmp_path / "loop.html").symlink_to("loop.html")
    code, out, err = in_process(*command, "--store", store, "-o", name)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "cannot be written" in err or "is a directory" in err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "loop.html"]


def test_a_report_and_its_figures_are_written_together(
    in_process: Callable[..., tuple[object, str, str]], store: Path, tmp_path: Path
) -> None:
    """Where the folder of figures cannot be made, the page of before stays."""
    (tmp_path / "report.html").write_text("before")
    (tmp_path / "file").write_text("")
    code, out, err = in_process("report", "--store", store, "--plots", "file/figures")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert (tmp_path / "report.html").read_text() == "before"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "report.html"]


def test_an_input_is_not_overwritten(
    in_process: Callable[..., tuple[object, str, str]], store: Path, tmp_path: Path
) -> None:
    """A file that a command reads is refused as its output, also by another name."""
    (tmp_path / "pictures.zip").write_bytes(b"zip")
    (tmp_path / "same.html").symlink_to("pictures.zip")
    for output in ("pictures.zip", "same.html"):
        code, _, err = in_process("report", "--store", store, "--images", "pictures.zip", "-o", output)
        assert (code, err.count("\n")) == (2, 1)
        assert "would be overwritten" in err
    assert (tmp_path / "pictures.zip").read_bytes() == b"zip"


def test_only_one_module_prints() -> None:
    """Commands print by `emit`, `say`, `tell` and the two consoles, all of which take whatever text there is."""
    for path in (ROOT / "zslbench").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        if path.name not in ("streams.py", "options.py", "attempt.py"):  # the last lets a method's words to a debugger
            assert "click.echo(" not in text, path
            assert "sys.stdout.write" not in text, path
            assert " Console(" not in text, path

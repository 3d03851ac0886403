"""Stores that are killed, flipped and cut at random: after running again the leaderboard is that of an undisturbed run,
or what is wrong is named."""

import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from stores import Files, contents, do, jobs, table, write

from zslbench.errors import InputError
from zslbench.records import Record, Store
from zslbench.verification import verify

pytestmark = pytest.mark.usefixtures("unsynced")
ASKED = jobs()
MANY = settings(derandomize=True, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> tuple[Files, Any]:
    """The files of a store in which everything that was asked for is done, and its leaderboard."""
    folder = tmp_path_factory.mktemp("pristine") / "s"
    assert do(ASKED, folder).complete
    return contents(folder), table(folder)


def outcome_of(work: Callable[[], Any]) -> tuple[Any, list[str]]:
    """What some work gives, and all that it says: warnings, or the error that ends it."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        try:
            result = work()
        except InputError as error:
            return None, [str(error)]
    return result, [str(each.message) for each in told]


def check(files: Files, undisturbed: Any) -> None:
    """Assert that nothing of this store is silently wrong, before and after running again."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "s"
        folder.mkdir()
        write(folder, files)
        shown, said = outcome_of(lambda: table(folder))
        if not said and shown:  # what is shown without a word is right, if not all of it
            for row in shown[0]["rows"]:
                whole = next(each for each in undisturbed[0]["rows"] if each["label"] == row["label"])
                assert row["done"] < whole["done"] or row["metrics"] == whole["metrics"]
        again, complained = outcome_of(lambda: do(ASKED, folder))
        if again is None:
            assert complained
            return
        assert again.complete
        assert outcome_of(lambda: table(folder)) == (undisturbed, [])
        assert verify(Store(folder)).findings == []


@st.composite
def kills(draw: st.DrawFn, files: Files) -> Files:
    """What is left when the power goes: a part of the plan, or a part of the records, and some of the predictions."""
    left = Files(files)
    records = files["records.jsonl"]
    end = draw(st.integers(0, len(records)))
    left["records.jsonl"] = records[:end]
    if end == 0 and draw(st.booleans()):
        left["plan.jsonl"] = files["plan.jsonl"][: draw(st.integers(0, len(files["plan.jsonl"])))]
    for name in files:
        if name.startswith("predictions/"):
            match draw(st.sampled_from(["whole", "whole", "gone", "empty", "half"])):
                case "gone":
                    del left[name]
                case "empty":
                    left[name] = b""
                case "half":
                    left[name] = left[name][: draw(st.integers(0, len(left[name]) - 1))]
    return left


@st.composite
def flips(draw: st.DrawFn, files: Files) -> Files:
    """One to three bits are another, in any of the files."""
    left = Files(files)
    for _ in range(draw(st.integers(1, 3))):
        name = draw(st.sampled_from(["records.jsonl", "records.jsonl", "plan.jsonl", *sorted(files)]))
        content = bytearray(left[name])
        bit = draw(st.integers(0, 8 * len(content) - 1))
        content[bit // 8] ^= 1 << bit % 8
        left[name] = bytes(content)
    return left


@st.composite
def blows(draw: st.DrawFn, files: Files) -> Files:
    """Cut, overwritten, moved: lines are torn, doubled, in another order or gone, files are swapped."""
    left = Files(files)
    for _ in range(draw(st.integers(1, 3))):
        name = draw(st.sampled_from(["records.jsonl", "records.jsonl", "plan.jsonl", *sorted(left)]))
        content = left[name]
        start, end = sorted(draw(st.tuples(st.integers(0, len(content)), st.integers(0, len(content)))))
        lines = content.splitlines(keepends=True)
        match draw(st.sampled_from(["cut", "out", "zeros", "text", "twice", "order", "line out", "swap"])):
            case "cut":
                left[name] = content[:start]
            case "out":
                left[name] = content[:start] + content[end:]
            case "zeros":
                left[name] = content[:start] + b"\0" * (end - start) + content[end:]
            case "text":
                left[name] = content[:start] + draw(st.binary(max_size=20)) + content[start:]
            case "twice":
                left[name] = content + b"".join(draw(st.lists(st.sampled_from(lines or [b""]), max_size=3)))
            case "order":
                left[name] = b"".join(draw(st.permutations(lines)))
            case "line out":
                left[name] = b"".join(lines[1:])
            case "swap":
                other = draw(st.sampled_from(sorted(left)))
                left[name], left[other] = left[other], left[name]
    return left


@pytest.mark.parametrize("count", [50, pytest.param(200, marks=pytest.mark.slow)])  # stores are filled and run again
@pytest.mark.parametrize("damages", [kills, flips, blows])
def test_nothing_is_silently_wrong(pristine, damages, count):
    """Of so many damaged stores: what is shown without a word is right; run again, the store is as it was, or what is
    wrong is named. There is no third outcome."""
    files, undisturbed = pristine

    @settings(MANY, max_examples=count)
    @given(damages(files))
    def checked(left: Files) -> None:
        check(left, undisturbed)

    checked()


def test_every_flipped_bit_of_a_line_is_found(pristine):
    """Of a store's lines each single bit, one after the other, in steps that meet every kind of member."""
    files, _ = pristine
    content = files["records.jsonl"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        whole = len(content.splitlines())
        for bit in range(0, 8 * len(content), 101):
            altered = bytearray(content)
            altered[bit // 8] ^= 1 << bit % 8
            (folder / "records.jsonl").write_bytes(altered)
            found, said = outcome_of(lambda: list(Store(folder).records()))
            assert len(found) < whole
            assert said


def test_every_flipped_bit_that_makes_another_trial_is_found_without_a_sum_too(pristine):
    """Lines of an earlier version: whatever bit of the trial or its key is another, the key does not fit, or it is no
    record any more."""
    files, _ = pristine
    line = files["records.jsonl"].splitlines()[0]
    line = line[: line.rindex(b',"sum"')] + b"}\n"
    whole = msgspec.json.decode(line, type=Record)
    trial = range(line.index(b'"trial":{') + 9, line.index(b'},"', line.index(b'"protocol"')))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for at in [*range(8, 40), *trial]:
            altered = bytearray(line)
            altered[at] ^= 1 << at % 7
            (folder / "records.jsonl").write_bytes(altered)
            for read in (Store(folder).records, Store(folder).briefs):
                found, said = outcome_of(lambda read=read: list(read()))
                assert bool(said) != bool(found)
                # The name of a member that says what holds anyway may be another: then the trial is the same.
                assert [(one.key, one.trial) for one in found] in ([], [(whole.key, whole.trial)])

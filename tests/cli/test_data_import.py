"""`zslbench data import`: one command per layout, a folder that runs, and one line for what does not fit."""

import json
import shlex
from pathlib import Path

import numpy as np
import pytest
from importing_files import gbu, save_v5

from zslbench.datasets import Dataset


@pytest.fixture
def awa(tmp_path):
    """The two files of the xlsa17 layout, made up, in a folder that names the data set."""
    folder = tmp_path / "AWA9"
    folder.mkdir()
    return save_v5(folder, *gbu())


def test_xlsa17_is_imported_by_one_command(awa, in_process):
    """The data set is named after its folder, its notes are printed, and the check finds no error."""
    code, out, err = in_process("data", "import", "xlsa17", *awa)
    assert (code, err) == (0, "")
    assert "splits    proposed, 4/2" in out
    assert "note      res101.mat: labels: classes are counted from 1." in out
    assert Dataset("awa9").name == "awa9"
    program, *command = shlex.split(out.splitlines()[-1].removeprefix("next      "))
    assert program == "zslbench"
    code, planned, err = in_process(*command, "--dry-run", "--no-validation")
    assert code == 0, err
    assert "projection" in planned
    code, out, _ = in_process("data", "check", "awa9")
    assert code == 0, out
    code, _, err = in_process("data", "import", "xlsa17", *awa)
    assert code == 2
    assert "awa9: exists already" in err


def test_json_is_one_document_and_names_are_taken_from_the_options(awa, in_process, tmp_path):
    """--name, --out, --classes and --json do what they say."""
    (tmp_path / "classes.txt").write_text("\n".join("abcdef"))
    code, out, _ = in_process(
        "data", "import", "xlsa17", *awa, "--name", "mine", "--out", "deep/folder", "--classes", "classes.txt", "--json"
    )
    assert code == 0
    assert json.loads(out)["features"] == {"res101": 5}
    data = Dataset("deep/folder")
    assert (data.name, data.class_names) == ("mine", tuple("abcdef"))
    assert data.card.provenance["files"].keys() == {"res101.mat", "att_splits.mat"}


def test_arrays_and_the_mcfa_release_have_commands(awa, in_process, tmp_path):
    """Plain arrays and CSV files are imported, with what --space and --pretraining say in the card."""
    visual, split = gbu()
    np.save("f.npy", visual["features"].T.astype(np.float16))
    np.save("y.npy", visual["labels"].ravel().astype(int))
    np.save("s.npy", split["att"].T)
    Path("c.txt").write_text("\n".join("abcdef"))
    code, _, err = in_process(
        "data", "import", "arrays", "--features", "f.npy", "--labels", "y.npy", "--semantics", "s.npy",
        "--classes", "c.txt",
        "--space", "clip", "--pretraining", "web", "--name", "plain",
    )  # fmt: skip
    assert code == 0, err
    assert Dataset("plain").card.features["imported"].space == "clip"
    np.savetxt("f.csv", visual["features"].T, delimiter=",")
    np.savetxt("y.txt", visual["labels"], fmt="%d")
    code, _, err = in_process("data", "import", "mcfa", "f.csv", "y.txt", awa[1], "--name", "release")
    assert code == 0, err
    assert set(Dataset("release").semantics_names) == {"att", "original_att"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("xlsa17", "none.mat", "none.mat"), "none.mat"),
        (("mcfa", "none.csv", "none.txt", "none.mat"), "none.csv"),
        (("arrays", "--features", "f", "--labels", "l", "--semantics", "s", "--classes", "none.txt"), "none.txt"),
        (("xlsa17", "none.mat", "none.mat", "--name", "../x"), "none.mat"),
    ],
)
def test_what_is_missing_is_one_line(in_process, tmp_path, arguments, message):
    """A file that is not there is named in one line with exit code 2, and nothing is left behind."""
    code, out, err = in_process("data", "import", *arguments)
    assert (code, out) == (2, "")
    assert message in err
    assert len(err.splitlines()) == 1
    assert not list(tmp_path.iterdir())

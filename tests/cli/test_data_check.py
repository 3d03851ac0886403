"""`zslbench data check` and `zslbench describe PATH`: the report, its JSON and its exit codes."""

import json

import numpy as np


def test_warnings_do_not_fail_and_errors_do(synthetic, in_process):
    """Exit code 0 with warnings and 2 with errors; both are printed on stdout."""
    code, out, err = in_process("data", "check", synthetic)
    assert (code, err) == (0, "")
    assert "images     96 in 8 classes; per class 12 to 12, median 12" in out
    assert "warning    features 'made'" in out
    assert out.splitlines()[-1] == "0 error(s), 1 warning(s)"
    (synthetic / "semantics/truth.npy").unlink()
    np.save(synthetic / "semantics/truth.npy", np.ones((7, 6)))
    code, out, _ = in_process("data", "check", synthetic)
    assert code == 2
    assert "ERROR" in out
    assert "7 rows, but the card names 8 classes" in out


def test_json_is_one_document(synthetic, in_process):
    """--json prints the whole report, with the same exit codes."""
    code, out, _ = in_process("data", "check", synthetic, "--json")
    assert code == 0
    report = json.loads(out)
    assert report["features"]["made"]["shape"] == [96, 16]
    assert report["errors"] == []
    code, out, _ = in_process("data", "check", synthetic / "none", "--json")
    assert code == 2
    assert json.loads(out)["errors"] == [f"no data set folder {synthetic / 'none'}."]


def test_describe_reports_what_the_check_found(synthetic, in_process):
    """`describe PATH` holds the check's facts and warnings beside the card, in text and in JSON."""
    code, out, _ = in_process("describe", synthetic, "--json")
    assert code == 0
    described = json.loads(out)
    assert described["images per class"] == {"min": 12, "median": 12.0, "max": 12}
    assert described["splits"]["6/2"]["unseen"] == 2
    assert described["warnings"] == ["features 'made': the card does not say what they were trained on (pretraining)."]
    code, out, _ = in_process("describe", synthetic)
    assert code == 0
    assert "the card does not say what they were trained on" in out


def test_names_that_would_turn_a_line_round_are_written_out(synthetic, in_process):
    """The name of an array's file is text from data too."""
    (synthetic / "features/made.npy").rename(synthetic / "features/ma\u202e\x1bde.npy")
    code, out, _ = in_process("data", "check", synthetic)
    assert code == 2
    assert r"ma\u202e\x1bde" in out
    assert "\x1b" not in out

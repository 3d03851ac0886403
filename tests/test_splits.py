"""Splits: nothing of the test leaks, nothing changes silently, and bad split files are named."""

import itertools
import json
import math
import os
import tempfile
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import SHARED
from hypothesis import given, settings
from hypothesis import strategies as st

from zslbench.errors import InputError
from zslbench.splits import ZSVIDAT_SEEDS, PlainRoster, Split, hold_out, make_splits, read_splits, split_families

UCM = [
    "agricultural",
    "airplane",
    "baseballdiamond",
    "beach",
    "buildings",
    "chaparral",
    "denseresidential",
    "forest",
    "freeway",
    "golfcourse",
    "harbor",
    "intersection",
    "mediumresidential",
    "mobilehomepark",
    "overpass",
    "parkinglot",
    "river",
    "runway",
    "sparseresidential",
    "storagetanks",
    "tenniscourt",
]
FAMILIES = ["16/5", "13/8", "10/11", "7/14"]

# Never to be changed: every stored record names its split by such a hash.
PINNED_UNSEEN = ["agricultural", "buildings", "harbor", "river", "sparseresidential"]
PINNED_VALIDATION = ["freeway", "overpass", "runway", "tenniscourt"]
PINNED_HELD_OUT = [106, 111, 114, 120, 121]
PINNED_HASHES = {
    "16/5": "9a7822d022df9d87abbae28a933ae32da39e253886d8813b921fc416e5d334fb",
    "13/8": "eb81fc648c1a00a9bd7e90601f97e49da1a1bed7f97ead740c05a67fa39248c4",
    "10/11": "b27be66d72f6b9bb5b67d3f4bdfa70f800b790535c17fbde57df45853715b07d",
    "7/14": "ec490c0a98a4492c9005bd96b81969a98657498cd6ca516214658c876edef09d",
    "zsvidat-16/5": "f358f5006b589e6f518c85748dd77da1b5040d32064ed5063623a781b45fb324",
}


def fake(
    sizes: Sequence[int], *, name: str = "fake", names: Sequence[str] = (), shuffled: int | None = None
) -> PlainRoster:
    """A data set with so many images per class, sorted by class or shuffled."""
    labels = np.repeat(np.arange(len(sizes)), sizes)
    if shuffled is not None:
        labels = np.random.default_rng(shuffled).permutation(labels)
    class_names = tuple(names or (f"c{index:02}" for index in range(len(sizes))))
    return PlainRoster(name, class_names, labels, FAMILIES)


def read(data: PlainRoster, entries: Any, count: int | None = None) -> list[Split]:
    """Write a split file and read it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mine.json"
        path.write_text(entries if isinstance(entries, str) else json.dumps(entries))
        return read_splits(data, path, count)


@pytest.fixture(scope="module")
def ucm() -> PlainRoster:
    """21 classes x 100 images with UCM's class names."""
    return fake([100] * 21, name="ucm", names=UCM)


def check_split(split: Split, sizes: tuple[int, int]) -> None:
    """Everything that must hold of every split."""
    labels, everything = split.labels, set(range(len(split.labels)))
    test, validation = split.partition("test"), split.partition("validation")
    assert (len(test.seen), len(test.unseen)) == sizes
    for part in (test, validation):
        images = [part.train, part.held_out_seen, part.held_out_unseen]
        for array in (part.seen, part.unseen, *images):
            assert np.array_equal(array, np.unique(array)), "ascending, without repetition"
        for one, other in itertools.combinations([set(array.tolist()) for array in images], 2):
            assert not one & other, "an image plays two parts"
        assert not set(part.seen.tolist()) & set(part.unseen.tolist())
        assert np.isin(labels[part.train], part.seen).all()
        assert np.isin(labels[part.held_out_seen], part.seen).all()
        assert np.isin(labels[part.held_out_unseen], part.unseen).all()
        assert np.array_equal(np.unique(labels[part.train]), part.seen), "a seen class without a training image"
        assert np.array_equal(np.unique(labels[part.held_out_unseen]), part.unseen)
    assert np.array_equal(np.unique(labels[test.held_out_seen]), test.seen), "a seen class without a test image"
    union = {*test.train.tolist(), *test.held_out_seen.tolist(), *test.held_out_unseen.tolist()}
    assert union == everything, "an image is lost"
    # The leak check: the validation stage is played with the test stage's training images and nothing else.
    played = {*validation.train.tolist(), *validation.held_out_seen.tolist(), *validation.held_out_unseen.tolist()}
    assert played == set(test.train.tolist())
    assert set(validation.unseen.tolist()) == set(split.validation)
    assert {*validation.seen.tolist(), *validation.unseen.tolist()} == set(test.seen.tolist())


@pytest.mark.parametrize("family", FAMILIES)
def test_twenty_splits_of_every_family(ucm: PlainRoster, family: str) -> None:
    """Every one of 20 splits is disjoint, complete and free of leaks in both stages; unseen sets are distinct."""
    seen, unseen = map(int, family.split("/"))
    splits = make_splits(ucm, family, 20)
    for split in splits:
        check_split(split, (seen, unseen))
    assert len({split.unseen for split in splits}) == 20
    assert len({split.hash for split in splits}) == 20
    assert [split.id for split in splits] == [f"{family}#{index}" for index in range(20)]


@pytest.mark.parametrize(("family", "validation"), [("16/5", 4), ("13/8", 5), ("10/11", 5), ("7/14", 3)])
def test_how_many_classes_and_images_are_set_aside(ucm: PlainRoster, family: str, validation: int) -> None:
    """A fifth of each seen class is held out, again a fifth of the rest; validation takes its share of the classes."""
    split = make_splits(ucm, family, 1)[0]
    assert len(split.validation) == validation
    test, inner = split.partition("test"), split.partition("validation")
    assert np.bincount(ucm.labels[test.held_out_seen], minlength=21)[test.seen].tolist() == [20] * len(test.seen)
    assert np.bincount(ucm.labels[inner.held_out_seen], minlength=21)[inner.seen].tolist() == [16] * len(inner.seen)
    assert len(inner.held_out_unseen) == 80 * validation


@pytest.mark.parametrize("family", [*FAMILIES, "zsvidat-16/5"])
def test_a_split_does_not_depend_on_how_many_are_asked_for(ucm: PlainRoster, family: str) -> None:
    """The first splits of a longer list are the shorter list."""
    longest = [split.hash for split in make_splits(ucm, family, 6)]
    for count in range(1, 6):
        assert [split.hash for split in make_splits(ucm, family, count)] == longest[:count]


@pytest.mark.parametrize("classes", [2, 3, 5])
def test_all_there_are_can_be_asked_for(classes: int) -> None:
    """Asking for every split of a small family gives every set of unseen classes once; one more is an error."""
    data = fake([5] * classes)
    for unseen in range(1, classes):
        family, total = f"{classes - unseen}/{unseen}", math.comb(classes, unseen)
        splits = make_splits(data, family, total)
        assert {split.unseen for split in splits} == set(itertools.combinations(range(classes), unseen))
        for split in splits:
            check_split(split, (classes - unseen, unseen))
        with pytest.raises(InputError, match=rf"{total + 1} splits asked of fake {family}: it has 1 to {total}\."):
            make_splits(data, family, total + 1)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(2, 12), min_size=2, max_size=9), st.integers(0, 99), st.data())
def test_any_class_sizes(sizes: list[int], order: int, data: st.DataObject) -> None:
    """With classes of any size from two images up, in any order, splits are complete and free of leaks."""
    unseen = data.draw(st.integers(1, len(sizes) - 1))
    dataset = fake(sizes, shuffled=order)
    prefix = data.draw(st.sampled_from(["", "zsvidat-"]))
    split = make_splits(dataset, f"{prefix}{len(sizes) - unseen}/{unseen}", 1)[0]
    check_split(split, (len(sizes) - unseen, unseen))


def test_a_class_of_two_images_trains_on_one_and_tests_on_the_other() -> None:
    """Two images are enough for the test stage; the validation stage then has none of them to hold out."""
    split = read(fake([2, 2, 10, 10, 10]), [{"unseen": ["c04"], "validation": ["c03"]}])[0]
    test, validation = split.partition("test"), split.partition("validation")
    assert np.bincount(split.labels[test.train]).tolist() == [1, 1, 8, 8]
    assert np.bincount(split.labels[test.held_out_seen]).tolist() == [1, 1, 2, 2]
    assert np.bincount(split.labels[validation.train]).tolist() == [1, 1, 6]
    assert np.bincount(split.labels[validation.held_out_seen]).tolist() == [0, 0, 2]


def test_a_class_of_one_image_can_only_be_unseen() -> None:
    """One image cannot both train and test: the class is named where it is seen, and fine where it is unseen."""
    data = fake([1, 6, 6])
    read(data, [{"unseen": ["c00"]}])
    with pytest.raises(InputError, match=r"seen class 'c00' has 1 image\(s\), 0 of them held out"):
        read(data, [{"unseen": ["c01"]}])
    with pytest.raises(InputError, match="seen class 'c00' has 1 image"):
        make_splits(data, "2/1", 3)


def test_one_seen_class_has_no_validation_classes() -> None:
    """With a single seen class nothing can play unseen, and the validation stage holds no unseen image."""
    split = make_splits(fake([10, 10]), "1/1", 1)[0]
    assert split.validation == ()
    assert len(split.partition("validation").held_out_unseen) == 0
    check_split(split, (1, 1))


def test_splits_are_pinned(ucm: PlainRoster) -> None:
    """The first split of each family of UCM is what it has always been, down to the held-out images."""
    splits = {family: make_splits(ucm, family, 1)[0] for family in [*FAMILIES, "zsvidat-16/5"]}
    first = splits["16/5"]
    assert [UCM[label] for label in first.unseen] == PINNED_UNSEEN
    assert [UCM[label] for label in first.validation] == PINNED_VALIDATION
    assert first.test_seen[:5].tolist() == PINNED_HELD_OUT
    assert {family: split.hash for family, split in splits.items()} == PINNED_HASHES


def test_global_random_state_is_neither_used_nor_changed(ucm: PlainRoster) -> None:
    """Splits are the same whatever NumPy's global generator holds, and leave it alone."""
    hashes = []
    for seed in (0, 1):
        np.random.seed(seed)  # noqa: NPY002  the generator that must not matter
        before = np.random.get_state()[1].tolist()  # type: ignore[index,union-attr]  # noqa: NPY002
        hashes.append([make_splits(ucm, family, 1)[0].hash for family in ("16/5", "zsvidat-16/5")])
        assert np.random.get_state()[1].tolist() == before  # type: ignore[index,union-attr]  # noqa: NPY002
    assert hashes[0] == hashes[1]


def test_the_hash_says_what_a_split_contains(ucm: PlainRoster) -> None:
    """Another unseen class, validation class or held-out image is another hash; making it again is not."""
    base = {"unseen": UCM[:5], "validation": UCM[5:9], "test_seen": [100 * label for label in range(5, 21)]}
    moved = {**base, "test_seen": [501, *base["test_seen"][1:]]}
    entries = [base, {**base, "unseen": [*UCM[:4], UCM[20]], "test_seen": [100 * label for label in range(4, 20)]}]
    entries += [{**base, "validation": UCM[6:10]}, moved]
    hashes = [read(ucm, [entry])[0].hash for entry in entries]
    assert len(set(hashes)) == len(entries)
    assert read(ucm, [base])[0].hash == hashes[0]


def test_families_of_a_data_set(ucm: PlainRoster) -> None:
    """The card's families come with their published twins, and each can be made."""
    assert split_families(ucm) == [*FAMILIES, *(f"zsvidat-{family}" for family in FAMILIES)]
    for family in split_families(ucm):
        assert make_splits(ucm, family, 1)[0].family == family


@pytest.mark.parametrize(
    "family",
    ["", "16", "16/", "/5", "16/6", "21/0", "0/21", "-1/22", "16/5/0", "016/5", "16 /5", "²/19", "zsvidat-", "16-5"]
    + ["zsvidat-zsvidat-16/5", "zsvidat-16/6", "Zsvidat-16/5", "9" * 5000 + "/5"],
)
def test_unknown_families_list_the_known(ucm: PlainRoster, family: str) -> None:
    """A family that does not fit the data set is refused with the list of those that do."""
    with pytest.raises(InputError, match=r"unknown split family .* Known: 16/5, 13/8, .*zsvidat-7/14, or any S/U"):
        make_splits(ucm, family, 1)


def test_a_near_miss_is_suggested(ucm: PlainRoster) -> None:
    """A typing error gets the name that was meant."""
    with pytest.raises(InputError, match="Did you mean '16/5'"):
        make_splits(ucm, "16/55", 1)


@pytest.mark.parametrize(("family", "count"), [("16/5", 0), ("16/5", -1), ("16/5", 10_001), ("zsvidat-16/5", 7)])
def test_too_many_or_too_few_splits(ucm: PlainRoster, family: str, count: int) -> None:
    """A number of splits that the family does not have is refused with the numbers it has."""
    most = 6 if family.startswith("zsvidat") else 10_000
    with pytest.raises(InputError, match=f"{count} splits asked of ucm {family}: it has 1 to {most}"):
        make_splits(ucm, family, count)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 12), min_size=1, max_size=6), st.integers(0, 99), st.text(max_size=4))
def test_hold_out_takes_a_fifth_of_every_class(sizes: list[int], order: int, key: str) -> None:
    """A fifth of each class, at least one where there are two; the order of the images does not matter."""
    labels = fake(sizes, shuffled=order).labels
    images = np.flatnonzero(labels >= 0)
    held = hold_out(images, labels, key)
    assert np.array_equal(held, np.unique(held))
    taken = np.bincount(labels[held], minlength=len(sizes)).tolist()
    assert taken == [0 if size < 2 else max(1, round(size / 5)) for size in sizes]
    assert np.array_equal(hold_out(images[::-1], labels, key), held)


def test_hold_out_depends_on_its_key() -> None:
    """Other names hold out other images."""
    labels = np.zeros(100, int)
    assert not np.array_equal(hold_out(np.arange(100), labels, "a"), hold_out(np.arange(100), labels, "b"))


def published_rule() -> dict[str, dict[str, list[str]]]:
    """The class splits of the ZS-ViDAT rule, computed elsewhere."""
    path = SHARED / "data/splits/zsvidat_rule.json"
    if not path.is_file():
        pytest.skip("no file of published splits: set ZSLBENCH_SHARED")
    rule: dict[str, dict[str, list[str]]] = json.loads(path.read_text())
    return rule


@pytest.mark.parametrize("family", FAMILIES)
def test_the_published_rule(ucm: PlainRoster, family: str) -> None:
    """Seeds 2014 to 2019 give the unseen classes of the published rule on UCM."""
    rule = published_rule()
    for seed, split in zip(ZSVIDAT_SEEDS, make_splits(ucm, f"zsvidat-{family}", 6), strict=True):
        published = rule[f"UCM_{family.replace('/', '-')}_seed{seed}"]
        assert {UCM[label] for label in split.unseen} == set(published["unseen"])
        assert {UCM[label] for label in split.partition("test").seen} == set(published["seen"])


def test_the_published_rule_worked_out(ucm: PlainRoster) -> None:
    """Unseen classes of one published split, stated here, so that the rule is tested without the file."""
    split = make_splits(ucm, "zsvidat-16/5", 1)[0]
    assert [UCM[label] for label in split.unseen] == ["harbor", "mobilehomepark", "parkinglot", "river", "storagetanks"]


@pytest.mark.parametrize("sizes", [[100] * 21, [7, 2, 31, 10, 3, 5, 99, 4] + [6] * 13])
def test_the_published_rule_trains_on_the_first_four_fifths(sizes: list[int]) -> None:
    """Of each seen class the first 80 % of the images, rounded down, train; the others are held out."""
    data = fake(sizes, shuffled=5)
    for split in make_splits(data, "zsvidat-13/8", 6):
        check_split(split, (13, 8))
        part = split.partition("test")
        for label in part.seen.tolist():
            members = [image for image, other in enumerate(data.labels.tolist()) if other == label]
            first = members[: len(members) * 8 // 10]
            assert part.train[data.labels[part.train] == label].tolist() == first


def test_a_split_file_says_it_all(ucm: PlainRoster) -> None:
    """Unseen classes, validation classes and held-out images are taken as given, in any order."""
    held = [100 * label + 7 for label in range(20, 4, -1)]
    split = read(ucm, [{"unseen": UCM[4::-1], "validation": [UCM[9], UCM[6]], "test_seen": held, "id": "x"}])[0]
    check_split(split, (16, 5))
    assert (split.id, split.unseen, split.validation) == (f"{split.family}#0", (0, 1, 2, 3, 4), (6, 9))
    assert split.partition("test").held_out_seen.tolist() == held[::-1]


@pytest.mark.parametrize("rest", [{}, {"validation": None, "test_seen": None}])
def test_what_a_split_file_leaves_out_is_drawn(ucm: PlainRoster, rest: dict[str, None]) -> None:
    """Without validation classes and held-out images, a fifth of the images and a share of the classes are drawn."""
    splits = read(ucm, [{"unseen": UCM[:5], **rest}, {"unseen": UCM[5:10], **rest}])
    for split in splits:
        check_split(split, (16, 5))
        assert len(split.validation) == 4
        assert len(split.test_seen) == 16 * 20
    assert [split.id for split in splits] == [f"{splits[0].family}#{index}" for index in (0, 1)]
    assert splits[0].family.startswith("mine-")


def test_a_split_file_s_family_names_its_contents(ucm: PlainRoster) -> None:
    """An edited file, or another of the same name, is another family: their records never meet in one row."""
    families = {read(ucm, [{"unseen": UCM[start : start + 5]}])[0].family for start in (0, 5)}
    assert len(families) == 2


def test_images_to_hold_out_may_be_listed_for_some_classes(ucm: PlainRoster) -> None:
    """Where a class has no listed image a fifth of its images is drawn; where it has, the list is all."""
    split = read(ucm, [{"unseen": UCM[:5], "test_seen": [507]}])[0]
    check_split(split, (16, 5))
    held = np.bincount(split.labels[split.test_seen], minlength=21)
    assert held.tolist() == [0] * 5 + [1] + [20] * 15


def test_the_usual_count_is_five_or_all(ucm: PlainRoster) -> None:
    """Without a count there are five splits, or as many as the classes allow."""
    assert len(make_splits(ucm, "16/5")) == 5
    small = PlainRoster("small", ("a", "b", "c"), np.repeat(np.arange(3), 5), FAMILIES)
    assert len(make_splits(small, "2/1")) == 3


def test_the_first_splits_of_a_file(ucm: PlainRoster) -> None:
    """Fewer splits may be asked for than the file has; a count it does not have is refused."""
    entries = [{"unseen": [name]} for name in UCM[:4]]
    assert [split.unseen for split in read(ucm, entries, 2)] == [(0,), (1,)]
    assert [split.hash for split in read(ucm, entries, 2)] == [split.hash for split in read(ucm, entries)][:2]
    for count in (0, 5):
        with pytest.raises(InputError, match=rf"{count} splits asked of .*mine\.json: it has 1 to 4"):
            read(ucm, entries, count)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "cannot be read as JSON"),
        ("[{", "cannot be read as JSON"),
        ("[" * 100_000, "cannot be read as JSON"),
        ("{}", "expected a non-empty list of objects"),
        ("[]", "expected a non-empty list of objects"),
        ('["a"]', "expected a non-empty list of objects"),
        ("null", "expected a non-empty list of objects"),
    ],
)
def test_a_file_that_holds_no_splits(ucm: PlainRoster, text: str, message: str) -> None:
    """A file of another form is named, with what was expected."""
    with pytest.raises(InputError, match=rf"mine\.json.*{message}"):
        read(ucm, text)


def test_a_file_that_cannot_be_read(ucm: PlainRoster, tmp_path: Path) -> None:
    """A missing file, a folder and a file that is no text are refused by name."""
    (tmp_path / "binary.json").write_bytes(b"\xff\xfe\x00[")
    for name in ("none.json", ".", "binary.json"):
        with pytest.raises(InputError, match=str(tmp_path)):
            read_splits(ucm, tmp_path / name)


ALL_HELD = list(range(500, 2100))
BAD_ENTRIES = {
    "no unseen": ({}, "'unseen': expected a non-empty list"),
    "empty unseen": ({"unseen": []}, "'unseen': expected a non-empty list"),
    "one name": ({"unseen": "beach"}, "'unseen': expected a non-empty list"),
    "twice": ({"unseen": ["beach", "beach"]}, "distinct class names"),
    "number": ({"unseen": [3]}, "expected a non-empty list of distinct class names"),
    "list in list": ({"unseen": [["beach"]]}, "expected a non-empty list of distinct class names"),
    "object in list": ({"unseen": [{"beach": 1}]}, "expected a non-empty list of distinct class names"),
    "unknown class": ({"unseen": ["beech"]}, "has no class 'beech'. Did you mean 'beach'"),
    "other case": ({"unseen": ["Beach"]}, "has no class 'Beach'. Did you mean 'beach'"),
    "every class": ({"unseen": UCM}, "every class is unseen"),
    "unknown key": ({"unseen": UCM[:5], "test_sen": []}, "unknown key 'test_sen'"),
    "empty validation": ({"unseen": UCM[:5], "validation": []}, "'validation': expected a non-empty list"),
    "unknown validation": ({"unseen": UCM[:5], "validation": ["sea"]}, "'validation': ucm has no class 'sea'"),
    "unseen validation": ({"unseen": UCM[:5], "validation": UCM[4:6]}, "validation class 'buildings' is unseen"),
    "all validation": ({"unseen": UCM[:5], "validation": UCM[5:]}, "every seen class is a validation class"),
    "the same again": ({"unseen": UCM[:5]}, "its unseen classes are those of entry 0"),
    "all held out": ({"unseen": UCM[:5], "test_seen": ALL_HELD}, "'chaparral' has 100 image(s), 100 of them"),
    "unseen image": ({"unseen": UCM[:5], "test_seen": [*range(500, 2100, 50), 499]}, "image 499 belongs to an unseen"),
    "image too high": ({"unseen": UCM[:5], "test_seen": [500, 2100]}, "no image 2100; the data set has 0 to 2099"),
    "image negative": ({"unseen": UCM[:5], "test_seen": [-1]}, "no image -1"),
    "image huge": ({"unseen": UCM[:5], "test_seen": [10**30]}, f"no image {10**30}"),
    "image float": ({"unseen": UCM[:5], "test_seen": [500.0]}, "expected a list of image indices"),
    "image bool": ({"unseen": UCM[:5], "test_seen": [True]}, "expected a list of image indices"),
    "image name": ({"unseen": UCM[:5], "test_seen": ["500"]}, "expected a list of image indices"),
    "image list": ({"unseen": UCM[:5], "test_seen": 500}, "expected a list of image indices"),
}


@pytest.mark.parametrize("case", BAD_ENTRIES)
def test_a_bad_entry_is_named(ucm: PlainRoster, case: str) -> None:
    """What is wrong with an entry is said in one line that names the file and the entry."""
    entry, message = BAD_ENTRIES[case]
    with pytest.raises(InputError) as caught:
        read(ucm, [{"unseen": UCM[:5]}, entry])
    said = str(caught.value)
    assert "mine.json, entry 1" in said
    assert message in said
    assert "\n" not in said


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_a_split_file_is_the_same_however_it_was_saved(tmp_path: Path, encoding: str, form: str) -> None:
    """Byte-order marks and the forms of Unicode change nothing; a class in two forms is there twice."""
    names = tuple(unicodedata.normalize("NFC", name) for name in ("for\u00eat", "mer", "a", "b"))
    data = PlainRoster("small", names, np.repeat(np.arange(4), 5))
    path = tmp_path / "mine.json"
    path.write_bytes(json.dumps([{"unseen": [unicodedata.normalize(form, names[0])]}]).encode(encoding))
    assert read_splits(data, path)[0].unseen == (0,)
    path.write_text(json.dumps([{"unseen": [unicodedata.normalize(other, names[0]) for other in ("NFC", "NFD")]}]))
    with pytest.raises(InputError, match="distinct class names"):
        read_splits(data, path)


def test_a_key_that_is_given_twice_is_refused(ucm: PlainRoster) -> None:
    """JSON would take the last in silence."""
    with pytest.raises(InputError, match="a key is given twice among unseen, unseen"):
        read(ucm, '[{"unseen": ["beach"], "unseen": ["forest"]}]')


@pytest.mark.parametrize(
    "make", [os.mkfifo, lambda path: path.symlink_to("/dev/zero"), lambda path: path.symlink_to(path)]
)
def test_a_split_file_is_a_regular_file(ucm: PlainRoster, tmp_path: Path, make: Any) -> None:
    """A pipe, a folder and a device are refused at once."""
    make(tmp_path / "s.json")
    with pytest.raises(InputError, match=r"s\.json"):
        read_splits(ucm, tmp_path / "s.json")

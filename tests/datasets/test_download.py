"""Fetching from a real server on this machine that fails in every way that was thought of."""

import hashlib
import os

import pytest
from serving import serving

import zslbench.datasets.unpack as unpacking
from zslbench.datasets.download import check_address, fetch
from zslbench.datasets.known import Checksum
from zslbench.errors import InputError

CONTENT = os.urandom(300_000)
SUM = Checksum("sha256", hashlib.sha256(CONTENT).hexdigest())
QUICK = (0.0, 0.0, 0.0)


def left(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("fault", ["", "chunked", "500", "503", "stop", "long"])
def test_a_passing_fault_is_survived(tmp_path, fault):
    """After one fault the file arrives whole, and nothing else is left."""
    with serving(CONTENT, faults=[fault]) as served:
        fetch(served.url, tmp_path / "f", SUM, pauses=QUICK)
    assert (tmp_path / "f").read_bytes() == CONTENT
    assert left(tmp_path) == ["f"]


def test_it_goes_on_where_it_stopped(tmp_path):
    """After half of the file the rest alone is asked for, on the condition that the file is the same."""
    with serving(CONTENT, faults=["stop"]) as served:
        fetch(served.url, tmp_path / "f", SUM, pauses=QUICK)
    assert served.asked[1]["Range"] == f"bytes={len(CONTENT) // 2}-"
    assert served.asked[1]["If-Range"] == '"one"'


@pytest.mark.parametrize("checksum", [SUM, None])
def test_a_later_call_goes_on_too(tmp_path, checksum):
    """What a failed call has kept is what the next call begins with."""
    with serving(CONTENT, faults=["stop"]) as served:
        with pytest.raises(InputError, match="1 times in a row; 150 kB are kept"):
            fetch(served.url, tmp_path / "f", checksum, pauses=())
        assert left(tmp_path) == ["f.part", "f.part.json"]
        fetch(served.url, tmp_path / "f", checksum, pauses=())
    assert (tmp_path / "f").read_bytes() == CONTENT
    assert served.asked[1]["Range"] == f"bytes={len(CONTENT) // 2}-"


@pytest.mark.parametrize("fault", ["", "mixed"])
def test_a_changed_file_starts_anew(tmp_path, fault):
    """Bytes of two versions are never put together, not even by a server that ignores the condition."""
    other = os.urandom(len(CONTENT))
    with serving(CONTENT, faults=["stop"]) as served:
        with pytest.raises(InputError):
            fetch(served.url, tmp_path / "f", pauses=())
        served.content, served.etag, served.faults = other, '"two"', [fault]
        fetch(served.url, tmp_path / "f", pauses=QUICK)
    assert (tmp_path / "f").read_bytes() == other


def test_a_shorter_file_starts_anew(tmp_path):
    """A range beyond the end of what the server now has makes a new start, not an error."""
    with serving(CONTENT, faults=["stop"], etag="") as served:
        with pytest.raises(InputError):
            fetch(served.url, tmp_path / "f", SUM, pauses=())
        served.content = b"short"
        fetch(served.url, tmp_path / "f", Checksum("md5", hashlib.md5(b"short").hexdigest()), pauses=QUICK)
    assert "Range" in served.asked[1]
    assert (tmp_path / "f").read_bytes() == b"short"


def test_without_validator_and_checksum_nothing_is_resumed(tmp_path):
    """Where nothing could tell a changed file, it is fetched from its beginning."""
    with serving(CONTENT, faults=["stop"], etag="") as served:
        fetch(served.url, tmp_path / "f", pauses=QUICK)
    assert all("Range" not in headers for headers in served.asked)
    assert (tmp_path / "f").read_bytes() == CONTENT


def test_a_weak_etag_is_no_condition(tmp_path):
    """A weak ETag promises nothing about bytes, so that without a checksum nothing is resumed."""
    with serving(CONTENT, faults=["stop"], etag='W/"one"') as served:
        fetch(served.url, tmp_path / "f", pauses=QUICK)
    assert all("Range" not in headers for headers in served.asked)


def test_a_server_without_ranges(tmp_path):
    """A server that ignores Range sends everything, which replaces what is here."""
    with serving(CONTENT, faults=["stop"], ranges=False) as served:
        fetch(served.url, tmp_path / "f", SUM, pauses=QUICK)
    assert (tmp_path / "f").read_bytes() == CONTENT


def test_parts_of_another_address_are_not_used(tmp_path):
    """A part without its record, or with that of another address, is not built on."""
    (tmp_path / "f.part").write_bytes(b"something else")
    with serving(CONTENT) as served:
        fetch(served.url, tmp_path / "f", SUM, pauses=())
        assert "Range" not in served.asked[0]
    assert (tmp_path / "f").read_bytes() == CONTENT


def test_attempts_are_bounded(tmp_path):
    """A server that always fails gets as many attempts as there are pauses, and one more."""
    said = []
    with serving(CONTENT, faults=["500"] * 9) as served:
        with pytest.raises(InputError, match="answers 500 Internal Server Error, 4 times in a row"):
            fetch(served.url, tmp_path / "f", SUM, pauses=QUICK, say=said.append)
        assert len(served.asked) == 4
    assert len(said) == 3


@pytest.mark.parametrize("status", ["403", "404", "410"])
def test_a_refusal_is_final(tmp_path, status):
    """An address that is gone is not asked again; the line says how to name another."""
    with serving(CONTENT, faults=[status]) as served:
        with pytest.raises(InputError, match=f"answers {status} .*by url"):
            fetch(served.url, tmp_path / "f", SUM, pauses=QUICK)
        assert len(served.asked) == 1


def test_nobody_answers(tmp_path):
    """A refused connection is tried again and then told in one line."""
    with serving(CONTENT) as served:
        pass
    with pytest.raises(InputError, match=r"connection failed .*refused") as caught:
        fetch(served.url, tmp_path / "f", SUM, pauses=(0.0,))
    assert "\n" not in str(caught.value)


def test_a_wrong_checksum(tmp_path):
    """What does not fit is kept under another name, and the next call begins anew."""
    with serving(b"forged") as served:
        with pytest.raises(InputError, match="is expected; it is kept as"):
            fetch(served.url, tmp_path / "f", SUM, pauses=())
        assert left(tmp_path) == ["f.bad"]
        served.content = CONTENT
        fetch(served.url, tmp_path / "f", SUM, pauses=())
    assert left(tmp_path) == ["f", "f.bad"]


def test_no_space(tmp_path, monkeypatch):
    """Space is checked against the length that the server names, before anything is written."""
    monkeypatch.setattr(unpacking, "_MARGIN", 10**18)
    with serving(CONTENT) as served, pytest.raises(InputError, match="no space"):
        fetch(served.url, tmp_path / "f", SUM, pauses=())
    assert left(tmp_path) == []


def test_redirects(tmp_path):
    """A redirect on the same host is followed; one to another plain address, or in circles, is not."""
    with serving(CONTENT, faults=["redirect /elsewhere"]) as served:
        fetch(served.url, tmp_path / "f", SUM, pauses=())
    assert (tmp_path / "f").read_bytes() == CONTENT
    for target, line in (("http://example.org/f", "not encrypted"), ("ftp://127.0.0.1/f", "not encrypted")):
        with serving(CONTENT, faults=[f"redirect {target}"]) as served, pytest.raises(InputError, match=line):
            fetch(served.url, tmp_path / "g", SUM, pauses=())
    with serving(CONTENT, faults=["redirect /again"] * 9) as served, pytest.raises(InputError, match="more than 5"):
        fetch(served.url, tmp_path / "g", SUM, pauses=())


@pytest.mark.parametrize(
    "url", ["http://example.org/f", "ftp://example.org/f", "file:///etc/passwd", "example.org", "https://", "http://[x"]
)
def test_addresses_that_are_refused(url):
    """Anything but https, and http to this machine, is refused before a connection is made."""
    with pytest.raises(InputError):
        check_address(url)


def test_addresses_that_are_taken():
    """https everywhere; http on this machine, and elsewhere when the user has named it."""
    for url in ("https://example.org/f", "http://127.0.0.1:1/f", "http://localhost/f", "http://[::1]/f"):
        check_address(url)
    check_address("http://example.org/f", allow_http=True)

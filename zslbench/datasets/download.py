"""Fetching one file over HTTP: resumed after any interruption, never mixed with another version, verified at the end.

FILE.part holds what has arrived and FILE.part.json which version of the file it is (address, ETag or date, length);
FILE exists only when it is complete and its checksum fits.
"""

import ipaddress
import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

import msgspec

from zslbench.datasets.known import Checksum
from zslbench.datasets.unpack import Report, check_space, readable
from zslbench.errors import InputError
from zslbench.files import read_bytes, write_whole
from zslbench.hashing import file_digest
from zslbench.spelling import argument

if TYPE_CHECKING:
    import requests

PAUSES = (1.0, 2.0, 4.0, 8.0)
"""Seconds before each further attempt."""
TIMEOUT = (10.0, 30.0)
"""Seconds to connect, and without a byte."""
_LONGEST_PAUSE = 60.0
_REDIRECTS = 5
_CHUNK = 1 << 18
_MOST_BYTES = 1 << 20
_PASSING = {408, 425, 429, 500, 502, 503, 504}
_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")


class _Version(msgspec.Struct, frozen=True):
    """Which file the bytes in FILE.part are of."""

    url: str
    length: int | None
    etag: str = ""
    date: str = ""

    @property
    def validator(self) -> str:
        """What If-Range may be given: a weak ETag promises nothing about bytes."""
        return self.etag if self.etag and not self.etag.startswith("W/") else self.date


class _PassingError(Exception):
    """Worth another attempt, after at least so many seconds."""

    def __init__(self, reason: str, pause: float = 0.0) -> None:
        super().__init__(reason)
        self.pause = pause


def fetch(
    url: str,
    target: Path,
    checksum: Checksum | None = None,
    *,
    allow_http: bool = False,
    report: Report = lambda done, total: None,
    say: Callable[[str], None] = lambda line: None,
    pauses: Sequence[float] | None = None,
) -> None:
    """Fetch `url` to `target`, going on where an interrupted call stopped.

    Args:
        url: an https address; http too for this machine's own addresses, or with `allow_http`.
        target: the file to make; `target`.part and `target`.part.json stay beside it until it is complete.
        checksum: what it must hash to. A file that does not is kept as `target`.bad and never used.
        allow_http: whether the user has named a plain http address.
        report: called with bytes so far and bytes in all (0: not known).
        say: called with a line on every further attempt.
        pauses: seconds before each further attempt; their number bounds the attempts (default: `PAUSES`).

    Raises:
        InputError: the address is refused, the server says no, no space, every attempt failed, or a wrong checksum.
    """
    import requests

    check_address(url, allow_http)
    part = target.with_name(target.name + ".part")
    pauses = PAUSES if pauses is None else pauses
    with requests.Session() as session:
        for attempt in range(len(pauses) + 1):
            try:
                _attempt(session, url, part, checksum is not None, report)
                break
            except _PassingError as error:
                if attempt == len(pauses):
                    have = part.stat().st_size if part.exists() else 0
                    raise InputError(
                        f"{url}: {error}, {attempt + 1} times in a row; {readable(have)} are kept in {part}. "
                        f"Run the same command again to go on."
                    ) from error
                pause = min(max(pauses[attempt], error.pause), _LONGEST_PAUSE)
                say(f"{error}; trying again in {pause:g} s")
                time.sleep(pause)
    if checksum is not None and (found := file_digest(part, checksum.algorithm)) != checksum.digest:
        bad = target.with_name(target.name + ".bad")
        part.replace(bad)
        _version_path(part).unlink(missing_ok=True)
        raise InputError(
            f"{url}: the {checksum.algorithm} of what arrived is {found}, {checksum.digest} is expected; it is kept as "
            f"{bad} and not used. Run the command again, or name another address by {argument('url')}."
        )
    part.replace(target)
    _version_path(part).unlink(missing_ok=True)


def check_address(url: str, allow_http: bool = False) -> None:
    """Raise InputError unless `url` is https, or http where that is allowed or stays on this machine."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise InputError(f"{url!r} is not an address: {error}.") from error
    if not host or parts.scheme not in ("https", "http"):
        raise InputError(f"{url!r} is not an address: https://... is expected.")
    if parts.scheme == "http" and not allow_http and not _loopback(host):
        raise InputError(
            f"{url} is not encrypted: an https address is expected; plain http must be named by {argument('url')}."
        )


def _attempt(session: "requests.Session", url: str, part: Path, verified: bool, report: Report) -> None:
    """Bring `part` to its full length, or raise `_PassingError` for another attempt."""
    import requests
    import urllib3

    version = _read_version(part, url)
    have = part.stat().st_size if version else 0
    if version and have == version.length:
        return
    headers = {"Accept-Encoding": "identity", "User-Agent": "zslbench"}
    # Without a validator or a checksum nothing would tell a changed file, so it starts anew.
    if version and have and (version.validator or verified):
        headers["Range"] = f"bytes={have}-"
        if version.validator:
            headers["If-Range"] = version.validator
    try:
        with _open(session, url, headers) as response:
            have, version = _begin(response, url, part, have, version)
            _append(response, part, have, version, report)
    except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
        raise _PassingError(_reason(error)) from error
    except OSError as error:
        raise InputError(f"{part}: {error.strerror or error}.") from error
    if version.length is not None and part.stat().st_size != version.length:
        raise _PassingError("the connection ended early")
    if version.length is None:  # its end was the only sign of its length
        _write_version(part, msgspec.structs.replace(version, length=part.stat().st_size))


def _open(session: "requests.Session", url: str, headers: dict[str, str]) -> "requests.Response":
    """The answer after redirects, each to https or from one plain address to another on the same host."""
    for _ in range(_REDIRECTS + 1):
        response = session.get(url, headers=headers, stream=True, timeout=TIMEOUT, allow_redirects=False)
        if response.status_code not in (301, 302, 303, 307, 308):
            return response
        location = urljoin(url, response.headers.get("Location", ""))
        response.close()
        old, new = urlsplit(url), urlsplit(location)
        if new.scheme != "https" and not (old.scheme == new.scheme == "http" and old.hostname == new.hostname):
            raise InputError(
                f"{url} leads to {location}, which is not encrypted; name another address by {argument('url')}."
            )
        url = location
    raise InputError(f"{url}: more than {_REDIRECTS} redirects.")


def _begin(
    response: "requests.Response", url: str, part: Path, have: int, version: _Version | None
) -> tuple[int, _Version]:
    """Where to write the answer from, and which version it is; the space it needs is checked."""
    status, fields = response.status_code, response.headers
    if status in _PASSING:
        after = fields.get("Retry-After", "")
        raise _PassingError(f"the server answers {status} {response.reason}", float(after) if after.isdigit() else 0.0)
    found = _RANGE.fullmatch(fields.get("Content-Range", "").strip())
    tags = fields.get("ETag", ""), fields.get("Last-Modified", "")
    if status == 206 and version is not None and "Range" in (response.request.headers or {}):
        total = int(found[3]) if found and found[3] != "*" else version.length
        same = found and int(found[1]) == have and version.length in (None, total)
        if not same or (version.etag and tags[0] and tags[0] != version.etag):
            _forget(part)
            raise _PassingError("the file has changed, it is fetched from its beginning")
        check_space(part.parent, (total or have) - have, "the rest of the file")
        return have, msgspec.structs.replace(version, length=total)
    if status == 416:
        _forget(part)
        raise _PassingError("the file is shorter than what is here, it is fetched from its beginning")
    if status != 200:
        raise InputError(
            f"{url}: the server answers {status} {response.reason}; look up where the file is now and name that "
            f"address by {argument('url')}."
        )
    length = fields.get("Content-Length", "")
    started = _Version(url, int(length) if length.isdigit() else None, *tags)
    check_space(part.parent, started.length or 0, "the file")
    _forget(part)
    part.parent.mkdir(parents=True, exist_ok=True)
    part.touch()
    _write_version(part, started)
    return 0, started


def _append(response: "requests.Response", part: Path, have: int, version: _Version, report: Report) -> None:
    with part.open("r+b", buffering=0) as stream:
        stream.seek(have)
        stream.truncate()
        report(have, version.length or 0)
        # The raw stream: servers label .tgz files as compressed transfers, which must not be undone.
        for chunk in response.raw.stream(_CHUNK, decode_content=False):
            stream.write(chunk)
            have += len(chunk)
            report(have, version.length or 0)


def _read_version(part: Path, url: str) -> _Version | None:
    """Which version `part` is of, if it is of this address."""
    try:
        version = msgspec.json.decode(read_bytes(_version_path(part), _MOST_BYTES), type=_Version)
    except (InputError, ValueError):  # none, or half written
        return None
    length = part.stat().st_size if part.is_file() else -1
    return version if version.url == url and 0 <= length <= (version.length or length) else None


def _write_version(part: Path, version: _Version) -> None:
    write_whole(_version_path(part), msgspec.json.encode(version))


def _forget(part: Path) -> None:
    part.unlink(missing_ok=True)
    _version_path(part).unlink(missing_ok=True)


def _version_path(part: Path) -> Path:
    return part.with_name(part.name + ".json")


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _reason(error: Exception) -> str:
    """The innermost cause in a few words."""
    while (cause := error.__cause__ or error.__context__) is not None and isinstance(cause, Exception):
        error = cause
    said = " ".join(str(error).split())
    return f"the connection failed ({said[:200] or type(error).__name__})"

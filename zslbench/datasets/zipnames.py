"""The names of a zip file's members, in whatever encoding they were written."""

import struct
import zipfile
import zlib

_UTF8 = 0x800
_UNICODE_PATH = 0x7075


def member_name(member: zipfile.ZipInfo) -> tuple[str, bool]:
    """The name of a member, and whether it is certain.

    A name is UTF-8 where the archive says so; it may be given a second time in a field of Info-ZIP's. Many programs
    write UTF-8 and do not say so, and nothing else looks like it by chance. What is left is code page 437 by the rule
    and that of some other country in practice.
    """
    name = member.filename
    if member.flag_bits & _UTF8 or name.isascii():
        return name, True
    raw = member.orig_filename.encode("cp437")
    said = _unicode_path(member.extra, raw)
    try:
        return (raw.decode() if said is None else said), True
    except UnicodeDecodeError:
        return name, False


def _unicode_path(extra: bytes, raw: bytes) -> str | None:
    """The name in the field, if there is one and it belongs to this name."""
    while len(extra) >= 4:
        kind, length = struct.unpack_from("<HH", extra)
        field, extra = extra[4 : 4 + length], extra[4 + length :]
        if kind == _UNICODE_PATH and len(field) > 5 and field[0] == 1:
            (checksum,) = struct.unpack_from("<I", field, 1)
            if checksum == zlib.crc32(raw):
                try:
                    return field[5:].decode()
                except UnicodeDecodeError:
                    return None
    return None

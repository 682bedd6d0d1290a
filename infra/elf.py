"""Makes a native library smaller: drops what the loader never reads.

Wheels of Rust packages ship with their symbol table; it is a tenth of `cryptography`. The loader works from the program
headers alone (System V ABI, "Program Header"), so everything past the last segment, section headers included, can go.
"""

import struct
from pathlib import Path

HEADER = struct.Struct("<16sHHIQQQIHHHHHH")  # ELF64, little-endian
SEGMENT = struct.Struct("<IIQQQQQQ")


def drop_sections(path: Path) -> int:
    """Replaces `path`; returns the bytes saved, 0 for what is not a 64-bit little-endian ELF file.

    A new file takes the old one's place: installers link files from a shared cache, which must not change.
    """
    data = path.read_bytes()
    if data[:6] != b"\x7fELF\x02\x01":
        return 0
    header = list(HEADER.unpack_from(data))
    first, size, count = header[5], header[9], header[10]
    segments = (SEGMENT.unpack_from(data, first + number * size) for number in range(count))
    end: int = max(first + size * count, *(offset + in_file for _, _, offset, _, _, in_file, _, _ in segments))
    header[6] = header[12] = header[13] = 0  # e_shoff, e_shnum, e_shstrndx: there are no section headers
    smaller = path.with_name(f".{path.name}.new")
    smaller.write_bytes(HEADER.pack(*header) + data[HEADER.size : end])
    smaller.chmod(path.stat().st_mode)
    smaller.replace(path)
    return len(data) - end

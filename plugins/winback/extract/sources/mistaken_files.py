"""What a text file turns out to be that can not be read as declared: another format, or another
encoding. Reading it is `file_source.py`.
"""

from __future__ import annotations

import codecs
import io

from winback.errors import SourceError
from winback.extract.mapping.dataset import FeedMapping
from winback.extract.sources.source_files import GZIP_BEGINS, SourceFile

BLOCK_BYTES = 1 << 20
AS_TEXT = "export it as text (CSV)"
# how a file begins that is no text, what that is, and what to do
BEGINNINGS = (
    (b"PK\x03\x04", "a zip archive or an Excel workbook", f"unpack it, or {AS_TEXT}"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Excel workbook", AS_TEXT),
    (b"PAR1", "a Parquet file", "set `format: parquet`"),
    (GZIP_BEGINS, "packed with gzip", "let its name end in .gz, once for each packing"),
    (b"%PDF-", "a PDF document", AS_TEXT),
    (b"SQLite format 3\x00", "an SQLite database", AS_TEXT),
)
UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
WEB_PAGE = (b"<!doctype html", b"<html")


def refuse_other_format(file: SourceFile, mapping: FeedMapping) -> None:
    """Refuses a file that is no text at all, or a web page in place of the export.

    Raises:
        SourceError: It begins like another format; the message says which, and the mend.
    """
    with file.stream() as stream:
        begins: bytes = stream.read(64)
    for beginning, what, mend in BEGINNINGS:
        if begins.startswith(beginning):
            raise SourceError(f"{file.place} is {what} and no {mapping.format} file: {mend}")
    if begins.removeprefix(codecs.BOM_UTF8).lstrip().lower().startswith(WEB_PAGE):
        raise SourceError(
            f"{file.place} is a web page and no {mapping.format} file: the download probably "
            "answered with an error or a login; look at it in a browser and export it again"
        )


def wrong_encoding(file: SourceFile, mapping: FeedMapping) -> SourceError:
    """What to say of a file whose bytes are none of its encoding, with the first such place."""
    written_as = f"{file.place} is not written in {mapping.encoding}"
    likely = "latin-1"
    if mapping.encoding.lower() in ("utf-8", "utf8"):
        with file.stream() as stream:
            written_as += _first_wrong_byte(stream)
        with file.stream() as stream:
            likely = "utf-16" if stream.read(2) in UTF_16 else likely
    return SourceError(
        f"{written_as}: write its encoding into the mapping, such as `encoding: {likely}`"
    )


def _first_wrong_byte(stream: io.IOBase) -> str:
    """Where UTF-8 ends, as line and byte; empty where it does not."""
    line, offset, cut = 1, 0, b""
    while block := stream.read(BLOCK_BYTES):
        content = cut + block
        try:
            # a letter may be cut by the block's end
            _, n_read = codecs.utf_8_decode(content, "strict", False)
        except UnicodeDecodeError as error:
            line += content.count(b"\n", 0, error.start)
            return f" (line {line}, byte {offset + error.start})"
        line += content.count(b"\n", 0, n_read)
        offset, cut = offset + n_read, content[n_read:]
    return f" (line {line}, byte {offset})" if cut else ""

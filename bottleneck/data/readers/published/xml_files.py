"""Annotations in XML from untrusted sources, in the encoding that they declare."""

from __future__ import annotations

import codecs
import re
from pathlib import Path
from typing import TYPE_CHECKING

import defusedxml.ElementTree
from defusedxml import DefusedXmlException

from bottleneck.errors import DataError
from bottleneck.files.small_files import read_small

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

__all__ = ["parse_xml"]

# The largest published annotation has a few hundred kilobytes.
_MAX_XML_BYTES = 5_000_000

_DECLARATION = re.compile(rb"\s*<\?xml\b[^>]{0,200}?\bencoding\s*=\s*[\"']([^\"'>]{1,40})[\"']")
# The marks of UTF-32 begin like those of UTF-16.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_ZEROS: dict[tuple[bool, ...], str] = {
    (False, True, False, True): "utf-16-le",
    (True, False, True, False): "utf-16-be",
    (False, True, True, True): "utf-32-le",
    (True, True, True, False): "utf-32-be",
}
# Names of encodings that Python does not have.
_OTHER_NAMES = {"gb_2312-80": "gb2312", "windows-31j": "cp932", "ks_c_5601-1989": "euc_kr"}
# Programs write characters of the wider encoding under the name of the narrower one.
_WIDER = {
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "big5": "big5hkscs",
    "shift_jis": "cp932",
    "euc_kr": "cp949",
}
# Escapes rather than encodings; some take quadratic time.
_NO_ENCODINGS = {"idna", "punycode", "raw-unicode-escape", "unicode-escape", "utf-7"}


def parse_xml(path: Path) -> Element:
    """Return the root element of an XML file from an untrusted source.

    The file may have any encoding that Python has, if it declares it or begins with a byte order
    mark. Other files are UTF-8, as the XML standard says (section 4.3.3).

    Parameters
    ----------
    path : Path
        The file.

    Raises
    ------
    DataError
        If the file is not XML, is not in the declared encoding, declares entities or a document
        type, or is larger than 5 MB.
    """
    data = read_small(path, "annotation", limit=_MAX_XML_BYTES, error=DataError)
    try:
        # White space before the declaration is a common slip.
        text = _decode(data, path.name).lstrip()
        return defusedxml.ElementTree.fromstring(text, forbid_dtd=True)
    except DefusedXmlException as error:
        raise DataError(
            f"{path.name} declares a document type or entities, which an annotation does not need "
            "and which can be harmful; it is not read"
        ) from error
    except (defusedxml.ElementTree.ParseError, ValueError) as error:
        raise DataError(f"{path.name} is not readable XML ({error}); is it damaged?") from error


def _decode(data: bytes, name: str) -> str:
    """Return the text of an XML file."""
    encoding = next((encoding for mark, encoding in _MARKS if data.startswith(mark)), "")
    # The first characters of XML are in ASCII, so that the zeros tell other forms (appendix F).
    zeros = tuple(byte == 0 for byte in data[:4])
    encoding = encoding or _ZEROS.get(zeros, "")
    if encoding:
        return _decode_as(data, encoding, f"{name} begins like {encoding[:6].upper()} text")
    match = _DECLARATION.match(data)
    declared = match[1].decode("ascii", "replace") if match else ""
    # The declaration is in one byte per character: the file is not UTF-16, whatever it says.
    if not declared or declared.casefold().startswith(("utf-16", "utf16", "utf-8", "utf8")):
        what = f"declares {declared}" if declared else "declares no encoding and is therefore UTF-8"
        return _decode_as(data, "utf-8", f"{name} {what}")
    encoding = _OTHER_NAMES.get(declared.casefold(), declared.casefold()).removeprefix("x-")
    encoding = re.sub(r"^windows-9", "cp9", encoding)
    try:
        encoding = codecs.lookup(encoding).name
        text = data.decode(encoding, "replace")
    except (LookupError, ValueError):
        text = ""
    if encoding in _NO_ENCODINGS or not text.lstrip().startswith("<?xml"):
        raise DataError(
            f"{name} is not readable XML: it declares the encoding '{declared}', which is unknown. "
            "Save it as UTF-8, or correct the encoding in its first line"
        )
    return _decode_as(data, encoding, f"{name} declares {declared}")


def _decode_as(data: bytes, encoding: str, claim: str) -> str:
    for wider in (encoding, _WIDER.get(encoding, encoding)):
        try:
            return data.decode(wider)
        except UnicodeDecodeError as error:
            place = error.start
    raise DataError(
        f"{claim}, but byte {place + 1:,} (0x{data[place]:02X}) is not. Save it as UTF-8, or name "
        "its true encoding in the first line: "
        '<?xml version="1.0" encoding="GB18030"?> for Chinese text, "windows-1252" for western '
        "European text"
    )

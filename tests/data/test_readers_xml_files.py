"""Annotations in the encodings that labelling programs write."""

from xml.sax.saxutils import escape

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bottleneck.data.readers.published.xml_files import parse_xml
from bottleneck.errors import DataError

# Declared names, the codec that writes the file, and text that it can write.
WRITTEN = [
    ("GB2312", "gb2312", "甲状腺结节"),
    ("gb_2312-80", "gb2312", "甲状腺"),
    ("gb2312", "gbk", "朱镕基 甲狀腺"),  # Characters of GBK under the older name.
    ("GBK", "gbk", "甲狀腺"),
    ("cp936", "gbk", "甲狀腺"),
    ("windows-936", "gbk", "甲狀腺"),
    ("gbk", "gb18030", "㐀 𠀀"),
    ("GB18030", "gb18030", "𠀀 甲状腺 é"),
    ("Big5", "big5", "甲狀腺"),
    ("big5", "big5hkscs", "啲嘢"),
    ("Shift_JIS", "shift_jis", "甲状腺"),
    ("x-sjis", "cp932", "①㈱"),
    ("Windows-31J", "cp932", "髙橋"),
    ("EUC-JP", "euc_jp", "甲状腺"),
    ("EUC-KR", "euc_kr", "갑상선"),
    ("ks_c_5601-1987", "cp949", "뷁"),
    ("ISO-8859-1", "latin-1", "Schilddrüse"),
    ("iso-8859-15", "iso8859-15", "€ œ"),
    ("windows-1252", "cp1252", "“œ” €"),
    ("windows-1251", "cp1251", "щитовидная"),
    ("KOI8-R", "koi8-r", "щитовидная"),
    ("UTF-8", "utf-8", "ü 甲"),
    ("utf-8", "utf-8-sig", "ü 甲"),
    ("GB2312", "utf-8-sig", "ü 甲"),  # Saved again by an editor that kept the first line.
    ("UTF-16", "utf-16", "ü 甲"),
    ("utf-16le", "utf-16-le", "ü 甲"),
    ("UTF-16BE", "utf-16-be", "ü 甲"),
    ("UTF-32", "utf-32", "ü 甲"),
    ("UTF-32LE", "utf-32-le", "ü 甲"),
    ("UTF-32BE", "utf-32-be", "ü 甲"),
    ("utf-16", "utf-8", "ü 甲"),  # A string of .NET, written to a file.
    ("utf-16", "ascii", "plain"),
    ("unicode", "utf-16", "ü 甲"),
]


@pytest.mark.parametrize(("declared", "codec", "text"), WRITTEN)
@pytest.mark.parametrize("before", ["", "\r\n "])
def test_declared_encodings_are_read(tmp_path, declared, codec, text, before):
    path = tmp_path / "1.xml"
    content = f"{before}<?xml version='1.0' encoding=\"{declared}\" ?>\r\n<a><b>{text}</b></a>\n"
    path.write_bytes(content.encode(codec))
    assert parse_xml(path).findtext("b") == text


@settings(max_examples=100)
@given(
    codec=st.sampled_from(["gb18030", "utf-16", "utf-8", "cp932", "latin-1", "big5"]),
    text=st.text(st.characters(exclude_categories=("Cc", "Cs", "Cn")), max_size=20),
)
def test_what_a_codec_wrote_is_read_back(tmp_path_factory, codec, text):
    text = text.encode(codec, "ignore").decode(codec).replace("\ufeff", "")
    path = tmp_path_factory.getbasetemp() / "any.xml"
    content = f'<?xml version="1.0" encoding="{codec}"?><a>{escape(text)}</a>'
    path.write_bytes(content.encode(codec))
    assert (parse_xml(path).text or "") == text


@pytest.mark.parametrize(
    ("declaration", "codec", "message"),
    [
        ("", "gbk", r"1.xml declares no encoding and is therefore UTF-8, but byte 4 \(0xBC\)"),
        ('<?xml version="1.0"?>', "latin-1", "declares no encoding"),
        ('<?xml version="1.0" encoding="utf-8"?>', "gbk", "declares utf-8, but byte"),
        ('<?xml version="1.0" encoding="ascii"?>', "utf-8", "declares ascii, but byte"),
        ('<?xml version="1.0" encoding="GB2312"?>', "latin-1", "declares GB2312, but byte"),
        ('<?xml version="1.0" encoding="zlib"?>', "utf-8", "encoding 'zlib', which is unknown"),
        ('<?xml version="1.0" encoding="idna"?>', "ascii", "encoding 'idna', which is unknown"),
        ('<?xml version="1.0" encoding="cp037"?>', "utf-8", "encoding 'cp037', which is unknown"),
    ],
)
def test_another_encoding_is_not_called_damage(tmp_path, declaration, codec, message):
    (tmp_path / "1.xml").write_bytes(f"{declaration}<a>è¼é</a>".encode(codec, "replace"))
    if codec == "gbk":
        (tmp_path / "1.xml").write_bytes(f"{declaration}<a>甲状腺</a>".encode(codec))
    with pytest.raises(DataError, match=message) as caught:
        parse_xml(tmp_path / "1.xml")
    assert "damaged" not in str(caught.value)
    assert "UTF-8" in str(caught.value)


@pytest.mark.parametrize("codec", ["gbk", "utf-16", "utf-8-sig", "cp932"])
def test_entities_are_refused_in_every_encoding(tmp_path, codec):
    content = (
        f'<?xml version="1.0" encoding="{codec}"?>'
        '<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;甲</a>'
    )
    (tmp_path / "1.xml").write_bytes(content.encode(codec))
    with pytest.raises(DataError, match="document type or entities"):
        parse_xml(tmp_path / "1.xml")

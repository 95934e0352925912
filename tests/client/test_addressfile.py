"""Address books as telephones and mail programs export them, and everything that is wrong with some."""

import io
import tracemalloc
from collections import Counter

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from grue.client.people.addressfile import MAX_LINE, MAX_NAME, Entry, Skip, lines, read, read_number
from grue.client.people.vcard import MAX_NUMBERS
from grue.errors import NotAnAddressBook

ONE, TWO, THREE = "+12025550101", "+12025550102", "+12025550103"


def entries(file: bytes | str, region: str | None = "US") -> list[Entry]:
    data = file.encode() if isinstance(file, str) else file
    return list(read(io.BytesIO(data), region))


def people(file: bytes | str, region: str | None = "US") -> list[tuple[str, list[str]]]:
    return [(entry.name, entry.numbers) for entry in entries(file, region) if entry.numbers]


def skipped(file: bytes | str, region: str | None = "US") -> Counter[Skip]:
    return sum((entry.skipped for entry in entries(file, region)), Counter[Skip]())


def card(*properties: str, version: str = "3.0") -> str:
    return "\r\n".join(["BEGIN:VCARD", f"VERSION:{version}", *properties, "END:VCARD", ""])


# --- vCard ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("properties", "name", "numbers"),
    [
        (["FN:Ann Example", f"TEL;TYPE=CELL:{ONE}"], "Ann Example", [ONE]),
        # iOS: grouped, several types.
        (["N:Example;Ann;;;", "FN:Ann Example", f"item1.TEL;type=CELL;type=pref:{ONE}"], "Ann Example", [ONE]),
        # 4.0: a URI, quoted parameters with the marks in them that otherwise divide.
        (["FN:Ann", 'TEL;VALUE=uri;PREF=1;TYPE="voice,home;x:y":tel:+1-202-555-0101'], "Ann", [ONE]),
        (["FN:Ann", "TEL;VALUE=uri:tel:%2B1-202-555-0101"], "Ann", [ONE]),
        (["FN:Ann", "TEL;VALUE=uri:tel:555-0101;phone-context=+1202"], "Ann", [ONE]),
        # Folded within a name, and within a character of it.
        (["FN:Ann Exam", " ple", f"TEL:{ONE}"], "Ann Example", [ONE]),
        # Escapes.
        (["FN:Example\\, Ann\\nof Grue\\; \\\\", f"TEL:{ONE}"], "Example, Ann of Grue; \\", [ONE]),
        (["N:Exam\\;ple;Ann;Mary;Dr.;", f"TEL:{ONE}"], "Ann Mary Exam;ple", [ONE]),
        (["NICKNAME:annie", "ORG:Grue;Sales", f"TEL:{ONE}"], "annie", [ONE]),
        (["ORG:Grue;Sales", f"TEL:{ONE}"], "Grue Sales", [ONE]),
        ([f"TEL:{ONE}"], "", [ONE]),
        (["FN:", "N:;;;;", f"TEL:{ONE}"], "", [ONE]),
        (["FN:Ann", f"TEL;HOME:{ONE}", "TEL;CELL:(202) 555-0102"], "Ann", [ONE, TWO]),
        (["fn:Ann", f"tel;type=cell:{ONE}"], "Ann", [ONE]),
        # What telephones put around a number so that it is shown from left to right.
        (["FN:Ann", "TEL:\u202a+1\u00a0202\u00a0555\u20110101\u202c"], "Ann", [ONE]),
        # A photograph, folded, and unfolded as in 2.1.
        (["PHOTO;ENCODING=b:" + "A" * 60, " " + "B" * 75, "FN:Ann", f"TEL:{ONE}"], "Ann", [ONE]),
        (["PHOTO;JPEG;ENCODING=BASE64:", "/9j/2wBDAAYE" * 6, "", "FN:Ann", f"TEL:{ONE}"], "Ann", [ONE]),
        (["PHOTO:" + "A" * (3 * MAX_LINE), "FN:Ann", f"TEL:{ONE}"], "Ann", [ONE]),
    ],
)
def test_a_card_gives_its_name_and_numbers(properties: list[str], name: str, numbers: list[str]) -> None:
    assert people(card(*properties)) == [(name, numbers)]


def test_quoted_printable_with_soft_breaks_as_android_writes_it() -> None:
    file = card(
        "N;CHARSET=UTF-8;ENCODING=QUOTED-PRINTABLE:;=41=6E=6E=20=45=78=C3=A4=6D=\r\n=70=6C=65;;;",
        "NOTE;ENCODING=QUOTED-PRINTABLE:a note=\r\nTEL:+12025550199",
        f"TEL;CELL:{ONE}",
        version="2.1",
    )
    assert people(file) == [("Ann Exämple", [ONE])]


@pytest.mark.parametrize(
    "written",
    [
        b"FN;CHARSET=windows-1251:\xc0\xed\xed\xe0",
        "FN;CHARSET=no-such-charset:Анна".encode(),
        "FN:Анна".encode(),
        b"FN;QUOTED-PRINTABLE;CHARSET=utf-8:=D0=90=D0=BD=D0=BD=D0=B0",
    ],
)
def test_a_name_is_read_in_whatever_charset_it_is(written: bytes) -> None:
    file = b"BEGIN:VCARD\n" + written + f"\nTEL:{ONE}\nEND:VCARD\n".encode()
    assert people(file) == [("Анна", [ONE])]


def test_a_character_that_is_folded_in_the_middle_is_one_character() -> None:
    name = "é".encode()
    file = b"BEGIN:VCARD\r\nFN:Andr" + name[:1] + b"\r\n " + name[1:] + f"\r\nTEL:{ONE}\r\nEND:VCARD\r\n".encode()
    assert people(file) == [("André", [ONE])]


def test_a_name_that_is_no_utf_8_is_read_as_windows_writes_it() -> None:
    assert people(b"BEGIN:VCARD\nFN:Andr\xe9\nTEL:" + ONE.encode() + b"\nEND:VCARD") == [("André", [ONE])]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_byte_order_marks_and_line_ends_of_every_kind(encoding: str, end: str) -> None:
    text = f"BEGIN:VCARD\nFN:André\nTEL:{ONE}\nEND:VCARD\nBEGIN:VCARD\nFN:B\nTEL:{TWO}\nEND:VCARD\n"
    assert people(text.replace("\n", end).encode(encoding)) == [("André", [ONE]), ("B", [TWO])]


def test_a_card_that_is_cut_off_gives_no_half_number() -> None:
    whole = card("FN:Ann", f"TEL:{ONE}")
    cut = whole + "BEGIN:VCARD\nFN:Bob\nTEL:+1202555010"
    assert people(cut) == [("Ann", [ONE])]
    assert skipped(cut) == {Skip.CUT_OFF: 1}
    assert skipped(f"BEGIN:VCARD\nTEL:{ONE}\n{whole}") == {Skip.CUT_OFF: 1}


def test_faxes_pagers_empty_cards_and_too_many_numbers_are_counted() -> None:
    assert skipped(card("FN:Ann", f"TEL;TYPE=FAX:{ONE}", f"TEL;PAGER:{TWO}")) == {Skip.FAX: 2}
    assert people(card("FN:Ann", f"TEL;TYPE=FAX,VOICE:{ONE}")) == [("Ann", [ONE])]
    assert skipped(card("FN:Ann", "EMAIL:ann@example.com", "TEL:")) == {Skip.NO_NUMBER: 1}
    many = card("FN:Ann", *[f"TEL:+1202555{n:04}" for n in range(100, 103 + MAX_NUMBERS)])
    assert skipped(many) == {Skip.TOO_MANY: 3}


# --- CSV ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("file", "found"),
    [
        ("Name,Phone\nAnn,2025550101\n", [("Ann", [ONE])]),
        # Google, before and since 2024.
        (
            "Name,Given Name,Family Name,Phone 1 - Type,Phone 1 - Value,Phone 2 - Type,Phone 2 - Value\n"
            "Ann E,Ann,E,Mobile,+1 202-555-0101 ::: 202-555-0102,Home,\n",
            [("Ann E", [ONE, TWO])],
        ),
        (
            "First Name,Middle Name,Last Name,Phonetic First Name,Organization Name,Phone 1 - Label,Phone 1 - Value\n"
            f"Ann,M,E,,Grue,Mobile,{ONE}\n,,,,Grue,Mobile,{TWO}\n",
            [("Ann M E", [ONE]), ("Grue", [TWO])],
        ),
        # Outlook.
        (
            '"First Name","Last Name","Home Fax","Home Phone","Mobile Phone","Birthday","Assistant\'s Phone"\r\n'
            f'"Ann","E","+12025550199","{ONE}","{TWO}","2001-01-01","+12025550198"\r\n',
            [("Ann E", [ONE, TWO])],
        ),
        # Thunderbird, and Outlook in German.
        (
            "First Name,Last Name,Display Name,Work Phone,Fax Number,Mobile Number\n"
            f"Ann,E,Ann at work,{ONE},+12025550199,{TWO}\n",
            [("Ann at work", [ONE, TWO])],
        ),
        (f"Vorname;Nachname;Telefon geschäftlich;Mobiltelefon\nÄnn;E;;{ONE}\n", [("Änn E", [ONE])]),
        # A spreadsheet's own ways.
        (f'sep=;\nName;Phone\nAnn;\'{ONE}\nBob;="{TWO}"\n', [("Ann", [ONE]), ("Bob", [TWO])]),
        (f"Name\tTel.\nAnn\t{ONE}\n", [("Ann", [ONE])]),
        # Without a header that helps, and without any.
        (f"who,when,what\nAnn,2001-01-01,{ONE}\nBob,01.02.2003,{TWO}\n", [("", [ONE]), ("", [TWO])]),
        (f"Ann,2001-01-01,{ONE}\nBob,2001-01-01,{TWO}\n", [("Ann", [ONE]), ("Bob", [TWO])]),
        (f"{ONE}\n{TWO}\n", [("", [ONE]), ("", [TWO])]),
        # Line ends, commas and quotes within a field; an empty line; a row that is too short.
        (f'Name,Phone\n"Ann ""A"" E,\nof Grue","{ONE}\n{TWO}"\n\nshort\n', [('Ann "A" E, of Grue', [ONE, TWO])]),
    ],
)
def test_a_row_gives_its_name_and_numbers(file: str, found: list[tuple[str, list[str]]]) -> None:
    assert people(file) == found
    assert people(file.encode("utf-16")) == found


@pytest.mark.parametrize(
    "file",
    [
        b"",
        b"\n \n\n",
        b"Name,Email\nAnn,ann@example.com\n",
        b"Name,Birthday\nAnn,2001-01-01\nBob,2002-02-02\n",
        b"PK\x03\x04\x14\0\x06\0" + bytes(range(256)) * 4,
        b"<!doctype html><title>Contacts</title>\n<p>Ann</p>\n",
        b"x" * (2 * MAX_LINE),
        b"\xff\xfe",
        b"\xff" * 1000,
    ],
)
def test_what_is_no_address_book_says_so(file: bytes) -> None:
    with pytest.raises(NotAnAddressBook):
        entries(file)


def test_a_line_that_is_too_long_and_quotes_that_never_end_lose_only_what_they_swallow() -> None:
    file = f"Name,Phone\nAnn,{ONE}\n{'x' * 3 * MAX_LINE},{TWO}\nBob,{THREE}\n"
    assert people(file) == [("Ann", [ONE]), ("Bob", [THREE])]
    assert skipped(file) == {Skip.UNREADABLE: 1}
    endless = f'Name,Phone\nAnn,{ONE}\n"Bob,{TWO}\n' + f"Carol,{THREE}\n" * 10_000
    assert ("Ann", [ONE]) in people(endless)
    assert ("Carol", [THREE]) in people(endless)
    assert skipped(endless)[Skip.UNREADABLE] > 0


def test_a_name_of_any_length_is_kept_short() -> None:
    assert people(f"Name,Phone\n{'Ann ' * 999},{ONE}\n") == [(("Ann " * 999)[:MAX_NAME], [ONE])]


# --- numbers --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        ("+1 (202) 555-0101", ONE),
        ("001 202 555 0101", ONE),
        ("2025550101", ONE),
        ("1-202-555-0101", ONE),
        ("TEL:+1-202-555-0101", ONE),
        ("911", Skip.SHORT),
        ("112", Skip.SHORT),
        ("999", Skip.SHORT),
        ("40404", Skip.SHORT),
        ("1-800-FLOWERS", Skip.LETTERS),
        ("call Ann", Skip.LETTERS),
        ("+1 202 555 0101 ext. 7", Skip.EXTENSION),
        ("+1 202 555 0101 x7", Skip.EXTENSION),
        ("+12025550101;ext=7", Skip.EXTENSION),
        ("tel:+12025550101;ext=7", Skip.EXTENSION),
        ("+12025550101,,7#", Skip.EXTENSION),
        ("1.20256E+10", Skip.ROUNDED),
        ("1,20256E+10", Skip.ROUNDED),
        ("*100#", Skip.NOT_A_NUMBER),
        ("", Skip.NOT_A_NUMBER),
        ("+", Skip.NOT_A_NUMBER),
        ("1" * 500, Skip.NOT_A_NUMBER),
        ("+999 123 456 789", Skip.NOT_A_NUMBER),
    ],
)
def test_a_number_or_why_it_is_none(text: str, outcome: str | Skip) -> None:
    assert read_number(text, "US") == outcome


def test_a_number_without_country_code_is_of_the_own_country_or_of_none() -> None:
    assert read_number("020 7946 0123", "GB") == "+442079460123"
    assert read_number("020 7946 0123", None) == Skip.NOT_A_NUMBER


# --- anything at all ------------------------------------------------------------------------------

PIECES = st.sampled_from(
    [
        *(
            b"BEGIN:VCARD",
            b"END:VCARD",
            b"TEL:",
            b"FN;ENCODING=QUOTED-PRINTABLE:=C3=",
            b"TEL;TYPE=",
            b'"',
            b",",
            b";",
            b":",
        ),
        *(
            b"\n",
            b"\r\n ",
            b"\r",
            b"=\n",
            b"Phone",
            b"+12025550101",
            b"\xff\xfe",
            b"\xef\xbb\xbf",
            b"\0",
            b"sep=",
            b"N:;",
        ),
    ]
)


@given(st.lists(PIECES | st.binary(max_size=8), max_size=40).map(b"".join))
@example(b"sep=;")
@example(b"BEGIN:VCARD\n:\n;\n=\n")
def test_no_bytes_make_it_fail_otherwise(file: bytes) -> None:
    try:
        found = entries(file)
    except NotAnAddressBook:
        return
    assert all(number.startswith("+") for entry in found for number in entry.numbers)


def test_a_file_with_large_photographs_takes_little_memory() -> None:
    class Photographs(io.BytesIO):
        """Twenty cards with a megabyte each, made while they are read."""

        left = 20

        def read(self, size: int | None = -1, /) -> bytes:
            data = super().read(size)
            if not data and self.left:
                self.left -= 1
                photo = b"\n ".join([b"A" * 74] * 14_000)
                self.__init__(b"BEGIN:VCARD\nPHOTO:" + photo + f"\nTEL:{ONE}\nEND:VCARD\n".encode())  # type: ignore[misc]
                data = super().read(size)
            return data

    file = Photographs()
    tracemalloc.start()
    try:
        assert sum(len(entry.numbers) for entry in read(file, "US")) == 20
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()


def test_lines_keep_every_byte() -> None:
    data = bytes(range(256)).replace(b"\n", b"").replace(b"\r", b"")
    assert list(lines(io.BytesIO(data + b"\r\n" + data))) == [data, data]

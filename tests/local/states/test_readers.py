"""How a distributed Map reads data sets: what becomes an item, and what fails the run."""

import asyncio
import csv
import gzip
from collections.abc import Mapping
from typing import Any

import pytest
from botocore.awsrequest import AWSPreparedRequest
from hypothesis import given, settings
from hypothesis import strategies as st

from lambda_src.contract import MAX_STATE_BYTES
from local.states import csv_text, objects
from local.states.calling import Caller
from local.states.csv_text import CsvText
from local.states.failures import StateFailure
from local.states.json_array import JsonArray
from local.states.objects import Objects
from local.states.readers import MAX_ITEMS, ItemSource
from tests.local.states.fake_aws import MACHINE, ROLE
from tests.local.states.fake_s3 import BUCKET, FakeS3, Response
from tests.local.states.reading_memory import peaks

Json = Any


def source(kind: str, content: bytes | Mapping[str, bytes], *, aws: FakeS3 | None = None, **more: Json) -> ItemSource:
    """A source of one object `in`, or of a listing."""
    aws = aws or FakeS3()
    aws.objects |= content if isinstance(content, Mapping) else {"in": content}
    arguments = more.pop("arguments", {"Bucket": BUCKET, "Key": "in"})
    return ItemSource(Objects(Caller(ROLE, MACHINE, aws)), kind, arguments, **more)


async def taken(items: ItemSource) -> list[Json]:
    """All items; they are as many as `count` told before."""
    count = await items.count()
    found = [item async for item in items]
    assert len(found) == count
    return found


def read(kind: str, content: bytes | str | Mapping[str, bytes], **more: Json) -> list[Json]:
    """The items, once counted and once read."""
    return asyncio.run(taken(source(kind, content.encode() if isinstance(content, str) else content, **more)))


def refused(kind: str, content: bytes | str | Mapping[str, bytes], **more: Json) -> str:
    """Why the data set is not read; it is known before the first item is given."""
    items = source(kind, content.encode() if isinstance(content, str) else content, **more)
    with pytest.raises(StateFailure) as failure:
        asyncio.run(items.count())
    assert failure.value.error == "States.ItemReaderFailed"
    return str(failure.value.cause)


@pytest.fixture(params=[1, 3, 7, objects.PART_BYTES])
def part_bytes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """The object comes in parts of this size."""
    monkeypatch.setattr(objects, "PART_BYTES", request.param)
    return int(request.param)


# CSV


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("a,b\n1,2\n3,4\n", [["1", "2"], ["3", "4"]]),
        ("a,b\n1,2", [["1", "2"]]),
        ("a,b\r\n1,2\r\n", [["1", "2"]]),
        ("a,b\n1\n", [["1", ""]]),
        ("a,b\n1,2,3,4\n", [["1", "2"]]),
        ("a,b\n,\n", [["", ""]]),
        ("a,b\n\n1,2\n\n\n3,4\n\n", [["1", "2"], ["3", "4"]]),
        ("a,b\n   \n", [["   ", ""]]),
        ("a,b\n", []),
        ("a,b", []),
        ("", []),
        ('a,b\n"1,5",2\n', [["1,5", "2"]]),
        ('a,b\n"say ""x""",2\n', [['say "x"', "2"]]),
        ('a,b\n"",""\n', [["", ""]]),
        ('a,b\n"two\nlines",2\n3,"a\r\nb"\n', [["two\nlines", "2"], ["3", "a\r\nb"]]),
        ('a,b\n{""k"":""v""},2\n', [['{"k":"v"}', "2"]]),
        ('a,b\n{""k"":1},"""q"""\n', [['{"k":1}', '"q"']]),
        ('a,b\n"x""""y",z""""w\n', [['x""y', 'z""w']]),
        ('a,b\n5" pipe,2\n', [['5" pipe', "2"]]),
        ("a,b\nC:\\\\dir\\\\f,2\n", [["C:\\dir\\f", "2"]]),
        ("a,b\n1\\,5,2\n", [["1,5", "2"]]),
        ('a,b\n\\"q\\",2\n', [['"q"', "2"]]),
        ('a,b\n"in \\"quotes\\"",2\n', [['in "quotes"', "2"]]),
        ("a,b\n\\n\\t,2\n", [["nt", "2"]]),
        ("a,b\n1,2\\\n3,4\\\r\n", [["1", "2"], ["3", "4"]]),
        ("a,b\n1,2\\\\\n", [["1", "2\\"]]),
        ("a,b\n1,2\\\r\\\n", [["1", "2"]]),
        ("a,b\n1,2\\", [["1", "2"]]),
        ("a,b\né,😀\n漢字,\u2028\x0b\n", [["é", "😀"], ["漢字", "\u2028\x0b"]]),
    ],
)
def test_csv_records_are_split_as_aws_documents(text: str, rows: list[list[str]], part_bytes: int) -> None:
    assert read("CSV", text) == [{"a": one, "b": two} for one, two in rows]


def test_a_column_without_a_name_is_one_all_the_same() -> None:
    assert read("CSV", "H,\n1,2,3\n") == [{"H": "1", "": "2"}]


def test_headers_may_be_quoted_and_are_text_whatever_they_look_like() -> None:
    assert read("CSV", '"a,b",0,{}\n1,2,3\n') == [{"a,b": "1", "0": "2", "{}": "3"}]


def test_given_headers_leave_the_first_row_an_item() -> None:
    assert read("CSV", "1,2,3\n4\n", csv_headers=("x", "y")) == [{"x": "1", "y": "2"}, {"x": "4", "y": ""}]


@pytest.mark.parametrize(
    ("name", "character"), [("COMMA", ","), ("PIPE", "|"), ("SEMICOLON", ";"), ("SPACE", " "), ("TAB", "\t")]
)
def test_fields_are_split_at_the_delimiter_alone(name: str, character: str) -> None:
    text = 'a-b\n",-|;x"-|-y""-\\-\n'.replace("-", character)
    kept = ",-|;x".replace("-", character)
    wanted = {"a": kept, "b": "|" if character != "|" else ""}
    assert read("CSV", text, csv_delimiter=name) == [wanted]


def test_a_byte_order_mark_stays_on_the_first_column_as_aws_documents_no_treatment_of_it() -> None:
    assert read("CSV", b"\xef\xbb\xbfid,b\n1,2\n") == [{"\ufeffid": "1", "b": "2"}]


@pytest.mark.parametrize("more", [{}, {"csv_headers": ("a", "a")}])
def test_duplicate_headers_are_refused_in_the_words_of_aws(more: Json) -> None:
    assert refused("CSV", "a,b,a\n1,2,3\n", **more) == "CSV headers cannot contain duplicates."


def test_a_quote_that_is_not_closed_is_refused_with_its_line(part_bytes: int) -> None:
    assert refused("CSV", 'a,b\n1,2\n3,"x\n5,6\n') == "s3://data/in: line 3: a quoted field is not closed"


def test_text_after_a_closing_quote_is_refused_with_its_line(part_bytes: int) -> None:
    assert refused("CSV", 'a\n"1"\n"2"x\n').startswith("s3://data/in: line 3: ")


def test_a_lone_carriage_return_is_refused_with_its_line() -> None:
    assert refused("CSV", "a,b\n1,2\n3\rx,4\n") == "s3://data/in: line 3: a carriage return in a field without quotes"


def test_a_quote_that_is_never_closed_does_not_gather_the_whole_object() -> None:
    assert "field larger than field limit" in refused("CSV", 'a\n"' + "x" * 99 + "\n" * 400_000)


CELL = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\\\r"), max_size=12)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.lists(CELL, min_size=2, max_size=2), max_size=6), st.integers(1, 40), st.sampled_from(["\n", "\r\n"])
)
def test_any_quoted_csv_is_read_as_it_was_written(rows: list[list[str]], size: int, end: str) -> None:
    quoted = [["a", "b"], *rows]
    text = end.join(",".join('"' + cell.replace('"', '""') + '"' for cell in row) for row in quoted)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(objects, "PART_BYTES", size)
        assert read("CSV", text) == [dict(zip("ab", row, strict=True)) for row in rows]


@settings(max_examples=150, deadline=None)
@given(st.text('ab,"\\\n\r', max_size=30), st.integers(1, 9))
def test_any_text_is_read_or_refused_the_same_however_it_is_cut(text: str, size: int) -> None:
    def outcome() -> Json:
        try:
            return read("CSV", text, csv_headers=("x", "y", "z"))
        except StateFailure as failure:
            return failure.cause

    whole = outcome()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(objects, "PART_BYTES", size)
        assert outcome() == whole


PLAIN = st.text(st.characters(exclude_categories=["Cs"], exclude_characters='\\\r"'), max_size=40)


@given(PLAIN, st.sampled_from([",", "|", ";", " ", "\t"]))
def test_text_without_quotes_and_escapes_is_read_as_the_library_reads_it(text: str, delimiter: str) -> None:
    lines = text.split("\n")
    expected = [row for row in csv.reader(lines, delimiter=delimiter, escapechar="\\", strict=True) if row]
    assert list(CsvText(delimiter).feed(text)) == expected
    assert CsvText(delimiter).count(text) == len(expected)


def test_a_field_of_a_states_size_is_read_and_a_longer_one_refused_with_quotes_and_without() -> None:
    for mark in ("", '"'):
        field = "x" * MAX_STATE_BYTES
        assert read("CSV", f"a\n{mark}{field}{mark}\n") == [{"a": field}]
        assert "field larger than field limit" in refused("CSV", f"a\n{mark}{field}x{mark}\n")


# JSON Lines


def test_each_line_of_json_is_an_item_and_blank_lines_are_none(part_bytes: int) -> None:
    text = '{"a":"é😀"}\n\n  \n[1]\r\n"x"\nnull\n1.5\n{"last":1}'
    assert read("JSONL", text) == [{"a": "é😀"}, [1], "x", None, 1.5, {"last": 1}]


def test_a_bad_line_is_refused_with_its_number_before_anything_runs(part_bytes: int) -> None:
    assert refused("JSONL", '{"a":1}\n\n{"a":\n{"a":2}\n').startswith("s3://data/in: line 3 is not JSON: ")
    assert refused("JSONL", '{"a":1}\n{"a":2').startswith("s3://data/in: line 2 is not JSON: ")
    assert refused("JSONL", "NaN\n").startswith("s3://data/in: line 1 is not JSON: ")


def test_json_lines_after_a_byte_order_mark_are_refused() -> None:
    assert refused("JSONL", b"\xef\xbb\xbf{}\n").startswith("s3://data/in: line 1 is not JSON: ")


def test_a_line_longer_than_a_part_is_refused() -> None:
    assert refused("JSONL", b" " * (2 * objects.PART_BYTES)) == "s3://data/in: a line is longer than 8388608 bytes"


# JSON


@pytest.mark.parametrize(
    ("text", "items"),
    [
        ("[]", []),
        (" [ ] \n", []),
        (
            '[1, -2.5e3 , "a,]\\"b", [1,[2]], {"k": ["é😀"]}, null, true]',
            [1, -2500, 'a,]"b', [1, [2]], {"k": ["é😀"]}, None, True],
        ),
        ("[12345678901234567890]", [12345678901234567890]),
    ],
)
def test_each_item_of_a_json_array_is_an_item(text: str, items: list[Json], part_bytes: int) -> None:
    assert read("JSON", text) == items


@pytest.mark.parametrize("text", ['{"a":[1]}', '"x"', "1", "null", "true"])
def test_json_that_is_no_array_is_refused_in_the_words_of_aws(text: str) -> None:
    assert refused("JSON", text) == "Attempting to map over non-iterable node."


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "the document is empty"),
        ("  ", "the document is empty"),
        ("hello", "begins with 'h'"),
        ("[1,2", "item 1 is not JSON, or the array is not closed"),
        ("[1,", "item 1 is not JSON"),
        ("[1,]", "item 1 is not JSON"),
        ("[1 2]", "item 0 is followed by '2'"),
        ("[1]x", "goes on after the end"),
        ("[NaN]", "item 0 is not JSON"),
        ('[{"a":1},{"a":}]', "item 1 is not JSON"),
    ],
)
def test_a_broken_json_array_is_refused_with_the_reason(text: str, reason: str, part_bytes: int) -> None:
    assert reason in refused("JSON", text)


def test_a_broken_item_does_not_gather_the_rest_of_a_large_array(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("local.states.json_array.PART_BYTES", 100)
    array = JsonArray()
    assert list(array.feed('[1,"')) == [1]
    with pytest.raises(ValueError, match="item 1 is not JSON, or too long"):
        list(array.feed("x" * 101))


# Listings


def test_a_listing_gives_each_object_in_the_shape_of_aws_over_all_its_pages() -> None:
    aws = FakeS3(page=2)
    stored = {f"p/{number}": b"x" * number for number in range(5)} | {"q/1": b""}
    found = read("OBJECTS", stored, aws=aws, arguments={"Bucket": BUCKET, "Prefix": "p/"})
    assert found[3] == {
        "Etag": '"p/3"',
        "LastModified": 1704164645,
        "Key": "p/3",
        "Size": 3,
        "StorageClass": "STANDARD",
    }
    assert [item["Key"] for item in found] == [f"p/{number}" for number in range(5)]
    assert len(aws.sent) == 6


def test_a_listing_needs_no_prefix_and_may_be_empty() -> None:
    assert read("OBJECTS", {}, arguments={"Bucket": BUCKET}) == []
    assert [item["Key"] for item in read("OBJECTS", {"a": b""}, arguments={"Bucket": BUCKET})] == ["a"]


# Limits


@pytest.mark.parametrize(("limit", "count"), [(None, 4), (0, 4), (1, 1), (4, 4), (9, 4), (MAX_ITEMS + 1, 4)])
@pytest.mark.parametrize(
    ("kind", "content"),
    [("CSV", "a\n1\n2\n3\n4\n"), ("JSONL", "1\n2\n3\n4"), ("JSON", "[1,2,3,4]"), ("OBJECTS", "")],
)
def test_max_items_bounds_what_is_read_and_zero_is_all(kind: str, content: str, limit: int | None, count: int) -> None:
    stored = dict.fromkeys("1234", b"") if kind == "OBJECTS" else {"in": content.encode()}
    assert len(read(kind, stored, limit=limit)) == count


def test_what_is_beyond_max_items_is_not_even_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objects, "PART_BYTES", 4)
    aws = FakeS3()
    assert read("JSONL", "1\n2\n3\n4\n5\n6\nbroken", aws=aws, limit=2) == [1, 2]
    assert len(aws.sent) == 2


def test_a_negative_max_items_is_refused_in_the_words_of_aws() -> None:
    assert refused("CSV", "a\n1\n", limit=-1) == "field MaxItems must be positive"


# What S3 says


def test_what_is_not_there_is_refused_with_the_reason_of_s3() -> None:
    assert "The specified key does not exist." in refused("CSV", {})
    elsewhere = {"Bucket": "elsewhere", "Key": "in"}
    assert "The specified bucket does not exist" in refused("JSON", "[]", arguments=elsewhere)
    assert "The specified bucket does not exist" in refused("OBJECTS", "", arguments={"Bucket": "elsewhere"})


def test_a_missing_grant_is_refused_with_the_reason_of_iam() -> None:
    assert "perform: s3:GetObject" in refused("JSONL", "1", aws=FakeS3(denied={"s3:GetObject"}))
    denied = FakeS3(denied={"s3:ListBucket"})
    assert "perform: s3:ListBucket" in refused("OBJECTS", {}, aws=denied, arguments={"Bucket": BUCKET})


@pytest.mark.parametrize("arguments", [{"Key": "in"}, {"Bucket": BUCKET}, {"Bucket": BUCKET, "Key": 1}, "x"])
def test_arguments_that_name_no_object_are_refused(arguments: Json) -> None:
    assert "is required but was missing" in refused("CSV", "", arguments=arguments)


@pytest.mark.parametrize("kind", ["CSV", "JSONL", "JSON"])
def test_what_is_not_utf_8_is_refused(kind: str, part_bytes: int) -> None:
    text = {"CSV": b"a\n1\n\xff\n", "JSONL": b'1\n2\n"\xff"\n', "JSON": b'[1,2,"\xff"]'}[kind]
    reason = refused(kind, text)
    assert ("line 3" if kind != "JSON" else "utf-8") in reason
    if kind == "CSV":
        assert reason == "s3://data/in: line 3 is not UTF-8: invalid start byte"


@pytest.mark.parametrize("kind", ["CSV", "JSONL", "JSON"])
def test_a_truncated_character_at_the_end_is_refused(kind: str, part_bytes: int) -> None:
    refused(kind, {"CSV": b"a\n\xc3", "JSONL": b'"\xc3', "JSON": b'["\xc3'}[kind])


@pytest.mark.parametrize("kind", ["CSV", "JSONL", "JSON"])
def test_gzip_is_refused_by_its_name(kind: str) -> None:
    assert refused(kind, gzip.compress(b"a\n1\n")) == "s3://data/in: the object is compressed with gzip, not text"


@pytest.mark.parametrize(("kind", "count"), [("CSV", 0), ("JSONL", 0)])
def test_an_empty_object_has_no_items(kind: str, count: int) -> None:
    assert len(read(kind, b"")) == count


def test_an_object_that_changes_while_it_is_read_is_refused_and_not_mixed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objects, "PART_BYTES", 4)
    aws = FakeS3()

    def change(_request: Json) -> None:
        if len(aws.sent) == 2:
            aws.objects["in"] = b"9\n9\n9\n9\n"

    aws.before = change
    assert "preconditions" in refused("JSONL", "1\n2\n3\n4\n", aws=aws)


def test_an_object_that_changes_after_it_was_counted_is_refused_too() -> None:
    async def work() -> None:
        aws = FakeS3()
        items = source("JSONL", b"1\n2\n", aws=aws)
        assert await items.count() == 2
        aws.objects["in"] = b"1\n2\n3\n"
        with pytest.raises(StateFailure, match="preconditions"):
            await taken(items)

    asyncio.run(work())


def test_a_version_is_asked_for_by_its_id() -> None:
    aws = FakeS3()
    read("JSONL", "1", aws=aws, arguments={"Bucket": BUCKET, "Key": "in", "VersionId": "v7"})
    assert all("versionId=v7" in request.url for request in aws.sent)


# Memory


@pytest.mark.parametrize("kind", ["CSV", "JSONL", "JSON"])
def test_ten_times_the_records_take_no_more_memory(kind: str) -> None:
    few, many = peaks(kind, 3_000, 30_000)
    assert many < 1.2 * few


def test_a_record_over_many_pieces_is_given_once_it_is_whole() -> None:
    text = CsvText(",")
    assert list(text.feed('a,"b\n')) == []
    assert text.count("c\n") == 0
    assert list(text.feed('d",e\n1,2')) == [["a", "b\nc\nd", "e"], ["1", "2"]]
    text.end()


@pytest.mark.parametrize("number", ["1e999", "-1e999", "1" + "0" * 400, "1" + "0" * 5000])
def test_a_number_that_no_double_holds_is_refused_in_an_array_as_in_lines(number: str) -> None:
    assert "item 1 has a number of" in refused("JSON", f'[{{"n":1}},{{"n":{number}}}]')
    assert "line 2 is not JSON" in refused("JSONL", f'{{"n":1}}\n{{"n":{number}}}\n')


@pytest.mark.parametrize("number", [2**63 - 1, 2**64 - 1, -(2**63), 2**64, -(2**63) - 1, 10**30])
def test_a_whole_number_is_the_same_in_an_array_and_in_lines(number: int) -> None:
    read_from = {kind: read(kind, text) for kind, text in (("JSON", f"[{number}]"), ("JSONL", f"{number}\n"))}
    assert repr(read_from["JSON"]) == repr(read_from["JSONL"])


class SlowS3(FakeS3):
    """Asks to slow down before it answers."""

    refusals = 0

    async def send(self, request: AWSPreparedRequest) -> Response:
        """See `Aws`."""
        if self.refusals:
            self.refusals -= 1
            self.sent.append(request)
            return 503, {}, b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"
        return await super().send(request)


@pytest.mark.parametrize(("refusals", "calls"), [(2, 3), (3, 3)])
def test_s3_is_asked_three_times_when_it_asks_to_slow_down(
    refusals: int, calls: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLUICE_WAIT_SCALE", "0")
    aws = SlowS3()
    aws.refusals = refusals
    items = source("JSONL", b"1\n2\n", aws=aws)
    if refusals < calls:
        assert asyncio.run(items.count()) == 2
    else:
        with pytest.raises(StateFailure, match="reduce your request rate"):
            asyncio.run(items.count())
    assert len(aws.sent) == calls


STRANGE_KEYS = ["a\x01b", "a\x1b[31mb", "a\nb", "a b+c%20d&<e>", "../../up", "é\u202e", "\ufffe"]


def test_a_listing_has_keys_that_xml_cannot_write() -> None:
    objects_ = dict.fromkeys(STRANGE_KEYS, b"")
    rows = read("OBJECTS", objects_, arguments={"Bucket": BUCKET})
    assert [row["Key"] for row in rows] == sorted(STRANGE_KEYS)


def deep(levels: int) -> str:
    return "[" * levels + "]" * levels


@pytest.mark.parametrize(("kind", "text"), [("JSONL", deep(10_000)), ("JSON", f"[{deep(10_000)}]")])
def test_what_is_nested_without_end_is_refused_at_once(kind: str, text: str) -> None:
    reason = refused(kind, f"{text}{' ' * 100}\n")
    assert "line 1 is not JSON" in reason or "item 0 is nested too deep" in reason


def test_a_csv_record_that_goes_on_for_ever_is_refused_and_not_gathered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_text, "_MOST_OF_A_RECORD", 10_000)
    text = CsvText(",")
    assert list(text.feed('"a\n' + 'b","a\n' * 1_000)) == []
    with pytest.raises(ValueError, match=r"line 1: a record is longer than 10000 characters"):
        list(text.feed('b","a\n' * 1_000))

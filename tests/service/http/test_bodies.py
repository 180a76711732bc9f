"""Bodies: what is taken, and what each thing that is not taken is told."""

import asyncio
import gzip
from typing import Annotated, Any, Literal

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, field_validator

from service.http.bodies import parse
from service.http.problems import Problem
from tests.service.http.conftest import CANARY, PATIENCE, Served, Thing, request

SIGN = "/petitions/save-it/signatures"
GOOD = b'{"signer":{"email":"a@example.org"}}'

MALFORMED = {
    "empty": b"",
    "unfinished": b"{",
    "null": b"null",
    "array": b"[]",
    "text": b'"a"',
    "number": b"5",
    "two documents": b"{}{}",
    "trailing bytes": GOOD + CANARY.encode(),
    "8,000 arrays": b"[" * 8000,
    "8,000 objects": b'{"a":' * 3200,
    "nine deep": b'{"a":' * 9 + b"1" + b"}" * 9,
    "5,000 digits": b'{"amount":' + b"9" * 5000 + b"}",
    "no UTF-8": b'{"kind":"\xff"}',
    "byte order mark": b"\xef\xbb\xbf" + GOOD,
    "UTF-16": GOOD.decode().encode("utf-16"),
    "UTF-32": GOOD.decode().encode("utf-32-le"),
    "same key twice": b'{"signer":{"email":"a@example.org"},"amount":1,"amount":2}',
    "same key twice, escaped": b'{"signer":{"email":"a@example.org"},"amount":1,"\\u0061mount":2}',
    "same key twice, within": b'{"signer":{"email":"a@example.org","email":"b@example.org"}}',
    "control character": b'{"kind":"a\nb"}',
    "a comment": GOOD + b"//",
    "trailing comma": b'{"amount":1,}',
}


@pytest.mark.parametrize("case", MALFORMED)
async def test_what_two_readers_could_read_differently_is_malformed(served: Served, said: list[Any], case: str) -> None:
    """If a body is no JSON object that everybody reads alike, then 400, and the connection goes on."""
    reply = await served.post(SIGN, MALFORMED[case])
    assert (reply.status, reply.problem) == (400, "malformed-request")
    assert not reply.closed
    assert served.events.recorded == []
    assert len(said) == 1


SIGNER = '"signer":{"email":"a@example.org"}'
INVALID = {
    "NaN": ('{%s,"amount":NaN}', ""),
    "Infinity": ('{%s,"amount":-Infinity}', ""),
    "1e999": ('{%s,"amount":1e999}', ""),
    "float": ('{%s,"amount":1.0}', ""),
    "exponent": ('{%s,"amount":1e2}', ""),
    "2^63": ('{%s,"amount":9223372036854775808}', ""),
    "NUL": ('{%s,"kind":"a\\u0000"}', ""),
    "lone surrogate": ('{%s,"kind":"\\ud800"}', ""),
    "true for a number": ('{%s,"amount":true}', "/amount"),
    "text for a number": ('{%s,"amount":"5"}', "/amount"),
    "below nothing": ('{%s,"amount":-1}', "/amount"),
    "null for a number": ('{%s,"amount":null}', "/amount"),
    "unknown member": ('{%s,"is_admin":true}', ""),
    "unknown member of a member": ('{"signer":{"email":"a","actor_id":"b"}}', "/signer"),
    "unknown choice": ('{%s,"kind":"zq7canary"}', "/kind"),
    "unknown key of a map": ('{%s,"answers":{"zq7canary":"perhaps"}}', "/answers"),
    "wrong member of a list": ('{%s,"parts":[{"email":"a"},{"email":5}]}', "/parts/1/email"),
    "list too long": ('{%s,"parts":[' + ",".join(['{"email":"a"}'] * 11) + "]}", "/parts"),
    "text too long": ('{%s,"parts":[{"email":"' + "a" * 101 + '"}]}', "/parts/0/email"),
    "missing member": ("{}", "/signer"),
    "missing member of a member": ('{"signer":{"postcode":"a"}}', "/signer/email"),
    "odd UUID": ('{"signer":{"ref":"URN:zq7canary"}}', "/signer/ref"),
}


@pytest.mark.parametrize("case", INVALID)
async def test_a_body_of_another_shape_is_told_where(served: Served, case: str) -> None:
    """If a JSON object is not what the model takes, then 422 with a pointer to the nearest member that is known."""
    text, pointer = INVALID[case]
    reply = await served.post(SIGN, (text % SIGNER if "%s" in text else text).encode())
    assert (reply.status, reply.problem) == (422, "validation-failed")
    assert pointer in [error["pointer"] for error in reply.document["errors"]]
    assert all(set(error) == {"pointer", "message"} and error["message"] for error in reply.document["errors"])
    assert served.events.recorded == []


async def test_a_good_body_is_taken_however_it_is_laid_out(served: Served) -> None:
    """If keys come in another order, with white space and escapes, then the body means the same."""
    text = b' {\r\n "amount" : 9007199254740991 ,\t"signer":{"\\u0065mail":"a@example.org"} } \n'
    assert (await served.post(SIGN, text)).status == 201
    assert (await served.post(SIGN, b'{"signer":{"ref":"0123abcd"},"answers":{"q":"yes"}}')).status == 201
    assert served.events.recorded == [
        Thing.model_validate({"signer": {"email": "a@example.org"}, "amount": 2**53 - 1}),
        Thing.model_validate({"signer": {"ref": "0123abcd"}, "answers": {"q": "yes"}}),
    ]


@pytest.mark.parametrize(
    "media",
    [
        None,
        "",
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/jsonx",
        "application/json; charset=nonsense",
        "application/json; charset=utf-16",
        "application/json; charset=utf-8; charset=utf-16",
        "application/json; profile=zq7canary",
        "application/json, text/plain",
        "application/problem+json",
    ],
)
async def test_another_media_type_is_refused_before_the_body(served: Served, media: str | None) -> None:
    """If the body is declared as anything but JSON in UTF-8, then 415: a form of another site can send nothing."""
    reply = await served.post(SIGN, GOOD, media=media)
    assert (reply.status, reply.problem) == (415, "unsupported-media-type")
    assert served.events.recorded == []


@pytest.mark.parametrize("media", ["application/json; charset=utf-8", 'Application/JSON;Charset="UTF-8"'])
async def test_the_media_type_is_read_as_http_says(served: Served, media: str) -> None:
    """If case, quotes or spaces differ, then it is the same media type."""
    assert (await served.post(SIGN, GOOD, media=media)).status == 201


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "GZIP", "identity, gzip", CANARY])
@pytest.mark.parametrize("good", [True, False])
async def test_a_compressed_body_is_refused_unread(served: Served, encoding: str, good: bool) -> None:
    """If a body is compressed, soundly or not, then 415: nothing is ever inflated."""
    body = gzip.compress(b" " * 10_000_000) if good else b"\x1f\x8b" + CANARY.encode()
    reply = await served.post(SIGN, body[:12_000], f"Content-Encoding: {encoding}")
    assert (reply.status, reply.problem) == (415, "unsupported-media-type")


async def test_identity_is_no_encoding(served: Served) -> None:
    """If the body says that it is not encoded, then it is read."""
    assert (await served.post(SIGN, GOOD, "Content-Encoding: identity")).status == 201


async def test_a_body_in_many_chunks_is_one_body(served: Served) -> None:
    """If a body comes byte by byte in chunks, then it is read as a whole."""
    line = await served.open()
    await line.send(request("POST", SIGN, "Content-Type: application/json", "Transfer-Encoding: chunked"))
    for byte in GOOD:
        await line.send(b"1\r\n" + bytes([byte]) + b"\r\n")
    await line.send(b"0\r\n\r\n")
    assert (await line.reply()).status == 201


@pytest.mark.parametrize(
    ("body", "media", "status"),
    [
        (b"", None, 200),
        (b"", "application/json", 200),
        (b"{}", "application/json", 200),
        (b" { } ", "application/json", 200),
        (b"{}", None, 415),
        (b"{}", "text/plain", 415),
        (b'{"a":1}', "application/json", 422),
        (b"[]", "application/json", 400),
        (b"x", "application/json", 400),
    ],
)
async def test_a_body_that_says_nothing_is_empty_or_an_empty_object(
    served: Served, body: bytes, media: str | None, status: int
) -> None:
    """If a route takes no body, then nothing and `{}` are alike, and all else is refused."""
    assert (await served.post("/petitions/a/confirmation", body, media=media)).status == status
    assert served.events.recorded == (["confirmed"] if status == 200 else [])


async def test_each_line_of_a_batch_is_judged_by_itself(served: Served) -> None:
    """If a line is bad, then its result says so, and the others are taken; results keep the order of lines."""
    lines = [GOOD, b"{", b"", b'{"signer":{"ref":"0123abcd"},"amount":-1}', b'{"a":"' + b"x" * 17_000 + b'"}', GOOD]
    reply = await served.post("/petitions/a/batch", b"\n".join(lines) + b"\n", media="application/x-ndjson")
    assert [result["status"] for result in reply.document] == [201, 400, 400, 422, 413, 201]
    assert len(served.events.recorded) == 2


@pytest.mark.parametrize(
    ("body", "media", "status"),
    [
        (b"", "application/x-ndjson", 400),
        (GOOD, "application/json", 415),
        (GOOD, "application/x-ndjson", 200),
        (b"{}\n" * 1000, "application/x-ndjson", 200),
        (b"{}\n" * 1001, "application/x-ndjson", 413),
        (b"{}\n" * 1000 + b"{}", "application/x-ndjson", 413),
        (b"\n" * 20_000, "application/x-ndjson", 413),
        (b" " * (2 * 1024 * 1024 + 1), "application/x-ndjson", 413),
    ],
)
async def test_a_batch_has_its_own_bounds(served: Served, body: bytes, media: str, status: int) -> None:
    """If a batch has more than 1,000 lines or 2 MiB, then 413; up to there it is read."""
    line = await served.open()
    head = request("POST", "/petitions/a/batch", f"Content-Type: {media}", f"Content-Length: {len(body)}")
    line.writer.write(head + body)
    async with asyncio.timeout(PATIENCE):
        assert (await line.reply()).status == status


class _Moments(BaseModel):
    """A model whose validator speaks, and whose key and choice could be quoted."""

    model_config = ConfigDict(strict=True, extra="forbid")
    kind: Literal["a"] = "a"
    name: Annotated[str, Field(max_length=5)] = ""

    @field_validator("name")
    @classmethod
    def _no_dashes(cls, name: str) -> str:
        if "-" in name:
            raise ValueError("a name has no dash")
        return name


def test_a_validator_of_ours_speaks_for_itself() -> None:
    """If a validator refuses with a sentence, then that is the message."""
    with pytest.raises(Problem) as caught:
        parse(b'{"name":"a-b"}', _Moments)
    assert [tuple(error) for error in caught.value.errors] == [("/name", "a name has no dash")]
    assert caught.value.__context__ is None


_NAMES = st.sampled_from(["signer", "email", "ref", "amount", "kind", "answers", "parts", CANARY, "0", "Person"])
KNOWN = {"signer", "email", "postcode", "ref", "amount", "kind", "answers", "parts"}
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from([CANARY, "a", "person", "yes"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_NAMES, inner, max_size=4),
    max_leaves=12,
)


def refusal(document: dict[str, Any]) -> Problem | None:
    """The problem with which a document is refused."""
    try:
        parse(orjson.dumps(document), Thing)
    except Problem as problem:
        return problem
    return None


@given(st.dictionaries(_NAMES, _VALUES, max_size=5))
def test_a_pointer_names_what_is_there_or_missing_and_nothing_of_the_clients(document: dict[str, Any]) -> None:
    """If any document is refused, then each pointer leads through it by known names, and nothing is repeated."""
    problem = refusal(document)
    if problem is None:
        return
    assert problem.problem == "validation-failed"
    assert CANARY not in repr(problem.document())
    assert problem.errors
    for error in problem.errors:
        here: Any = document
        *before, last = error.pointer.split("/")[1:] or [""]
        for step in before:
            here = here[int(step)] if isinstance(here, list) else here[step]
        if isinstance(here, list):
            assert int(last) < len(here)
        elif last:
            assert isinstance(here, dict)
            assert last in KNOWN

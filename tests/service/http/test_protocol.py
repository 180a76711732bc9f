"""What a connection may do, and what it is told when it does something else."""

import asyncio
import socket
import struct
from contextlib import AsyncExitStack
from ipaddress import ip_network
from typing import Any

import pytest
import uvloop
from aiohttp import http_parser

from service.http.protocol import Limits, ProtocolUnfit, must_be_fit
from tests.service.http.conftest import CANARY, PATIENCE, Serve, Served, request, routes, started, until

SIGN = "/petitions/save-it/signatures"
BODY = b'{"signer":{"email":"a@example.org"}}'
JSON = "Content-Type: application/json"
CHUNKED = "Transfer-Encoding: chunked"


def posting(*headers: str, body: bytes = BODY) -> bytes:
    return request("POST", SIGN, JSON, *headers) + body


UNREADABLE = {
    "both lengths": posting(f"Content-Length: {len(BODY)}", CHUNKED),
    "two lengths alike": posting(f"Content-Length: {len(BODY)}", f"Content-Length: {len(BODY)}"),
    "two lengths": posting(f"Content-Length: {len(BODY)}", "Content-Length: 5"),
    "length with a sign": posting(f"Content-Length: +{len(BODY)}"),
    "length below nothing": posting("Content-Length: -1"),
    "length of 23 digits": posting("Content-Length: 12345678901234567890123"),
    "unknown coding": posting(f"Transfer-Encoding: x{CANARY}"),
    "unknown coding before chunked": posting(f"Transfer-Encoding: {CANARY}, chunked", body=b"0\r\n\r\n"),
    "gzip before chunked": posting("Transfer-Encoding: gzip, chunked", body=b"0\r\n\r\n"),
    "chunked twice": posting("Transfer-Encoding: chunked, chunked", body=b"0\r\n\r\n"),
    "chunked in two headers": posting(CHUNKED, CHUNKED, body=b"0\r\n\r\n"),
    "two hosts": request("GET", "/petitions/a.json", f"Host: {CANARY}"),
    "no host": f"GET /petitions/a.json HTTP/1.1\r\nX: {CANARY}\r\n\r\n".encode(),
    "folded header": request("GET", "/petitions/a.json", f"X: a\r\n {CANARY}"),
    "space before the colon": request("GET", "/petitions/a.json", f"X{CANARY} : a"),
    "NUL in a value": request("GET", "/petitions/a.json", f"X: {CANARY}\0"),
    "name that is no token": request("GET", "/petitions/a.json", f"X({CANARY}): a"),
    "long header": request("GET", "/petitions/a.json", "X: " + CANARY * 1000),
    "too many headers": request("GET", "/petitions/a.json", *(f"X{n}: {CANARY}" for n in range(129))),
    "long target": request("GET", "/petitions/a.json?" + CANARY * 1000),
    "target that is not ASCII": request("GET", "/petitions/\u0661\u0662.json"),
    "target with a space": request("GET", "/petitions/a.json?after=1 2"),
    "target with a control character": request("GET", f"/petitions/a.json?{CANARY}=\x01"),
    "version 2.0": request("GET", "/petitions/a.json", version="HTTP/2.0"),
    "version 3.7": request("GET", "/petitions/a.json", version="HTTP/3.7"),
    "HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + CANARY.encode() + b"\x00" * 60,
    "no HTTP": f"{CANARY}\r\n\r\n".encode(),
    "absolute target": request("POST", f"https://{CANARY}.example{SIGN}", JSON, f"Content-Length: {len(BODY)}") + BODY,
}


@pytest.mark.parametrize("case", UNREADABLE)
async def test_what_is_no_clean_http_is_a_problem_and_ends_the_connection(
    served: Served, said: list[Any], case: str
) -> None:
    """If a request could be read in two ways, or in none, then 400, nothing echoed, one log line, no event, closed."""
    reply = await served.ask(UNREADABLE[case])
    assert (reply.status, reply.problem) == (400, "malformed-request")
    assert reply.closed
    assert reply.headers["server"] == "ledger"
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert served.events.recorded == []
    assert len(said) == 1
    assert "exc_info" not in said[0]


BROKEN_CHUNKS = {
    "bad size": b"zz\r\n" + BODY + b"\r\n0\r\n\r\n",
    "size beyond all numbers": b"ffffffffffffffffff\r\n" + BODY + b"\r\n0\r\n\r\n",
    "negative size": b"-5\r\n" + BODY + b"\r\n0\r\n\r\n",
    "bare line feed": f"{len(BODY):x}\n".encode() + BODY + b"\n0\n\n",
    "no line end after the data": f"{len(BODY):x}\r\n".encode() + BODY + b"0\r\n\r\n",
}


@pytest.mark.parametrize("case", BROKEN_CHUNKS)
@pytest.mark.parametrize("apart", [False, True])
async def test_broken_chunks_are_malformed(served: Served, said: list[Any], case: str, apart: bool) -> None:
    """If chunks are framed wrongly, with the head or after it, then 400, closed, and no event."""
    line = await served.open()
    head = request("POST", SIGN, JSON, CHUNKED)
    if apart:
        await line.send(head)
        await asyncio.sleep(0.02)  # so that it comes in a packet of its own; either way the answer is the same
        await line.send(BROKEN_CHUNKS[case])
    else:
        await line.send(head + BROKEN_CHUNKS[case])
    reply = await line.reply()
    assert (reply.status, reply.problem) == (400, "malformed-request")
    assert b"HTTP/1.1 2" not in await line.ended()
    assert served.events.recorded == []


@pytest.mark.parametrize("method", ["FOO", "TRACE", "PUT", "DELETE", "PATCH", "get"])
async def test_a_method_that_is_not_taken_is_told_which_are(served: Served, said: list[Any], method: str) -> None:
    """If the method is unknown, to HTTP or to the path, then 405 with Allow."""
    reply = await served.ask(request(method, "/petitions/a.json"))
    assert (reply.status, reply.problem) == (405, "method-not-allowed")
    assert "GET" in reply.headers["allow"]
    assert len(said) == 1


async def test_a_method_of_another_operation_is_told_exactly_what_the_path_takes(served: Served) -> None:
    """If a path takes POST alone, then Allow says so; a read also takes HEAD and OPTIONS."""
    assert (await served.get(SIGN)).headers["allow"] == "POST"
    assert (await served.post("/petitions/a.json", b"")).headers["allow"] == "GET, HEAD, OPTIONS"


@pytest.mark.parametrize("said_first", [b"", b"GET /\r\n", b"GET /petitions/a.json HTTP/1.1\r\nX: 1\r\n"])
async def test_a_connection_without_a_whole_head_is_closed(serve: Serve, said_first: bytes) -> None:
    """If no whole head comes (nothing, HTTP/0.9, a head that stops), then the connection ends after the idle time."""
    served = await serve(Limits(idle=0.1))
    line = await served.open()
    await line.send(said_first)
    assert b"HTTP/1.1 2" not in await line.ended()


@pytest.mark.parametrize("later", [False, True])
async def test_a_dribbled_head_gains_no_time(serve: Serve, later: bool) -> None:
    """If a head comes byte by byte, on a fresh connection or after a request, then it ends all the same."""
    served = await serve(Limits(idle=0.2))
    line = await served.open()
    if later:
        await line.send(request("GET", "/petitions/a.json"))
        assert (await line.reply()).status == 200

    async def dribble() -> None:
        for byte in request("GET", "/petitions/a.json", "X: " + "y" * 500):
            line.writer.write(bytes([byte]))
            await asyncio.sleep(0.02)

    dribbling = asyncio.create_task(dribble())
    assert await line.ended() == b""
    dribbling.cancel()


@pytest.mark.parametrize("target", ["http://127.0.0.1{}", "http://127.0.0.1:1{}", "http://localhost{}"])
async def test_a_target_in_absolute_form_is_served_where_it_names_us(served: Served, target: str) -> None:
    """If an absolute target names the address that was reached, then it is served (RFC 9112 section 3.2.2)."""
    assert (await served.get(target.format("/petitions/a.json"))).status == 200


async def test_only_the_hosts_of_the_list_are_served_where_there_is_one(serve: Serve) -> None:
    """If the service knows its names, then another is refused, in Host or in the target."""
    served = await serve(Limits(hosts=frozenset({"petitions.example"})))

    async def status(target: str, host: str) -> int:
        return (await served.ask(request("GET", target, host=f"Host: {host}"))).status

    assert await status("/petitions/a.json", "petitions.example") == 200
    assert await status("/petitions/a.json", "Petitions.Example:8080") == 200
    assert await status("http://petitions.example/petitions/a.json", "evil.example") == 200
    assert await status("/petitions/a.json", "evil.example") == 400
    assert await status("http://evil.example/petitions/a.json", "petitions.example") == 400


async def test_forwarded_headers_change_nothing(serve: Serve) -> None:
    """If a client claims other addresses, then its connections are still counted as the one peer's that it is."""
    served = await serve(Limits(network=1))
    line = await served.open()
    await line.send(request("GET", "/petitions/a.json", "X-Forwarded-For: 10.0.0.1", "X-Forwarded-Host: evil.example"))
    reply = await line.reply()
    assert reply.status == 200
    assert "evil" not in repr(reply)
    assert (await served.ask(b"")).status == 429


async def test_a_declared_length_over_the_limit_is_refused_before_the_body(served: Served) -> None:
    """If 100 MB are announced and none is sent, then 413 at once."""
    reply = await served.ask(request("POST", SIGN, JSON, "Content-Length: 100000000"))
    assert (reply.status, reply.problem) == (413, "payload-too-large")
    assert reply.closed


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_over_the_limit_is_refused(served: Served, chunked: bool) -> None:
    """If 20 kB come where 16 KiB are taken, announced or in chunks, then 413 and the end."""
    body = b'{"signer":{"email":"' + b"a" * 20_000 + b'"}}'
    if chunked:
        framed = f"{len(body):x}\r\n".encode() + body + b"\r\n0\r\n\r\n"
        reply = await served.ask(request("POST", SIGN, JSON, CHUNKED) + framed)
    else:
        reply = await served.post(SIGN, body)
    assert (reply.status, reply.problem) == (413, "payload-too-large")
    assert served.events.recorded == []


async def test_a_client_that_expects_to_be_asked_is_asked_when_its_body_is_read(served: Served) -> None:
    """If a client waits for 100 Continue, then it gets it, and then its answer."""
    line = await served.open()
    await line.send(request("POST", SIGN, JSON, f"Content-Length: {len(BODY)}", "Expect: 100-continue"))
    async with asyncio.timeout(PATIENCE):
        assert await line.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    await line.send(BODY)
    assert (await line.reply()).status == 201


async def test_a_client_that_expects_to_be_asked_is_refused_before_it_sends(served: Served) -> None:
    """If the head already tells that the body is refused, then no 100 Continue is said."""
    reply = await served.ask(request("POST", SIGN, JSON, "Content-Length: 100000000", "Expect: 100-continue"))
    assert reply.status == 413


@pytest.mark.parametrize("target", [SIGN, "/nowhere"])
async def test_another_expectation_fails(served: Served, target: str) -> None:
    """If something else is expected, then 417 as a problem document, on any path."""
    length = f"Content-Length: {len(BODY)}"
    reply = await served.ask(request("POST", target, JSON, length, f"Expect: {CANARY}") + BODY)
    assert (reply.status, reply.problem) == (417, "malformed-request")


async def test_a_truncated_body_records_nothing(served: Served) -> None:
    """If the client ends its side within the body, then the connection ends and nothing is recorded."""
    line = await served.open()
    await line.send(posting("Content-Length: 500"))
    line.writer.write_eof()
    assert b"HTTP/1.1 2" not in await line.ended()
    assert served.events.recorded == []


async def test_a_client_that_ends_its_side_after_its_requests_gets_its_answers(served: Served) -> None:
    """If a client sends whole requests and ends its side, then each is answered before the end."""
    line = await served.open()
    await line.send(posting(f"Content-Length: {len(BODY)}") * 3)
    line.writer.write_eof()
    assert [(await line.reply()).status for _ in range(3)] == [201, 201, 201]
    assert await line.ended() == b""


@pytest.mark.parametrize("pieces", [[], [b"{", b'"', b"a"]])
async def test_a_stalled_body_is_given_up(served: Served, pieces: list[bytes]) -> None:
    """If a body stalls or dribbles, then 408 within the body's time, and the end."""
    line = await served.open()
    await line.send(request("POST", SIGN, JSON, "Content-Length: 1000"))
    for piece in pieces:
        await line.send(piece)
    reply = await line.reply()
    assert (reply.status, reply.problem) == (408, "request-timeout")
    assert reply.closed
    assert await line.ended() == b""


async def test_a_dribbled_body_gains_no_time(served: Served) -> None:
    """If a byte of the body comes now and then, then the time for the whole of it still runs out."""
    line = await served.open()
    await line.send(request("POST", SIGN, JSON, "Content-Length: 1000"))

    async def dribble() -> None:
        while True:
            line.writer.write(b" ")
            await asyncio.sleep(0.05)

    dribbling = asyncio.create_task(dribble())
    assert (await line.reply()).problem == "request-timeout"
    await line.ended()
    dribbling.cancel()


async def test_pipelined_requests_are_answered_in_order(served: Served) -> None:
    """If 1,000 requests come at once, then 1,000 answers come in their order."""
    line = await served.open()
    line.writer.write(b"".join(request("GET", f"/petitions/p{n}.json") for n in range(1000)))
    assert [(await line.reply()).document["id"] for _ in range(1000)] == [f"p{n}" for n in range(1000)]


async def test_a_handler_runs_to_its_end_without_its_client(served: Served) -> None:
    """If a client resets the connection while its request is served, then the request is finished all the same."""
    line = await served.open()
    await line.send(request("POST", "/slow", "Content-Length: 0"))
    async with asyncio.timeout(PATIENCE):
        await served.events.arrived.wait()
        # Without lingering, closing is a reset; else it would look like a client that ended its side and still listens.
        line.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        line.writer.transport.abort()
    server = served.runner.server
    assert server is not None
    await until(lambda: not any(connection.connected for connection in server.connections))
    served.events.gate.set()
    await until(lambda: served.events.recorded == ["slow"])


async def test_one_address_cannot_hold_all_connections(serve: Serve, said: list[Any]) -> None:
    """If an address holds its share, then more of its connections are told 429 and closed; one given back is free."""
    served = await serve(Limits(network=3, linger=0.1))
    held = [await served.open() for _ in range(3)]
    for line in held:
        await line.send(request("GET", "/petitions/a.json"))
        assert (await line.reply()).status == 200
    for reply in [await served.ask(request("GET", "/petitions/a.json")) for _ in range(5)]:
        assert (reply.status, reply.problem) == (429, "rate-limited")
        assert reply.headers["retry-after"] == "1"
    assert len(said) == 3
    held[0].writer.close()
    server = served.runner.server
    assert server is not None
    await until(lambda: len(server.connections) == 2)
    assert (await served.get("/petitions/a.json")).status == 200


async def test_a_trusted_network_is_bound_only_by_what_the_process_holds(serve: Serve) -> None:
    """If the peer is a trusted proxy, then its share has no bound; when all connections are in use, 503."""
    served = await serve(Limits(network=1, connections=3, trusted=(ip_network("127.0.0.0/8"),)))
    for _ in range(3):
        line = await served.open()
        await line.send(request("GET", "/petitions/a.json"))
        assert (await line.reply()).status == 200
    reply = await served.ask(b"")
    assert (reply.status, reply.problem) == (503, "unavailable")


async def test_a_client_that_reads_nothing_is_let_go(serve: Serve) -> None:
    """If a client takes nothing of a large answer, then its connection ends after the write time."""
    served = await serve(Limits(write=0.2))
    slow = socket.socket()
    slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    slow.setblocking(False)
    with slow:
        await asyncio.get_running_loop().sock_connect(slow, ("127.0.0.1", served.port))
        slow.send(request("GET", "/large"))
        server = served.runner.server
        assert server is not None
        await until(lambda: bool(server.connections))
        await until(lambda: not server.connections)


async def test_a_body_where_none_is_read_does_not_hold_the_connection(served: Served) -> None:
    """If a GET announces a body, then it is answered without it, and the connection ends."""
    reply = await served.ask(request("GET", "/petitions/a.json", "Content-Length: 5000"))
    assert reply.status == 200
    assert reply.closed


async def test_a_fault_of_ours_is_one_line_without_its_text(served: Served, said: list[Any]) -> None:
    """If a handler fails, then a read is unavailable, a write's outcome unknown; the log says where, not what."""
    reading = await served.get("/broken")
    assert (reading.status, reading.problem) == (503, "unavailable")
    writing = await served.post("/broken", BODY)
    assert (writing.status, writing.problem) == (503, "outcome-unknown")
    assert writing.headers["retry-after"] == "1"
    assert [line["error"] for line in said] == ["LookupError", "LookupError"]
    assert "broken" in said[0]["where"][-1]


@pytest.mark.parametrize("given", ["abc-DEF_1.2", "x" * 64])
async def test_a_request_id_is_taken_returned_and_logged(served: Served, said: list[Any], given: str) -> None:
    """If a client names its request well, then the answer and the log call it so."""
    reply = await served.get("/petitions/a.json", f"X-Request-Id: {given}")
    assert reply.headers["x-request-id"] == given
    assert said[0]["request_id"] == given


@pytest.mark.parametrize(
    "given", ["x" * 65, "\x1b[2J" + CANARY, f"{CANARY} b", f"{CANARY}\u00e9", "", f"{CANARY}\r\nX-Request-Id: b"]
)
async def test_a_bad_request_id_is_replaced(served: Served, said: list[Any], given: str) -> None:
    """If the name is long, odd or given twice, then the request gets one of ours."""
    reply = await served.get("/petitions/a.json", f"X-Request-Id: {given}")
    if reply.status == 200:  # a control character is no HTTP at all
        assert reply.headers["x-request-id"] == said[0]["request_id"]
    assert len(reply.headers["x-request-id"]) == 16


async def test_the_log_line_says_what_was_served_and_nothing_of_who(served: Served, said: list[Any]) -> None:
    """If a petition is read, then its line has the pattern of the route, and neither path nor address."""
    await served.get("/petitions/save-it.json?after=1")
    (line,) = said
    assert {**line, "ms": 0, "request_id": ""} == {
        "event": "request",
        "log_level": "info",
        "method": "GET",
        "route": "/petitions/{id}.json",
        "status": 200,
        "ms": 0,
        "request_id": "",
    }


async def test_a_process_that_would_break_its_word_does_not_serve(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If aiohttp lost its compiled parser, or asyncio runs in debug mode, then the start is refused."""
    loop = asyncio.new_event_loop()
    must_be_fit(loop)
    loop.set_debug(True)
    with pytest.raises(ProtocolUnfit):
        must_be_fit(loop)
    loop.close()
    monkeypatch.setattr(http_parser, "HttpRequestParser", http_parser.HttpRequestParserPy)
    with pytest.raises(ProtocolUnfit):
        await serve()


async def test_the_bounds_hold_on_the_event_loop_that_serves(said: list[Any]) -> None:
    """If uvloop serves, whose transports are no subclasses of asyncio's, then it lets in, turns away and ends alike."""

    async def scenario() -> list[int]:
        async with AsyncExitStack() as open_now:
            served = await started(open_now, Limits(network=1, body=0.1, linger=0.1), "all", routes)
            statuses = []
            line = await served.open()
            await line.send(request("GET", "/petitions/a.json"))
            statuses.append((await line.reply()).status)
            statuses.append((await served.ask(request("GET", "/petitions/a.json"))).status)
            await line.send(posting(f"Content-Length: {len(BODY)}"))
            line.writer.write_eof()
            statuses.append((await line.reply()).status)
            assert await line.ended() == b""
            statuses.append((await served.ask(request("POST", SIGN, JSON, "Content-Length: 9"))).status)
            return statuses

    def served_by_uvloop() -> list[int]:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(scenario())

    assert await asyncio.to_thread(served_by_uvloop) == [200, 429, 201, 408]

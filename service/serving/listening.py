"""The port: taken by one service alone, and shared by its workers.

Each worker listens on a socket of its own (SO_REUSEPORT), so that the kernel spreads connections and a dead worker's
share goes to the living at once. What SO_REUSEPORT would also allow, a second service that listens on the same port in
silence, is kept out: the port is first taken without it.

This module must never leave a port half taken: what it returns is bound, or it raises.
"""

import resource
import socket
from typing import Final

ANY_PORT: Final = 0


class PortTaken(Exception):
    """The address cannot be listened on. The text is a sentence for a person; the command line exits 3."""


def listen(host: str, port: int, backlog: int) -> socket.socket:
    """A listening socket that nobody shares. Port 0 is any that is free. Raises PortTaken."""
    family, address = _resolve(host, port)
    listening = _socket(family)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(backlog)  # what two that bound at one time cannot both do
    except OSError as error:
        listening.close()
        raise _taken(host, port, error) from None
    return listening


def reserve(host: str, port: int) -> socket.socket:
    """The port, taken for the workers of one service: a socket that is bound and does not listen. Raises PortTaken.

    It is to be held for as long as the service runs: no other service can take the port, even while no worker lives.
    """
    with listen(host, port, 1) as proof:
        proof.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)  # from here on the port can be shared
        reservation = _socket(proof.family)
        try:
            reservation.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            reservation.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            reservation.bind(proof.getsockname())
            # Else a bound socket that does not listen would let another one pass that takes the port alone.
            reservation.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
        except OSError as error:
            reservation.close()
            raise _taken(host, port, error) from None
    return reservation


def share(host: str, port: int, backlog: int) -> socket.socket:
    """A listening socket of one worker's own on a port that its service has reserved. Raises PortTaken."""
    family, address = _resolve(host, port)
    listening = _socket(family)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listening.bind(address)
        listening.listen(backlog)
    except OSError as error:
        listening.close()
        raise _taken(host, port, error) from None
    return listening


def address_of(host: str, bound: socket.socket) -> str:
    """The address to call, as a URL without a path."""
    return f"http://{f'[{host}]' if ':' in host else host}:{port_of(bound)}"


def port_of(bound: socket.socket) -> int:
    """The port of a socket that is bound."""
    port: int = bound.getsockname()[1]
    return port


def raise_descriptor_limit() -> None:
    """Let this process have as many connections as it may: the soft limit is often 1,024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _resolve(host: str, port: int) -> tuple[socket.AddressFamily, tuple[str, int]]:
    """The first address that a name stands for."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE | socket.AI_NUMERICSERV)
    except (OSError, UnicodeError):
        raise PortTaken("There is no address of this name to listen on; name another one with --host.") from None
    family, _, _, _, address = found[0]
    return family, address  # type: ignore[return-value]  # of a TCP address the first two members count


def _socket(family: socket.AddressFamily) -> socket.socket:
    made = socket.socket(family, socket.SOCK_STREAM)  # not inherited by children
    made.setblocking(False)
    if family == socket.AF_INET6:
        made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)  # `::` means all addresses
    return made


def _taken(host: str, port: int, error: OSError) -> PortTaken:
    return PortTaken(
        f"Port {port} of {host} cannot be listened on ({error.strerror}). "
        f"Use another one, for instance: --port {port + 1 if 0 < port < 65_535 else 8080}, or any free one: --port 0."
    )

"""The port: one service's alone, and shared by its workers."""

import socket

import pytest

from service.serving.listening import PortTaken, address_of, listen, port_of, reserve, share

HOST = "127.0.0.1"


def test_a_reserved_port_lets_nobody_in_but_workers() -> None:
    """If a service has reserved a port and no worker lives, then nobody else can listen on it, and nobody is let in to
    wait for an answer that does not come."""
    with reserve(HOST, 0) as reserved:
        port = port_of(reserved)
        for take in (reserve, lambda host, port: listen(host, port, 1)):
            for host in (HOST, "0.0.0.0"):
                with pytest.raises(PortTaken):
                    take(host, port)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((HOST, port))
        with share(HOST, port, 1), share(HOST, port, 1):
            socket.create_connection((HOST, port)).close()
            with pytest.raises(PortTaken):
                reserve(HOST, port)


def test_a_port_that_somebody_listens_on_is_not_shared() -> None:
    """If another program listens on the port, even one that would share it, then it is taken, and the sentence names
    the arguments to use instead."""
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        other.bind((HOST, 0))
        other.listen(1)
        with pytest.raises(PortTaken) as taken:
            reserve(HOST, port_of(other))
        assert "--port" in str(taken.value)


def test_a_name_without_an_address_is_told_so() -> None:
    """If a host has no address, then the sentence names the argument."""
    with pytest.raises(PortTaken) as taken:
        reserve("no-such-host.invalid", 0)
    assert "--host" in str(taken.value)


def test_an_address_is_one_that_can_be_called() -> None:
    """If the host is an address of IPv6, then it stands in brackets."""
    with reserve(HOST, 0) as reserved:
        assert address_of(HOST, reserved) == f"http://{HOST}:{port_of(reserved)}"
        assert address_of("::1", reserved) == f"http://[::1]:{port_of(reserved)}"

"""Host ports by instance: what is taken comes free again, and more than 64 of them fit."""

from stowplan.placement.cluster.host_ports import HostPorts
from stowplan.placement.testing import make_kind


def made(rows=2):
    ports = HostPorts()
    ports.grow(rows)
    return ports


def test_what_is_taken_is_not_free_until_it_is_given_back():
    ports, web, dns = made(), make_kind(tcp=(80, 443)), make_kind(udp=(80,))
    ports.take(web, 1)
    assert ports.free(web, 2).tolist() == [True, False]
    assert ports.free(dns, 2).all(), "the other protocol"
    ports.give_back(web, 1)
    assert ports.free(web, 2).all()


def test_a_word_more_leaves_what_was_known():
    ports, web = made(), make_kind(tcp=(80,))
    ports.reserve(0, [("tcp", 80)])
    ports.take(make_kind(tcp=tuple(range(1000, 1100))), 1)
    assert ports.words == 2
    assert ports.free(web, 2).tolist() == [False, True]
    assert ports.free(make_kind(tcp=(1099,)), 2).tolist() == [True, False]
    ports.reserve(0, [])
    assert ports.free(web, 2).all(), "registered again, with other ports"

"""What the server warns of at its start: what is odd about the host, and works all the same."""

import re


def test_an_address_that_the_host_lacks_is_warned_of_with_those_that_it_has(host):
    server = host.start(ips=[host.absent])
    assert server.logged(rf"warning .*added the address {host.absent} to wan0, as this host did not have it "
                         rf"\(but [^)]*\b{host.address}\b[^)]*\): in a cloud .* --ip is the private address")
    server.stop()
    assert "added the address" not in host.start().log


def test_a_block_of_the_hosts_own_is_warned_of_and_no_other(host):
    host.ns.ip("link add own0 type veth peer name own1", "addr add 10.100.7.1/24 dev own0", "link set own0 up", "link set own1 up")
    server = host.start()
    assert server.logged(r"warning .*--wg-block 10.100.0.0/16 contains 10.100.7.1, which this host has on own0")
    server.stop()
    host.ns.ip("addr del 10.100.7.1/24 dev own0", "route add 10.100.8.0/24 dev own0")
    server = host.start()
    assert server.logged(
        r"warning .*--wg-block 10.100.0.0/16 overlaps with the route to 10.100.8.0/24 by own0")
    server.stop()
    host.ns.ip("link del own0")
    server = host.start("--on-exit=keep")
    server.stop()
    server = host.start()  # its own of before is there
    assert "--wg-block" not in server.log


def test_a_public_block_is_warned_of_and_a_reserved_one_is_not(host):
    server = host.start(block="198.18.0.0/16")
    assert server.logged("warning .*--wg-block 198.18.0.0/16 is public: whoever has these addresses")
    server.stop()
    server = host.start(block="240.0.0.0/16")
    assert "is public" not in server.log


def test_a_block_with_host_bits_is_told_which_one_it_is(host):
    server = host.start(block="10.100.0.5/16")
    assert re.search(r"--wg-block 10.100.0.5/16: is the block 10.100.0.0/16", server.log)
    server.stop()
    assert "is the block" not in host.start(block="10.100.0.0/16").log

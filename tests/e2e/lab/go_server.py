"""What a Go server of line A leaves on a host."""

GO_RULES = [
    "-t filter -A FORWARD -i vprox0 -m comment --comment 'vprox forward in vprox0' -j ACCEPT",
    "-t filter -A FORWARD -o vprox0 -m comment --comment 'vprox forward out vprox0' -j ACCEPT",
    "-t nat -A POSTROUTING -s 10.100.0.0/16 -m comment --comment 'vprox masquerade vprox0' "
    "-j MASQUERADE",
    "-t mangle -A FORWARD -o vprox0 -p tcp --tcp-flags SYN,RST SYN -m comment "
    "--comment 'vprox clamp MSS vprox0' -j TCPMSS --clamp-mss-to-pmtu",
]
OTHERS_RULE = "-t filter -A INPUT -p tcp --dport 9 -m comment --comment 'not vprox ' -j DROP"


def lay_go_leftovers(host, iptables, client):
    """As a Go server of line A leaves things when it is stopped: returns the peer's tunnel."""
    (host.state / "run/vprox").mkdir(mode=0o700)
    private = host.ns.run("wg genkey").strip()
    path = host.state / "run/vprox/server-key"
    path.write_text(private + "\n")
    path.chmod(0o600)
    tunnel = host.tunnel("wireguard", client)
    host.ns.run(["bash", "-ec", f"""
        ip link add vprox0 type wireguard
        ip addr add 10.100.0.1/16 dev vprox0
        wg set vprox0 private-key <(echo {private}) listen-port 50227 \\
           peer {tunnel.public_key} allowed-ips 10.100.0.7/32
        ip link set vprox0 up"""])
    for rule in GO_RULES + [OTHERS_RULE]:
        host.ns.run(["bash", "-c", f"{iptables} {rule}"])
    return tunnel

"""EC2's metadata service (IMDSv2), as far as it tells of addresses, on a host's loopback."""

import re

from lab.web import WebServer, answer

ADDRESS, PORT = "169.254.169.254", 80
MACS = "/latest/meta-data/network/interfaces/macs/"


class Metadata:
    """interfaces: MAC to its addresses, or to None if it has no IPv4. token: the one that is good. fault: a function
    that is given a Request and returns an answer in place of the right one, or None."""

    def __init__(self, host, interfaces):
        self.interfaces = interfaces
        self.number = 0
        self.fault = lambda request: None
        host.ns.ip(f"addr add {ADDRESS}/32 dev lo")
        self.server = WebServer(host.ns, ADDRESS, PORT, self._answer)

    @property
    def token(self):
        return f"token-{self.number}=="

    @property
    def requests(self):
        return self.server.requests

    def expire(self):
        """The token that was given out is not good any more."""
        self.number += 1

    def close(self):
        self.server.close()

    def _answer(self, request):
        said = self.fault(request)
        return said if said is not None else self._tell(request)

    def _tell(self, request):
        if request.path == "/latest/api/token":
            life = request.headers.get("X-aws-ec2-metadata-token-ttl-seconds", "")
            return answer(200, self.token) if request.method == "PUT" and life.isdigit() else answer(400)
        if request.headers.get("X-aws-ec2-metadata-token") != self.token:
            return answer(401)
        if request.path == MACS:
            return answer(200, "\n".join(f"{mac}/" for mac in self.interfaces))
        found = re.fullmatch(MACS + r"([0-9a-f:]{17})/local-ipv4s", request.path)
        addresses = self.interfaces.get(found[1]) if found else None
        return answer(404) if addresses is None else answer(200, "\n".join(addresses))

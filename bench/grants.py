"""Measures grants against nginx, which answers the same requests with a word, the same kind of certificate and the same
version and suite of TLS: run it as root. Both run at the same time, each in a namespace of its own with as many processes as
there are processors, and are asked in turns, so that what disturbs the machine disturbs both alike. Neither resumes TLS
sessions: each request is a full handshake. Prints for each kind of tunnel grants a second, p50 and p99 of one, and the
processors' time of the server's processes for each: medians over the turns, and the median of vprox's rate against nginx's in
one turn."""

import argparse
import os
import subprocess
import time

from handshakes import Server
from shared.options import bench_parser
from shared.place import ADDRESS
from store import AT_A_TIME, KINDS, report, take_turns

# As src/gate/tls.c has them. Before 1.23.4 nginx ends at TLS 1.2 unless told otherwise, and that derives less keys.
SUITES = "TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_256_GCM_SHA384"

CONFIG = """
daemon off; user root; worker_processes {workers}; pid {folder}/pid; error_log stderr warn;
events {{ worker_connections 4096; }}
http {{
	access_log off; client_body_temp_path {folder}/body;
	ssl_certificate {folder}/cert.pem; ssl_certificate_key {folder}/key.pem;
	ssl_session_tickets off; ssl_session_cache off;
	ssl_protocols TLSv1.2 TLSv1.3; ssl_prefer_server_ciphers on; ssl_conf_command Ciphersuites {suites};
	server {{ listen {address}:443 ssl backlog=4096; default_type application/json; location / {{ return 200 '{{"Ok":true}}\\n'; }} }}
}}
"""


class Nginx(Server):
    """In place of vprox."""

    def start(self, program, gates, arguments):
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1",
             "-subj", f"/CN={ADDRESS}", "-keyout", self.folder / "key.pem", "-out", self.folder / "cert.pem", "-batch"],
            check=True, stderr=subprocess.DEVNULL)
        (self.folder / "conf").write_text(CONFIG.format(folder=self.folder, workers=gates, address=ADDRESS, suites=SUITES))
        self.process = subprocess.Popen(["ip", "netns", "exec", self.server_ns, program, "-p", self.folder, "-c", self.folder / "conf"],
                                        stderr=self.log)
        end = time.monotonic() + 30
        while not self.listens():
            assert time.monotonic() < end and self.process.poll() is None, (self.folder / "log").read_text()
            time.sleep(0.05)

    def listens(self):
        return ":443" in subprocess.run(["ip", "netns", "exec", self.server_ns, "ss", "-ltn"], stdout=subprocess.PIPE,
                                        text=True, check=True).stdout


def main():
    parser = bench_parser(__doc__)
    parser.add_argument("--build", default="build")
    parser.add_argument("--tsv", type=argparse.FileType("w"), help="write the figures there too")
    parser.add_argument("--nginx", default="/usr/sbin/nginx")
    parser.add_argument("--store", default="none", help="vprox's: none or local (%(default)s)")
    parser.add_argument("--turns", type=int, default=15)
    parser.add_argument("--count", type=int, default=400, help="grants a turn, 16 at a time")
    options = parser.parse_args()
    if options.quick:
        options.turns, options.count = 1, AT_A_TIME
    storm, servers = f"{options.build}/bench/storm", []
    try:
        servers.append(Nginx("nginx", options.nginx, os.cpu_count(), []))
        servers.append(Server("vprox", f"{options.build}/vprox", os.cpu_count(), [f"--store={options.store}"]))
        for kind in KINDS:
            together, alone = take_turns(servers, storm, options.turns, options.count, kind)
            report(f"{kind}, {AT_A_TIME} at a time", together, servers[0], options.tsv)
            report(f"{kind}, one at a time", alone, servers[0], options.tsv)
    finally:
        for server in servers:
            server.close()


if __name__ == "__main__":
    main()

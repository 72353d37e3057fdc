/* How a client's packets and routes are known again. */
#pragma once

enum {
	/* Firewall mark of the tunnel's own packets, and of requests to the server: --route does
	 * not apply to them. 'vprx' in ASCII: a number nobody is known to use. */
	CLIENT_FWMARK = 0x76707278,
	/* Bit of connections, and of packets of theirs, that came from outside: --route does not
	 * apply to the answers. None of the other mark's, nor of Docker's, Kubernetes' or
	 * Tailscale's. */
	CLIENT_OUTSIDE_BIT = 0x08000000,
	/* FRA_PROTOCOL of policy rules, RTPROT_... of routes: whose they are; nobody else's known.
	 */
	CLIENT_PROTOCOL = 119,
};

/* Judges tunnels through which nothing comes back. Runs in the client. */
#include "client/diagnosis.h"

#include <stdio.h>
#include <string.h>

#define NS_PER_S UINT64_C(1000000000)

enum { REJECT_AFTER_S = 180 };

static const char greeting[] = "vprox ok. received ";

static bool has_shaken_hands(const struct diagnosis *diagnosis)
{
	return diagnosis->handshake_ns != 0 && diagnosis->handshake_ns >= diagnosis->since_ns;
}

bool diagnosis_is_alive(const struct diagnosis *diagnosis, uint64_t now_ns)
{
	return !diagnosis->has_answered && has_shaken_hands(diagnosis) &&
	       now_ns >= diagnosis->handshake_ns &&
	       now_ns - diagnosis->handshake_ns < REJECT_AFTER_S * NS_PER_S;
}

bool diagnosis_wants_to_ask(const struct diagnosis *diagnosis)
{
	return diagnosis->kind == TUNNEL_IPIP && !diagnosis->has_answered && !diagnosis->was_asked;
}

struct ipv4 diagnosis_parse_seen(const char *line)
{
	char text[sizeof "255.255.255.255"];
	struct ipv4 seen = {0};
	size_t n;

	if (strncmp(line, greeting, sizeof greeting - 1) != 0)
		return seen;
	line += sizeof greeting - 1;
	n = strcspn(line, ":");
	if (n >= sizeof text)
		return seen;
	memcpy(text, line, n);
	text[n] = '\0';
	return ipv4_parse(text, &seen) == 0 ? seen : (struct ipv4){0};
}

static void write_ipip(const struct diagnosis *diagnosis, char *text, size_t size)
{
	const struct ipv4_text server = ipv4_text(diagnosis->tunnel.server),
			       local = ipv4_text(diagnosis->tunnel.local);

	if (diagnosis->seen.value != 0 && !ipv4_equal(diagnosis->seen, diagnosis->tunnel.local))
		snprintf(text, size,
			"no echo comes back through the tunnel: there is a NAT on the way, which "
			"IPIP does not get through (%s sees %s, not %s); use --tunnel=wireguard",
			server.s, ipv4_text(diagnosis->seen).s, local.s);
	else
		snprintf(text, size,
			"no echo comes back through the tunnel, nor anything else: is IP protocol "
			"4 "
			"open from %s to %s, and back?",
			local.s, server.s);
}

void diagnosis_write(const struct diagnosis *diagnosis, char *text, size_t size)
{
	if (diagnosis->has_answered || has_shaken_hands(diagnosis))
		snprintf(text, size, "no echo comes back through the tunnel");
	else if (diagnosis->kind == TUNNEL_IPIP)
		write_ipip(diagnosis, text, size);
	else
		snprintf(text, size,
			"no echo comes back through the tunnel, as there is no handshake: is UDP "
			"port %u of %s open, at the server and on the way?",
			diagnosis->tunnel.port, ipv4_text(diagnosis->tunnel.server).s);
}

/*
 * The requests that make a device a client's, and those that recognise one. Runs in the client; in
 * the server's broker only to tell a client's device from its own.
 */
#include "uapi_client/client_peer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/hex.h"
#include "uapi_client/ask.h"

enum { NS_PER_S = 1000000000 };

static const char get[] = "get=1\n\n";

static void write_wireguard(const struct client_peer *peer, bool alone, char *text, size_t size)
{
	struct hex_text private_key = hex_key(peer->private_key);

	snprintf(text, size,
		"set=1\nprivate_key=%s\nfwmark=%u\n%spublic_key=%s\nendpoint=%s:%u\n"
		"allowed_ip=0.0.0.0/0\npersistent_keepalive_interval=%u\n\n",
		private_key.s, peer->mark, alone ? "replace_peers=true\n" : "",
		hex_key(&peer->server_key).s, ipv4_text(peer->server).s, peer->port,
		peer->keepalive_s);
	explicit_bzero(&private_key, sizeof private_key);
}

static void write_ipip(const struct client_peer *peer, bool alone, char *text, size_t size)
{
	struct hex_text private_key = hex_key(peer->private_key);

	snprintf(text, size,
		"set=1\nprivate_key=%s\nfwmark=%u\nipip_local=%s\n%s"
		"ipip_peer=%s\nipip_inner=0.0.0.0\n\n",
		private_key.s, peer->mark, ipv4_text(peer->local).s,
		alone ? "replace_ipip_peers=true\n" : "", ipv4_text(peer->server).s);
	explicit_bzero(&private_key, sizeof private_key);
}

int client_peer_set(const char *name, const struct client_peer *peer, bool alone)
{
	char request[UAPI_CLIENT_REQUEST_SIZE];
	int error;

	if (peer->port != 0)
		write_wireguard(peer, alone, request, sizeof request);
	else
		write_ipip(peer, alone, request, sizeof request);
	error = uapi_client_ask(name, request, NULL);
	explicit_bzero(request, sizeof request);
	return error;
}

int client_peer_set_mtu(const char *name, uint32_t mtu)
{
	char request[UAPI_CLIENT_REQUEST_SIZE];

	snprintf(request, sizeof request, "set=1\nmtu=%u\n\n", mtu);
	return uapi_client_ask(name, request, NULL);
}

/* Calls back for each line of what the device tells of itself; a result that is not 0 ends it. */
static int for_each_line(const char *name,
	int (*line)(void *context, const char *key, const char *value), void *context)
{
	auto_free char *answer = NULL;
	char *rest, *key, *value;
	size_t length;
	int error = uapi_client_ask(name, get, &answer);

	if (error < 0)
		return error;
	rest = answer;
	length = strlen(answer);
	while (error == 0 && uapi_client_next_line(&rest, &key, &value))
		error = line(context, key, value);
	explicit_bzero(answer, length); /* its first line was a private key */
	return error;
}

/* A private key that is looked for, clamped as devices tell it, and whether it was found. */
struct key_match {
	struct key wanted;
	bool found;
};

static int match_private_key(void *context, const char *key, const char *value)
{
	struct key_match *match = context;
	struct key given;

	if (strcmp(key, "private_key") != 0)
		return 0;
	if (hex_parse_key(value, &given) == 0) {
		key_clamp(&given); /* a device of an earlier version tells it as it was set */
		match->found = key_equal(&given, &match->wanted);
	}
	key_wipe(&given);
	return 0;
}

int client_peer_check_private_key(const char *name, const struct key *private_key)
{
	struct key_match match = {.wanted = *private_key};
	int error;

	key_clamp(&match.wanted);
	error = for_each_line(name, match_private_key, &match);
	key_wipe(&match.wanted);
	return error < 0 ? error : match.found ? 0 : -ENOENT;
}

struct peer_count {
	struct hex_text wanted;
	unsigned int n_wanted, n_others;
};

static int count_peer(void *context, const char *key, const char *value)
{
	struct peer_count *count = context;

	if (strcmp(key, "public_key") == 0)
		(*(strcmp(value, count->wanted.s) == 0 ? &count->n_wanted : &count->n_others))++;
	return 0;
}

int client_peer_check_only_key(const char *name, const struct key *public_key)
{
	struct peer_count count = {.wanted = hex_key(public_key)};
	int error = for_each_line(name, count_peer, &count);

	return error < 0 ? error : count.n_wanted == 1 && count.n_others == 0 ? 0 : -ENOENT;
}

struct handshake_search {
	struct hex_text wanted;
	bool here; /* the lines are the wanted peer's */
	uint64_t ns;
};

static int read_handshake(void *context, const char *key, const char *value)
{
	struct handshake_search *search = context;

	if (strcmp(key, "public_key") == 0)
		search->here = strcmp(value, search->wanted.s) == 0;
	else if (search->here && strcmp(key, "last_handshake_time_sec") == 0)
		search->ns += strtoull(value, NULL, 10) * NS_PER_S;
	else if (search->here && strcmp(key, "last_handshake_time_nsec") == 0)
		search->ns += strtoull(value, NULL, 10);
	return 0;
}

int client_peer_get_handshake(const char *name, const struct key *public_key, uint64_t *ns)
{
	struct handshake_search search = {.wanted = hex_key(public_key)};
	int error = for_each_line(name, read_handshake, &search);

	*ns = search.ns;
	return error;
}

#include "uapi_client/device_process.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "plane/embedded/text.h"

static const char get[] = "get=1\n\n";

static int put_wireguard(const struct device_way_out *way, bool alone, char *text, size_t size)
{
	return snprintf(text, size,
		"set=1\nprivate_key=%s\nfwmark=%u\n%spublic_key=%s\nendpoint=%s:%u\n"
		"allowed_ip=0.0.0.0/0\npersistent_keepalive_interval=%u\n\n",
		embedded_hex(way->private_key).s, way->mark, alone ? "replace_peers=true\n" : "",
		embedded_hex(&way->server_key).s, ipv4_text(way->server).s, way->port,
		way->keepalive_s);
}

static int put_ipip(const struct device_way_out *way, bool alone, char *text, size_t size)
{
	return snprintf(text, size,
		"set=1\nprivate_key=%s\nfwmark=%u\nipip_local=%s\n%s"
		"ipip_peer=%s\nipip_inner=0.0.0.0\n\n",
		embedded_hex(way->private_key).s, way->mark, ipv4_text(way->local).s,
		alone ? "replace_ipip_peers=true\n" : "", ipv4_text(way->server).s);
}

int device_set_way_out(const char *name, const struct device_way_out *way, bool alone)
{
	char request[EMBEDDED_REQUEST_SIZE];
	int error;

	if (way->port != 0)
		put_wireguard(way, alone, request, sizeof request);
	else
		put_ipip(way, alone, request, sizeof request);
	error = embedded_ask(name, request, NULL);
	explicit_bzero(request, sizeof request);
	return error;
}

/* Calls back for each line of what the device says of itself; what it returns that is not 0 ends
 * it. */
static int look(const char *name, int (*line)(void *context, const char *key, const char *value),
	void *context)
{
	auto_free char *answer = NULL;
	char *rest, *key, *value;
	size_t length;
	int error = embedded_ask(name, get, &answer);

	if (error < 0)
		return error;
	rest = answer;
	length = strlen(answer);
	while (error == 0 && embedded_next_line(&rest, &key, &value))
		error = line(context, key, value);
	explicit_bzero(answer, length); /* its first line was a private key */
	return error;
}

enum { FOUND = 1 };

static int match_private_key(void *context, const char *key, const char *value)
{
	return strcmp(key, "private_key") == 0 && strcmp(value, context) == 0 ? FOUND : 0;
}

int device_check_private_key(const char *name, const struct key *private_key)
{
	struct embedded_hex wanted = embedded_hex(private_key);
	int result = look(name, match_private_key, wanted.s);

	explicit_bzero(&wanted, sizeof wanted);
	return result < 0 ? result : result == FOUND ? 0 : -ENOENT;
}

struct peers {
	struct embedded_hex wanted;
	unsigned int wanted_ones, others;
};

static int count_peer(void *context, const char *key, const char *value)
{
	struct peers *peers = context;

	if (strcmp(key, "public_key") == 0)
		(*(strcmp(value, peers->wanted.s) == 0 ? &peers->wanted_ones : &peers->others))++;
	return 0;
}

int device_check_only_peer(const char *name, const struct key *public_key)
{
	struct peers peers = {.wanted = embedded_hex(public_key)};
	int error = look(name, count_peer, &peers);

	return error < 0 ? error : peers.wanted_ones == 1 && peers.others == 0 ? 0 : -ENOENT;
}

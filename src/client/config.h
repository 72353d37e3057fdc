/* A client's configuration: filled in from the command line, checked there, never changed after. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/ipv4.h"
#include "base/log.h"
#include "base/resolvers.h"
#include "http/pin.h"
#include "client/tunnel.h"
#include "plane/plane.h"

enum {
	MAX_ROUTES = 64, /* --route, and --except */
	MAX_PINS = 64, /* --pin */
	REQUEST_TIME_MS = 10000, /* for one request, the server's name and TLS included */
	GOODBYE_TIME_MS = 5000, /* for the last one; a second signal does not wait for it */
	ONCE_TIME_MS = 60000, /* --timeout where --once is given and it is not */
};

#define KNOWN_SERVERS "/var/lib/vprox/known-servers"

/* What becomes of IPv6 where --route has all of IPv4. */
enum ipv6_choice {
	IPV6_BLOCK,
	IPV6_LEAVE,
};

/* How long what --route names is closed but through the tunnel. */
enum block_choice {
	BLOCK_OWN, /* from the client's start until somebody stops it */
	BLOCK_KEEP, /* also then */
	BLOCK_ONLY, /* the same, and there is no client */
	BLOCK_OPEN, /* it is opened, and there is no client */
};

struct command_netns;
struct token_source;

struct client_config {
	const char *server; /* a name, or an address */
	const char *interface;
	const char *password_file; /* a path, of a password or a token; NULL: none */
	const char *token_file; /* as it was given; NULL: it was not */
	bool shows_token; /* of its own, in place of the password */
	const char *oidc_github; /* the audience of the token to get, as it was given; NULL: none */
	struct token_source *token_source; /* asked before a request; NULL: there is none */
	/* The server's password of now, which lives until the next call. */
	const char *(*password)(void *context);
	void *password_context;
	enum tunnel_kind tunnel;
	enum plane_choice plane;

	struct prefix routes[MAX_ROUTES];
	size_t n_routes;
	struct prefix exceptions[MAX_ROUTES]; /* --except */
	size_t n_exceptions;
	bool no_default_exceptions;
	enum ipv6_choice ipv6;
	unsigned int mtu; /* of the interface; 0: by the way to the server */
	bool allow_inbound; /* not only answers come out of the tunnel */
	bool no_block;
	enum block_choice block;

	/* Who the server is. If none of the first three is given, whoever it was the first time. */
	struct pin pins[MAX_PINS];
	size_t n_pins;
	const char *ca_file; /* a path */
	bool insecure;
	const char *known_servers; /* a path */

	/* vprox exec: the interface goes there, and the command starts when the tunnel is up; NULL:
	 * there is none, and it is the host's. */
	struct command_netns *netns;
	int lock; /* on the interface's name; -1: to be taken */
	struct resolvers dns; /* --dns */

	uint32_t echo_mark; /* of the health check's echoes, for firewalls; 0: none */
	bool once; /* end when the tunnel is up, and leave it */
	uint64_t timeout_ms; /* for the first tunnel; 0: any time */
	bool json; /* print what was assigned */
	enum log_level log_level;
	enum log_format log_format;
};

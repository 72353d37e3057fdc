/* What the server was told to do: filled in from the command line, and checked there. While it runs
 * only reload.c changes it. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

#include "base/ipv4.h"
#include "base/log.h"
#include "base/resolvers.h"
#include "base/url.h"
#include "plane/plane.h"
#include "host/egress_policy.h"
#include "ipc/bearer.h"
#include "ipc/cloud.h"
#include "ipc/issuer.h"
#include "ipc/storing.h"
#include "server/peers.h"

struct token_set;

enum {
	CONTROL_PORT = 443, /* TCP, the control plane */
	WIREGUARD_PORT = 50227, /* UDP, of endpoint 0 */
	MAX_BINDS = 1024, /* --ip; GATE_MAX_ENDPOINTS */
	MAX_FOLLOWED = 64, /* --follow */
	SHORTEST_BLOCK = 30, /* the smallest block that holds a peer */
	DRAIN_TIME_MS = 10000, /* for requests in flight when the server is told to stop */
};

/* --store */
enum store_choice {
	STORE_LOCAL,
	STORE_NONE,
	STORE_ETCD,
};

struct server_config {
	struct ipv4 binds[MAX_BINDS];
	size_t n_binds;
	struct prefix followed[MAX_FOLLOWED]; /* --follow */
	size_t n_followed;
	struct prefix whole_block; /* --wg-block */
	uint8_t block_length; /* --wg-block-per-ip */
	bool is_block_cut; /* that was given */
	bool is_reloaded; /* there is a --config, so that more addresses may come */
	const char *region; /* --region; NULL: none */
	struct prefix internal_network; /* --internal-network-cidr; /0: not given */
	bool is_cloud; /* --cloud: its addresses are served too */
	const char *cloud_interface; /* --cloud-interface; NULL: of all */
	struct url backend; /* BACKEND_ENDPOINT; without a host: none */
	char backend_token[CLOUD_SECRET_SIZE]; /* BACKEND_ADMIN_TOKEN */
	struct issuer issuers[ISSUERS_MAX]; /* --oidc, or the one of oidc-modal */
	unsigned int n_issuers;
	bool is_oidc_modal; /* no password is good */
	bool lets_any_workspace_in; /* and it was said so */
	const char *issuer_authorities; /* --oidc-ca, a path; NULL: the system's */
	const char *password_file; /* a path; NULL: none */
	struct bearer bearer;
	bool no_password; /* nobody is let in by one */
	const char *tokens_file; /* a path; NULL: none */
	const struct token_set *tokens; /* what is in it, who has read it owns it; NULL: none */
	struct resolvers announced; /* --announce-dns */

	enum plane_choice plane;
	enum ipip_mode ipip_mode;
	const char *device_unit; /* systemd's, for the embedded plane's devices; NULL: none */
	bool allow_peer_to_peer;
	struct egress_policy egress;
	bool keep_on_exit;
	enum store_choice store;
	struct store_etcd etcd; /* members and fleet; the rest is below */
	const char *fleet_key, *etcd_ca, *etcd_certificate, *etcd_key, *etcd_user;
	const char *etcd_password; /* a path, as those */
	uint64_t etcd_history_ms; /* that is to be kept; 0: others see to it */
	uint64_t store_wait_ms; /* an answer is held no longer for the store */
	struct idle_rule idle;
	uint64_t reap_interval_ms;
	unsigned int max_peers_per_source; /* of an endpoint; 0: half of its pool */

	const char *tls_certificate; /* a path; NULL: our own, made if absent */
	const char *tls_key;
	const char *user; /* the gates'; NULL: as user_find() */
	unsigned int n_gates;
	unsigned int max_connections; /* of all gates together */
	unsigned int max_connections_per_source; /* of all gates together */
	const char *metrics; /* address and port to serve metrics at, as written; NULL: none */
	struct sockaddr_storage metrics_address;
	int metrics_address_length;
	const char *audit; /* a path, or "journal"; NULL: there is none */
	const char *flow_log; /* a path; NULL: there is none */
	enum log_level log_level;
	enum log_format log_format;
};

/* How many endpoints there can be at a time: as many as --ip, or where others may come as many as
 * there are blocks for. */
size_t server_config_max_endpoints(const struct server_config *config);

/* Whether the address is one of --ip. */
bool server_config_has_bind(const struct server_config *config, struct ipv4 address);

/* Whether the address is one of --ip, or comes and goes. */
bool server_config_names(const struct server_config *config, struct ipv4 address);

/* Whether --follow is about this address, and it is none of --ip. */
bool server_config_follows(const struct server_config *config, struct ipv4 address);

/* Whether the address may come and go while the server runs: by --follow, or as the cloud's. */
bool server_config_expects(const struct server_config *config, struct ipv4 address);
/* Whether any may. */
bool server_config_expects_any(const struct server_config *config);

/* The network behind the host that tunnels reach; /0: there is none. */
struct prefix server_config_internal_network(const struct server_config *config);

/* `vprox server`: its command line. The process that is started is the broker; what it does begins
 * in server/broker.c. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/util.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "cmd/command.h"
#include "cmd/password.h"
#include "cmd/server_addresses.h"
#include "cmd/server_cloud.h"
#include "cmd/server_egress.h"
#include "cmd/server_oidc.h"
#include "cmd/server_reading.h"
#include "cmd/server_store.h"
#include "cmd/usage.h"
#include "cmd/values.h"
#include "server/broker.h"
#include "server/config.h"
#include "server/config_source.h"

enum {
	MOST_CONNECTIONS = 1000 * 1000,
	MOST_FLOWS = 1000 * 1000,
	MOST_GATES = 256,
	MOST_PEERS = 1 << 24,
	LONGEST_UNIT = 200, /* with instance and suffix 255 at the most: systemd.unit(5) */
};

/* Nothing but what systemd.unit(5) allows in a name, and no other instance. */
static int parse_device_unit(const struct option_use *use, void *field)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyz"
				      "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:-_.\\";
	const char *text = use->text;

	if (*text == '\0' || *text == '-' || text[strspn(text, allowed)] != '\0' ||
		strlen(text) > LONGEST_UNIT)
		return option_error(use, "not the name of a template unit, without its @.service");
	*(const char **)field = text;
	return 0;
}

static int parse_on_exit(const struct option_use *use, void *field)
{
	unsigned int choice;
	int error = option_choice(use, &choice);

	if (error == 0)
		*(bool *)field = choice == 1;
	return error;
}

/* Where it is no loopback address, that is what an operator wants who has a network for it. */
static int parse_metrics(const struct option_use *use, void *field)
{
	struct server_config *config = &((struct server_command *)field)->config;
	struct sockaddr *address = (struct sockaddr *)&config->metrics_address;

	config->metrics_address_length = sizeof config->metrics_address;
	if (evutil_parse_sockaddr_port(use->text, address, &config->metrics_address_length) < 0 ||
		!strrchr(use->text, ':') || use->text[strlen(use->text) - 1] == ']')
		return option_error(use, "not an address and a port, such as 127.0.0.1:9750 or "
					 "[::1]:9750");
	config->metrics = use->text;
	return 0;
}

/* A path is absolute: where the server was started from means nothing when it is opened again. */
static int parse_audit(const struct option_use *use, void *field)
{
	if (*use->text != '/' && strcmp(use->text, "journal") != 0)
		return option_error(use, "neither an absolute path nor \"journal\"");
	*(const char **)field = use->text;
	return 0;
}

static int parse_flow_log(const struct option_use *use, void *field)
{
	if (*use->text != '/')
		return option_error(use, "not an absolute path");
	*(const char **)field = use->text;
	return 0;
}

static int ignore(const struct option_use *use, void *field)
{
	(void)use;
	(void)field;
	return 0;
}

/* What it holds is among the words already. */
static int name_config_file(const struct option_use *use, void *field)
{
	(void)field;
	if (!use->words->file.path)
		return option_error(use, "write it out: --config");
	return strcmp(use->text, use->words->file.path) == 0
		       ? 0
		       : option_error(use, "there is another one, %s", use->words->file.path);
}

static const struct command_option options[] = {
	{
		.group = "Addresses",
		.name = "ip",
		.is_live = true,
		.argument = "ADDRESS",
		.is_repeatable = true,
		.help = "a public IPv4 address to serve; added to this host if it lacks it",
		.parse = server_add_ip,
	},
	{
		.name = "follow",
		.is_live = true,
		.argument = "CIDR",
		.is_repeatable = true,
		.help = "serve each address inside it while this host has it; none is added",
		.parse = server_add_followed,
	},
	{
		.name = "cloud",
		.argument = "aws",
		.otherwise = "none is asked",
		.help = "serve each address that EC2 says this instance has",
		.parse = server_parse_cloud,
	},
	{
		.name = "cloud-interface",
		.argument = "INTERFACE",
		.otherwise = "all",
		.help = "of these, serve those of this network interface",
		.only_with = "--cloud",
		OPTION_TEXT(struct server_config, cloud_interface),
	},
	{
		.name = "wg-block",
		.argument = "CIDR",
		.help = "the block that clients get their inner addresses from",
		.parse = server_parse_block,
	},
	{
		.name = "wg-block-per-ip",
		.argument = "/N",
		.otherwise = "the whole",
		.help = "cut the block into one of this length for each address",
		.parse = server_parse_block_length,
	},
	{
		.group = "Tunnels",
		.name = "plane",
		.argument = "auto|kernel|embedded",
		.initial = "auto",
		.help = "what carries the traffic",
		OPTION_CHOICE(struct server_config, plane),
	},
	{
		.name = "ipip-mode",
		.argument = "interface|shared",
		.initial = "interface",
		.help = "whether each IPIP client has an interface in the kernel, or all share one",
		OPTION_CHOICE(struct server_config, ipip_mode),
	},
	{
		.name = "device-unit",
		.argument = "NAME",
		.otherwise = "the server starts them",
		/* The service gives it whatever --plane is. */
		.help = "have systemd start the embedded plane's devices, as NAME@vprox0.service "
			"and so on",
		OPTION_FIELD(struct server_config, device_unit, const char *, parse_device_unit),
	},
	{
		.name = "idle-timeout",
		.is_live = true,
		.argument = "TIME",
		.initial = "5m",
		.help = "remove a client that has been silent for this long",
		OPTION_TIME(struct server_config, idle.idle_timeout_ms),
	},
	{
		.name = "connect-grace",
		.is_live = true,
		.argument = "TIME",
		.initial = "1m",
		.help = "but keep a WireGuard client for this long after its last request",
		OPTION_TIME(struct server_config, idle.connect_grace_ms),
	},
	{
		.name = "reap-interval",
		.is_live = true,
		.argument = "TIME",
		.initial = "5s",
		.help = "how often to look for silent clients",
		OPTION_TIME(struct server_config, reap_interval_ms),
	},
	{
		.name = "max-peers-per-source",
		.is_live = true,
		.argument = "N",
		.otherwise = "half of the addresses",
		.help = "new clients from one address, once 80% of the addresses are used",
		OPTION_COUNT(struct server_config, max_peers_per_source),
		.min = 1,
		.max = MOST_PEERS,
	},
	{
		.name = "on-exit",
		.is_live = true,
		.argument = "clean|keep",
		.initial = "clean",
		.help = "when stopped, remove all tunnels, or leave them working",
		OPTION_FIELD(struct server_config, keep_on_exit, bool, parse_on_exit),
	},
	{
		.name = "store",
		.argument = "local|none|etcd://HOST:PORT/FLEET",
		.initial = "local",
		.help = "where it is kept who has which address, for when this host has failed",
		.parse = server_parse_store,
	},
	{
		.name = "store-wait",
		.argument = "TIME",
		.initial = "200ms",
		.help = "a client waits no longer than this for it to be stored",
		.not_with = "--store=none",
		OPTION_TIME(struct server_config, store_wait_ms),
	},
	{
		.name = "fleet-key",
		.argument = "FILE",
		.otherwise = "needed with etcd",
		.help = "the key that hosts with a common store have in common",
		.only_with = "--store=etcd://*",
		OPTION_PATH(struct server_config, fleet_key),
	},
	{
		.name = "etcd-ca",
		.argument = "FILE",
		.otherwise = "etcd is spoken to without TLS",
		.help = "the certificates that etcd's are issued by, in PEM",
		.only_with = "--store=etcd://*",
		OPTION_PATH(struct server_config, etcd_ca),
	},
	{
		.name = "etcd-cert",
		.argument = "FILE",
		.otherwise = "none is shown",
		.help = "the certificate that this host shows to etcd, in PEM",
		.only_with = "--store=etcd://*",
		OPTION_PATH(struct server_config, etcd_certificate),
	},
	{
		.name = "etcd-key",
		.argument = "FILE",
		.otherwise = "none is shown",
		.help = "its private key, in PEM",
		.only_with = "--store=etcd://*",
		OPTION_PATH(struct server_config, etcd_key),
	},
	{
		.name = "etcd-user",
		.argument = "NAME",
		.otherwise = "etcd asks for none",
		.help = "who this host is to etcd",
		.only_with = "--store=etcd://*",
		OPTION_TEXT(struct server_config, etcd_user),
	},
	{
		.name = "etcd-password-file",
		.argument = "FILE",
		.otherwise = "etcd asks for none",
		.help = "a file with its password alone",
		.only_with = "--store=etcd://*",
		OPTION_PATH(struct server_config, etcd_password),
	},
	{
		.name = "etcd-history",
		.argument = "TIME",
		.initial = "1h",
		.min = 1000,
		.max = 365UL * 24 * 60 * 60 * 1000,
		.help = "have etcd forget what was replaced longer ago; none: others see to it",
		.only_with = "--store=etcd://*",
		OPTION_FIELD(struct server_config, etcd_history_ms, uint64_t, server_parse_history),
	},
	{
		.name = "allow-peer-to-peer",
		.help = "let clients reach each other",
		OPTION_FLAG(struct server_config, allow_peer_to_peer),
	},
	{
		.name = "announce-dns",
		.argument = "ADDRESS",
		.is_repeatable = true,
		.help = "a name server that clients are to ask through the tunnel",
		OPTION_RESOLVER(struct server_config, announced),
	},
	{
		.group = "What clients reach",
		.name = "allow-to",
		.is_live = true,
		.argument = "CIDR",
		.is_repeatable = true,
		.help = "let clients reach this network, which is closed by default",
		OPTION_FIELD(struct server_config, egress, struct egress_policy, server_allow_to),
	},
	{
		.name = "deny-to",
		.is_live = true,
		.argument = "CIDR",
		.is_repeatable = true,
		.help = "keep clients from this network too",
		OPTION_FIELD(struct server_config, egress, struct egress_policy, server_deny_to),
	},
	{
		.name = "allow-to-host",
		.is_live = true,
		.argument = "PORT",
		.is_repeatable = true,
		.help = "let clients reach this TCP and UDP port of the host itself",
		OPTION_FIELD(
			struct server_config, egress, struct egress_policy, server_allow_to_host),
	},
	{
		.name = "allow-protocol",
		.is_live = true,
		.argument = "NUMBER",
		.is_repeatable = true,
		.help = "carry this IP protocol besides TCP, UDP, SCTP and ICMP's echo",
		OPTION_FIELD(
			struct server_config, egress, struct egress_policy, server_allow_protocol),
	},
	{
		.name = "allow-link-local",
		.is_live = true,
		.help = "let clients reach 169.254.0.0/16, where clouds keep a host's credentials",
		OPTION_FLAG(struct server_config, egress.allow_link_local),
	},
	{
		.name = "max-flows-per-peer",
		.is_live = true,
		.argument = "N",
		.initial = "2048",
		.help = "connections of one client at a time, of any protocol",
		OPTION_COUNT(struct server_config, egress.max_flows_per_peer),
		.min = 1,
		.max = MOST_FLOWS,
	},
	{
		.group = "Control plane",
		.name = "tls-cert",
		.argument = "FILE",
		.otherwise = "/var/lib/vprox/tls-cert.pem, made at the first start",
		.help = "the certificate chain, in PEM",
		OPTION_PATH(struct server_config, tls_certificate),
	},
	{
		.name = "tls-key",
		.argument = "FILE",
		.otherwise = "/var/lib/vprox/tls-key.pem, made at the first start",
		.help = "its private key, in PEM",
		OPTION_PATH(struct server_config, tls_key),
	},
	{
		.name = "password-file",
		.is_live = true,
		.argument = "FILE",
		.otherwise = "that of VPROX_PASSWORD",
		.help = "a file with the password, and on a second line the one before it",
		.not_with = "--no-password",
		OPTION_PATH(struct server_config, password_file),
	},
	{
		.name = "tokens",
		.is_live = true,
		.argument = "FILE",
		.otherwise = "there is the password alone",
		.help = "a file of clients with a token of their own, a line each: see `vprox "
			"token`",
		OPTION_PATH(struct server_config, tokens_file),
	},
	{
		.name = "no-password",
		.is_live = true,
		.help = "let nobody in by the password, but by a token alone",
		OPTION_FLAG(struct server_config, no_password),
	},
	{
		.name = "oidc",
		.argument = "ISSUER,audience=A,require=CLAIM:GLOB",
		.is_repeatable = true,
		.otherwise = "no issuer's tokens are good",
		.help = "let clients in with a token of this issuer, whose claims match; with "
			"several issuers each needs as=LABEL",
		.parse = server_add_issuer,
	},
	{
		.name = "oidc-ca",
		.argument = "FILE",
		.otherwise = "those of the system",
		.help = "the certificates that issuers' are issued by, in PEM",
		OPTION_PATH(struct server_config, issuer_authorities),
	},
	{
		.name = "config",
		.argument = "FILE",
		.help = "a file with more options, NAME=VALUE a line, and VPROX_PASSWORD; read "
			"again "
			"with SIGHUP",
		.parse = name_config_file,
	},
	{
		.name = "gates",
		.argument = "N",
		.otherwise = "one a core",
		.help = "processes that answer requests",
		OPTION_COUNT(struct server_config, n_gates),
		.min = 1,
		.max = MOST_GATES,
	},
	{
		.name = "user",
		.argument = "USER",
		.otherwise = "vprox, or an ID that is nobody's",
		.help = "the user that these processes run as",
		OPTION_TEXT(struct server_config, user),
	},
	{
		.name = "max-connections",
		.argument = "N",
		.initial = "8192",
		.help = "connections at a time, in all",
		OPTION_COUNT(struct server_config, max_connections),
		.min = 1,
		.max = MOST_CONNECTIONS,
	},
	{
		.name = "max-connections-per-source",
		.is_live = true,
		.argument = "N",
		.initial = "256",
		.help = "and from one address",
		OPTION_COUNT(struct server_config, max_connections_per_source),
		.min = 1,
		.max = MOST_CONNECTIONS,
	},
	{
		.name = "metrics",
		.argument = "ADDRESS:PORT",
		.otherwise = "not served",
		.help = "serve metrics for Prometheus here: http://ADDRESS:PORT/metrics",
		.parse = parse_metrics,
	},
	{
		.group = "Log",
		.name = "log-level",
		.is_live = true,
		.argument = "error|warning|info|debug",
		.initial = "info",
		.help = "what to log, to standard error",
		OPTION_CHOICE(struct server_config, log_level),
	},
	{
		.name = "log-format",
		.is_live = true,
		.argument = "text|json",
		.initial = "text",
		.help = "how to write it",
		OPTION_CHOICE(struct server_config, log_format),
	},
	{
		.name = "audit",
		.argument = "FILE|journal",
		.otherwise = "none",
		.help = "write down who gets and loses a tunnel, and who is refused, as JSON",
		OPTION_FIELD(struct server_config, audit, const char *, parse_audit),
	},
	{
		.name = "flow-log",
		.argument = "FILE",
		.otherwise = "none",
		.help = "write down which connections of clients have ended, as JSON",
		OPTION_FIELD(struct server_config, flow_log, const char *, parse_flow_log),
	},
	{
		/* Whose units have them whatever the rest is: what has no effect is warned of. */
		.group = "Known from earlier programs of this name",
		.name = "takeover",
		.help = "does nothing: the server always takes over what it finds",
		.parse = ignore,
	},
	{
		.name = "region",
		.argument = "NAME",
		.help = "us-west: let clients reach an internal network; others: no effect",
		.parse = server_parse_region,
	},
	{
		.name = "internal-network-cidr",
		.argument = "CIDR",
		.otherwise = "10.0.0.0/24",
		.help = "this one, with --region us-west",
		.parse = server_parse_internal_network,
	},
	{0},
};

static unsigned int one_gate_a_core(void)
{
	long n_cores = sysconf(_SC_NPROCESSORS_ONLN);

	return n_cores < 1 ? 1 : n_cores > MOST_GATES ? MOST_GATES : (unsigned int)n_cores;
}

static int run_server(void *configuration, const char *operand)
{
	struct server_command *command = configuration;
	auto_free char *credential = passwords_find_credential();
	struct server_source source = {.credential = credential};
	const struct config_source config_source = {server_read_again, server_settle, &source};
	int status = server_read(command, &source);

	(void)operand;
	if (command->config.n_gates == 0)
		command->config.n_gates = one_gate_a_core();
	if (status == STATUS_OK && broker_run(&command->config, &config_source) < 0)
		status = STATUS_FAILED;
	server_source_free(&source);
	return status;
}

const struct command command_server = {
	.name = "server",
	.summary = "give tunnels to clients, and let them out with this host's addresses",
	.synopsis =
		"VPROX_PASSWORD=... vprox server {--ip ADDRESS | --follow CIDR | --cloud aws}... "
		"--wg-block CIDR [OPTION...]",
	.description =
		"Gives WireGuard and IPIP tunnels to clients that ask for them over HTTPS on "
		"port 443 of each ADDRESS, and lets their traffic out with that address.",
	.options = options,
	.closing = "A TIME is a number with ms, s, m or h behind it; without, it is in seconds.\n"
		   "\n"
		   "The password that clients must know is read from the file, or from the "
		   "environment: VPROX_PASSWORD, and VPROX_PASSWORD_PREVIOUS for the one before "
		   "it, which is good too.",
	.options_words_offset = offsetof(struct server_command, words),
	.configuration_size = sizeof(struct server_command),
	.run = run_server,
};

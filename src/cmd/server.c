#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/version.h"
#include "cmd/command.h"
#include "cmd/options.h"
#include "cmd/password.h"
#include "server/broker.h"
#include "server/config.h"

enum {
	DEFAULT_IDLE_TIMEOUT_MS = 5 * 60 * 1000,
	DEFAULT_CONNECT_GRACE_MS = 60 * 1000,
	DEFAULT_REAP_INTERVAL_MS = 5 * 1000,
	DEFAULT_MAX_CONNECTIONS = 8192,
	DEFAULT_MAX_CONNECTIONS_PER_SOURCE = 256,
	MOST_CONNECTIONS = 1000 * 1000,
	MOST_GATES = 256,
	LONGEST_UNIT = 200, /* with instance and suffix 255 at the most: systemd.unit(5) */
};

static const char usage[] =
	"Usage: VPROX_PASSWORD=... vprox server --ip ADDRESS [--ip ADDRESS...] --wg-block CIDR "
	"[OPTION...]\n"
	"\n"
	"Gives WireGuard and IPIP tunnels to clients that ask for them over HTTPS on port 443 of "
	"each\n"
	"ADDRESS, and lets their traffic out with that address.\n"
	"\n"
	"Addresses:\n"
	"  --ip ADDRESS                 a public IPv4 address to serve; added to this host if it "
	"lacks it\n"
	"  --wg-block CIDR              the block that clients get their inner addresses from\n"
	"  --wg-block-per-ip /N         cut the block into one of this length for each --ip "
	"(default: the whole)\n"
	"\n"
	"Tunnels:\n"
	"  --plane auto|kernel|embedded what carries the traffic (default: auto)\n"
	"  --device-unit NAME           have systemd start the embedded plane's devices, as "
	"NAME@vprox0.service\n"
	"                               and so on (default: the server starts them)\n"
	"  --idle-timeout TIME          remove a client that is silent for so long (default: 5m)\n"
	"  --connect-grace TIME         but leave a WireGuard client so long after its request "
	"(default: 1m)\n"
	"  --reap-interval TIME         how often to look for such clients (default: 5s)\n"
	"  --on-exit clean|keep         when stopped, remove all tunnels, or leave them working "
	"(default: clean)\n"
	"  --allow-peer-to-peer         let clients reach each other\n"
	"  --allow-link-local           let clients reach 169.254.0.0/16, where clouds keep their "
	"credentials\n"
	"\n"
	"Control plane:\n"
	"  --tls-cert FILE, --tls-key FILE\n"
	"                               certificate chain and private key in PEM (default: made at "
	"first start,\n"
	"                               kept as /var/lib/vprox/tls-cert.pem and tls-key.pem)\n"
	"  --gates N                    processes that answer requests (default: one a core)\n"
	"  --user NAME                  whom these run as (default: vprox, or nobody where there "
	"is none)\n"
	"  --max-connections N          connections at a time, in all (default: 8192)\n"
	"  --max-connections-per-source N\n"
	"                               and from one address, for each gate (default: 256)\n"
	"\n"
	"Others:\n"
	"  --log-level LEVEL            error, warning, info or debug (default: info)\n"
	"  --log-format text|json       (default: text)\n"
	"  --help, --version\n"
	"\n"
	"For compatibility: --takeover changes nothing, it is what happens anyway. --region, "
	"--cloud and\n"
	"--internal-network-cidr are known, but not built yet.\n"
	"\n"
	"A TIME is a number with ms, s, m or h behind it; without, it is in seconds.\n"
	"The password that clients must know is taken from the environment, VPROX_PASSWORD.\n";

enum option_id {
	OPTION_IP = 256,
	OPTION_BLOCK,
	OPTION_BLOCK_PER_IP,
	OPTION_PLANE,
	OPTION_DEVICE_UNIT,
	OPTION_IDLE_TIMEOUT,
	OPTION_CONNECT_GRACE,
	OPTION_REAP_INTERVAL,
	OPTION_ON_EXIT,
	OPTION_PEER_TO_PEER,
	OPTION_LINK_LOCAL,
	OPTION_TLS_CERT,
	OPTION_TLS_KEY,
	OPTION_USER,
	OPTION_GATES,
	OPTION_MAX_CONNECTIONS,
	OPTION_MAX_PER_SOURCE,
	OPTION_LOG_LEVEL,
	OPTION_LOG_FORMAT,
	OPTION_TAKEOVER,
	OPTION_CLOUD,
	OPTION_REGION,
	OPTION_INTERNAL_NETWORK,
	OPTION_HELP,
	OPTION_VERSION,
};

static const struct option options[] = {
	{"ip", required_argument, NULL, OPTION_IP},
	{"wg-block", required_argument, NULL, OPTION_BLOCK},
	{"wg-block-per-ip", required_argument, NULL, OPTION_BLOCK_PER_IP},
	{"plane", required_argument, NULL, OPTION_PLANE},
	{"device-unit", required_argument, NULL, OPTION_DEVICE_UNIT},
	{"idle-timeout", required_argument, NULL, OPTION_IDLE_TIMEOUT},
	{"connect-grace", required_argument, NULL, OPTION_CONNECT_GRACE},
	{"reap-interval", required_argument, NULL, OPTION_REAP_INTERVAL},
	{"on-exit", required_argument, NULL, OPTION_ON_EXIT},
	{"allow-peer-to-peer", no_argument, NULL, OPTION_PEER_TO_PEER},
	{"allow-link-local", no_argument, NULL, OPTION_LINK_LOCAL},
	{"tls-cert", required_argument, NULL, OPTION_TLS_CERT},
	{"tls-key", required_argument, NULL, OPTION_TLS_KEY},
	{"user", required_argument, NULL, OPTION_USER},
	{"gates", required_argument, NULL, OPTION_GATES},
	{"max-connections", required_argument, NULL, OPTION_MAX_CONNECTIONS},
	{"max-connections-per-source", required_argument, NULL, OPTION_MAX_PER_SOURCE},
	{"log-level", required_argument, NULL, OPTION_LOG_LEVEL},
	{"log-format", required_argument, NULL, OPTION_LOG_FORMAT},
	{"takeover", no_argument, NULL, OPTION_TAKEOVER},
	{"cloud", required_argument, NULL, OPTION_CLOUD},
	{"region", required_argument, NULL, OPTION_REGION},
	{"internal-network-cidr", required_argument, NULL, OPTION_INTERNAL_NETWORK},
	{"help", no_argument, NULL, OPTION_HELP},
	{"version", no_argument, NULL, OPTION_VERSION},
	{0},
};

/* Says what is wrong with the command line. Always -EINVAL. */
__attribute__((format(printf, 1, 2))) static int complain(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fprintf(stderr, "vprox server: ");
	vfprintf(stderr, format, args);
	fprintf(stderr, "\nSee `vprox server --help`.\n");
	va_end(args);
	return -EINVAL;
}

static int add_bind(struct server_config *config, const char *text)
{
	struct ipv4 address;
	struct prefix unusable[3];

	prefix_parse("0.0.0.0/8", &unusable[0]);
	prefix_parse("127.0.0.0/8", &unusable[1]);
	prefix_parse("224.0.0.0/3", &unusable[2]);
	if (ipv4_parse(text, &address) < 0)
		return complain("--ip %s: not an IPv4 address", text);
	for (size_t i = 0; i < sizeof unusable / sizeof *unusable; i++)
		if (prefix_contains(unusable[i], address))
			return complain("--ip %s: no address that clients could reach", text);
	for (size_t i = 0; i < config->n_binds; i++)
		if (ipv4_equal(config->binds[i], address))
			return complain("--ip %s: given twice", text);
	if (config->n_binds == MAX_BINDS)
		return complain(
			"--ip %s: there are %d already, more are not possible", text, MAX_BINDS);
	config->binds[config->n_binds++] = address;
	return 0;
}

static int set_block(struct server_config *config, const char *text)
{
	static const char *const unusable[] = {
		"0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4"};
	struct prefix other;

	if (prefix_parse(text, &config->whole_block) < 0)
		return complain("--wg-block %s: not an IPv4 block such as 10.100.0.0/16", text);
	if (config->whole_block.length > SHORTEST_BLOCK)
		return complain("--wg-block %s: has no room for a client, /%d at the most", text,
			SHORTEST_BLOCK);
	for (size_t i = 0; i < sizeof unusable / sizeof *unusable; i++) {
		prefix_parse(unusable[i], &other);
		if (prefix_overlaps(config->whole_block, other))
			return complain("--wg-block %s: overlaps with %s, which cannot be routed",
				text, unusable[i]);
	}
	return 0;
}

static int set_block_per_ip(struct server_config *config, const char *text)
{
	unsigned int length;

	if (text[0] != '/' || option_parse_number(text + 1, 1, SHORTEST_BLOCK, &length) < 0)
		return complain("--wg-block-per-ip %s: must be a slash and a length up to %d, such "
				"as /24",
			text, SHORTEST_BLOCK);
	config->block_length = (uint8_t)length;
	return 0;
}

static int set_duration(const char *option, const char *text, uint64_t *milliseconds)
{
	if (option_parse_duration(text, milliseconds) < 0)
		return complain("--%s %s: not a time such as 90s, 5m or 500ms", option, text);
	return 0;
}

static int set_number(const char *option, const char *text, unsigned long max, unsigned int *number)
{
	if (option_parse_number(text, 1, max, number) < 0)
		return complain("--%s %s: not a number from 1 to %lu", option, text, max);
	return 0;
}

static int set_plane(struct server_config *config, const char *text)
{
	if (option_parse_plane(text, &config->plane) < 0)
		return complain("--plane %s: must be auto, kernel or embedded", text);
	return 0;
}

/* Nothing but what systemd.unit(5) allows in a name, and no other instance. */
static int set_device_unit(struct server_config *config, const char *text)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyz"
				      "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:-_.\\";

	if (*text == '\0' || *text == '-' || text[strspn(text, allowed)] != '\0' ||
		strlen(text) > LONGEST_UNIT)
		return complain("--device-unit %s: not the name of a template unit, without its "
				"@.service",
			text);
	config->device_unit = text;
	return 0;
}

static int set_on_exit(struct server_config *config, const char *text)
{
	config->keep_on_exit = strcmp(text, "keep") == 0;
	if (!config->keep_on_exit && strcmp(text, "clean") != 0)
		return complain("--on-exit %s: must be clean or keep", text);
	return 0;
}

static int note_region(const char *text)
{
	if (strcmp(text, "us-west") == 0)
		return complain("--region us-west: implies an internal network, which is not built "
				"yet; leave it out to serve without one");
	fprintf(stderr, "vprox server: --region %s: has no effect\n", text);
	return 0;
}

static int set_option(struct server_config *config, int option, const char *text)
{
	switch (option) {
	case OPTION_IP:
		return add_bind(config, text);
	case OPTION_BLOCK:
		return set_block(config, text);
	case OPTION_BLOCK_PER_IP:
		return set_block_per_ip(config, text);
	case OPTION_PLANE:
		return set_plane(config, text);
	case OPTION_DEVICE_UNIT:
		return set_device_unit(config, text);
	case OPTION_IDLE_TIMEOUT:
		return set_duration("idle-timeout", text, &config->idle.idle_timeout_ms);
	case OPTION_CONNECT_GRACE:
		return set_duration("connect-grace", text, &config->idle.connect_grace_ms);
	case OPTION_REAP_INTERVAL:
		return set_duration("reap-interval", text, &config->reap_interval_ms);
	case OPTION_ON_EXIT:
		return set_on_exit(config, text);
	case OPTION_PEER_TO_PEER:
		config->allow_peer_to_peer = true;
		return 0;
	case OPTION_LINK_LOCAL:
		config->allow_link_local = true;
		return 0;
	case OPTION_TLS_CERT:
		config->tls_certificate = text;
		return 0;
	case OPTION_TLS_KEY:
		config->tls_key = text;
		return 0;
	case OPTION_USER:
		config->user = text;
		return 0;
	case OPTION_GATES:
		return set_number("gates", text, MOST_GATES, &config->n_gates);
	case OPTION_MAX_CONNECTIONS:
		return set_number(
			"max-connections", text, MOST_CONNECTIONS, &config->max_connections);
	case OPTION_MAX_PER_SOURCE:
		return set_number("max-connections-per-source", text, MOST_CONNECTIONS,
			&config->max_connections_per_source);
	case OPTION_LOG_LEVEL:
		if (log_level_parse(text, &config->log_level) < 0)
			return complain(
				"--log-level %s: must be error, warning, info or debug", text);
		return 0;
	case OPTION_LOG_FORMAT:
		if (log_format_parse(text, &config->log_format) < 0)
			return complain("--log-format %s: must be text or json", text);
		return 0;
	case OPTION_TAKEOVER:
		return 0;
	case OPTION_REGION:
		return note_region(text);
	case OPTION_CLOUD:
		return complain("--cloud %s: not built yet; name the addresses with --ip", text);
	case OPTION_INTERNAL_NETWORK:
		return complain("--internal-network-cidr %s: not built yet; leave it out to serve "
				"without one",
			text);
	default:
		/* getopt_long() has said what. */
		fprintf(stderr, "See `vprox server --help`.\n");
		return -EINVAL;
	}
}

static int check_blocks(struct server_config *config)
{
	struct prefix whole = config->whole_block;
	struct prefix subnet;
	uint8_t needed = whole.length;

	if (config->block_length == 0)
		config->block_length = whole.length;
	if (config->block_length < whole.length)
		return complain("--wg-block-per-ip /%u: larger than --wg-block %s",
			config->block_length, prefix_text(whole).s);
	while (needed < 32 && UINT64_C(1) << (needed - whole.length) < config->n_binds)
		needed++;
	if (needed > SHORTEST_BLOCK)
		return complain("--wg-block %s: too small for %zu --ip", prefix_text(whole).s,
			config->n_binds);
	if (config->block_length < needed)
		return complain("--wg-block %s: %zu --ip need as many blocks, and there are not so "
				"many of length /%u; give --wg-block-per-ip /%u or longer",
			prefix_text(whole).s, config->n_binds, config->block_length, needed);
	for (size_t i = 0; i < config->n_binds; i++) {
		if (prefix_contains(whole, config->binds[i]))
			return complain("--ip %s: lies inside --wg-block %s",
				ipv4_text(config->binds[i]).s, prefix_text(whole).s);
		prefix_subnet(whole, config->block_length, (uint32_t)i, &subnet);
		if (!plane_names_fit((unsigned int)i, subnet))
			return complain("--wg-block-per-ip /%u: so large that the names of its "
					"interfaces would be longer than 15 characters",
				config->block_length);
	}
	return 0;
}

static int take_password(struct server_config *config, char **password)
{
	const char *mode = getenv("VPROX_AUTH_MODE");
	const char *fault;

	if (mode && strcmp(mode, "oidc-modal") == 0)
		return complain("VPROX_AUTH_MODE=oidc-modal: not built yet; unset it to use "
				"VPROX_PASSWORD");
	fault = password_take(password);
	if (fault)
		return complain("VPROX_PASSWORD %s", fault);
	config->password = *password;
	return 0;
}

static int check(struct server_config *config)
{
	if (config->n_binds == 0)
		return complain("--ip is missing: name an address to serve");
	if (config->whole_block.length == 0)
		return complain(
			"--wg-block is missing: name the block of the inner addresses, such "
			"as 10.100.0.0/16");
	if (!config->tls_certificate != !config->tls_key)
		return complain("--tls-cert and --tls-key go together");
	return check_blocks(config);
}

int cmd_server_main(int argc, char **argv)
{
	long n_cores = sysconf(_SC_NPROCESSORS_ONLN);
	struct server_config config = {
		.idle = {DEFAULT_IDLE_TIMEOUT_MS, DEFAULT_CONNECT_GRACE_MS},
		.reap_interval_ms = DEFAULT_REAP_INTERVAL_MS,
		.n_gates = n_cores < 1            ? 1
			   : n_cores > MOST_GATES ? MOST_GATES
						  : (unsigned int)n_cores,
		.max_connections = DEFAULT_MAX_CONNECTIONS,
		.max_connections_per_source = DEFAULT_MAX_CONNECTIONS_PER_SOURCE,
		.log_level = LOG_LEVEL_INFO,
	};
	char *password = NULL;
	int option, status;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == OPTION_HELP) {
			fputs(usage, stdout);
			return STATUS_OK;
		}
		if (option == OPTION_VERSION) {
			printf("vprox %s (%s)\n", version_number, version_git_commit);
			return STATUS_OK;
		}
		if (set_option(&config, option, optarg) < 0)
			return STATUS_USAGE;
	}
	if (optind < argc) {
		complain("%s: not an option", argv[optind]);
		return STATUS_USAGE;
	}
	if (check(&config) < 0 || take_password(&config, &password) < 0)
		return STATUS_USAGE;
	log_setup(config.log_level, config.log_format, "server");
	status = broker_run(&config) < 0 ? STATUS_FAILED : STATUS_OK;
	password_free(password);
	return status;
}

#include <errno.h>
#include <getopt.h>
#include <net/if.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/version.h"
#include "client/client.h"
#include "client/config.h"
#include "client/request_message.h"
#include "cmd/command.h"
#include "cmd/options.h"
#include "cmd/password.h"

static const char usage[] =
	"Usage: VPROX_PASSWORD=... vprox connect SERVER [OPTION...]\n"
	"\n"
	"Keeps up a tunnel to the vprox server at SERVER, an IPv4 address or a name. What is sent\n"
	"into the interface leaves with the server's address: curl --interface vprox0 ...\n"
	"The default route stays as it is.\n"
	"\n"
	"Tunnel:\n"
	"  --interface NAME             (default: vprox0)\n"
	"  --tunnel wireguard|ipip      (default: wireguard)\n"
	"  --plane auto|kernel|embedded what carries the traffic (default: auto)\n"
	"  --route CIDR                 send these addresses through the tunnel; may be repeated,\n"
	"                               and may be 0.0.0.0/0\n"
	"\n"
	"Who the server is (by default, whoever it was the first time):\n"
	"  --pin sha256//BASE64         its TLS public key, as the server prints it at start; may "
	"be\n"
	"                               repeated, for several hosts that share an address\n"
	"  --cacert FILE                certificates in PEM by which its own must be good\n"
	"  --insecure                   anybody: the password goes to whoever answers\n"
	"  --known-servers FILE         where first times are remembered\n"
	"                               (default: " KNOWN_SERVERS ")\n"
	"\n"
	"Others:\n"
	"  --once                       exit when the tunnel is up, and leave it there\n"
	"  --json                       print what was assigned, an object a line\n"
	"  --log-level LEVEL            error, warning, info or debug (default: info)\n"
	"  --log-format text|json       (default: text)\n"
	"  --help, --version\n"
	"\n"
	"The server's password is taken from the environment, VPROX_PASSWORD.\n";

enum option_id {
	OPTION_INTERFACE = 256,
	OPTION_TUNNEL,
	OPTION_PLANE,
	OPTION_ROUTE,
	OPTION_PIN,
	OPTION_CACERT,
	OPTION_INSECURE,
	OPTION_KNOWN_SERVERS,
	OPTION_ONCE,
	OPTION_JSON,
	OPTION_LOG_LEVEL,
	OPTION_LOG_FORMAT,
	OPTION_HELP,
	OPTION_VERSION,
};

static const struct option options[] = {
	{"interface", required_argument, NULL, OPTION_INTERFACE},
	{"tunnel", required_argument, NULL, OPTION_TUNNEL},
	{"plane", required_argument, NULL, OPTION_PLANE},
	{"route", required_argument, NULL, OPTION_ROUTE},
	{"pin", required_argument, NULL, OPTION_PIN},
	{"cacert", required_argument, NULL, OPTION_CACERT},
	{"insecure", no_argument, NULL, OPTION_INSECURE},
	{"known-servers", required_argument, NULL, OPTION_KNOWN_SERVERS},
	{"once", no_argument, NULL, OPTION_ONCE},
	{"json", no_argument, NULL, OPTION_JSON},
	{"log-level", required_argument, NULL, OPTION_LOG_LEVEL},
	{"log-format", required_argument, NULL, OPTION_LOG_FORMAT},
	{"help", no_argument, NULL, OPTION_HELP},
	{"version", no_argument, NULL, OPTION_VERSION},
	{0},
};

/* Says what is wrong with the command line. Always -EINVAL. */
__attribute__((format(printf, 1, 2))) static int complain(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fprintf(stderr, "vprox connect: ");
	vfprintf(stderr, format, args);
	fprintf(stderr, "\nSee `vprox connect --help`.\n");
	va_end(args);
	return -EINVAL;
}

/* What the kernel takes as a name, and no part of a path: it becomes one. */
static int set_interface(struct client_config *config, const char *text)
{
	size_t n = strlen(text);

	if (n == 0 || n >= IFNAMSIZ || text[0] == '.' || strpbrk(text, "/: \t\n\v\f\r%"))
		return complain("--interface %s: not a name of 1 to %d characters without / and :",
			text, IFNAMSIZ - 1);
	config->interface = text;
	return 0;
}

static int set_tunnel(struct client_config *config, const char *text)
{
	config->tunnel = strcmp(text, "ipip") == 0 ? TUNNEL_IPIP : TUNNEL_WIREGUARD;
	if (config->tunnel != TUNNEL_IPIP && strcmp(text, "wireguard") != 0)
		return complain("--tunnel %s: must be wireguard or ipip", text);
	return 0;
}

static int add_route(struct client_config *config, const char *text)
{
	if (config->n_routes == MAX_ROUTES)
		return complain("--route %s: there are %d already, more are not possible", text,
			MAX_ROUTES);
	if (prefix_parse(text, &config->routes[config->n_routes]) < 0)
		return complain("--route %s: not a block such as 10.0.0.0/8", text);
	config->n_routes++;
	return 0;
}

static int add_pin(struct client_config *config, const char *text)
{
	if (config->n_pins == MAX_PINS)
		return complain(
			"--pin %s: there are %d already, more are not possible", text, MAX_PINS);
	if (pin_parse(text, &config->pins[config->n_pins]) < 0)
		return complain("--pin %s: not sha256// and the 44 characters of a SHA-256 in "
				"base64, as the server prints it",
			text);
	config->n_pins++;
	return 0;
}

static int set_path(const char **path, const char *option, const char *text)
{
	if (*text == '\0' || strlen(text) >= PATH_MAX)
		return complain("--%s %s: not a file's path", option, text);
	*path = text;
	return 0;
}

static int set_option(struct client_config *config, int option, const char *text)
{
	switch (option) {
	case OPTION_INTERFACE:
		return set_interface(config, text);
	case OPTION_TUNNEL:
		return set_tunnel(config, text);
	case OPTION_PLANE:
		if (option_parse_plane(text, &config->plane) < 0)
			return complain("--plane %s: must be auto, kernel or embedded", text);
		return 0;
	case OPTION_ROUTE:
		return add_route(config, text);
	case OPTION_PIN:
		return add_pin(config, text);
	case OPTION_CACERT:
		return set_path(&config->ca_file, "cacert", text);
	case OPTION_INSECURE:
		config->insecure = true;
		return 0;
	case OPTION_KNOWN_SERVERS:
		return set_path(&config->known_servers, "known-servers", text);
	case OPTION_ONCE:
		config->once = true;
		return 0;
	case OPTION_JSON:
		config->json = true;
		return 0;
	case OPTION_LOG_LEVEL:
		if (log_level_parse(text, &config->log_level) < 0)
			return complain(
				"--log-level %s: must be error, warning, info or debug", text);
		return 0;
	case OPTION_LOG_FORMAT:
		if (log_format_parse(text, &config->log_format) < 0)
			return complain("--log-format %s: must be text or json", text);
		return 0;
	default:
		/* getopt_long() has said what. */
		fprintf(stderr, "See `vprox connect --help`.\n");
		return -EINVAL;
	}
}

/* An IPv4 address, or a name: RFC 1123, 2.1. */
static int set_server(struct client_config *config, const char *text)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
	struct ipv4 address;
	size_t n = strlen(text);

	config->server = text;
	if (ipv4_parse(text, &address) == 0)
		return address.value != 0 ? 0 : complain("%s: not a server's address", text);
	if (n == 0 || n >= FETCH_SERVER_MAX || text[0] == '-' || text[0] == '.')
		return complain("%s: not an IPv4 address or a name", text);
	for (size_t i = 0; i < n; i++)
		if (!strchr(letters, text[i]) && !strchr("0123456789-._", text[i]))
			return complain("%s: not an IPv4 address or a name", text);
	if (!strpbrk(text, letters))
		return complain("%s: not an IPv4 address", text);
	return 0;
}

static int check(struct client_config *config, int argc, char **argv)
{
	if (argc == 0)
		return complain("SERVER is missing: name the server's address");
	if (argc > 1)
		return complain("%s: there is one SERVER, %s", argv[1], argv[0]);
	if (config->insecure && (config->n_pins > 0 || config->ca_file))
		return complain("--insecure does not go together with --pin and --cacert");
	if (config->ca_file && access(config->ca_file, R_OK) < 0)
		return complain("--cacert %s: %s", config->ca_file, strerror(errno));
	return set_server(config, argv[0]);
}

int cmd_connect_main(int argc, char **argv)
{
	struct client_config config = {
		.interface = "vprox0",
		.known_servers = KNOWN_SERVERS,
		.log_level = LOG_LEVEL_INFO,
	};
	char *password = NULL;
	const char *fault;
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
	if (check(&config, argc - optind, argv + optind) < 0)
		return STATUS_USAGE;
	fault = password_take(&password);
	if (fault) {
		complain("VPROX_PASSWORD %s", fault);
		return STATUS_USAGE;
	}
	config.password = password;
	log_setup(config.log_level, config.log_format, "connect");
	status = client_run(&config) < 0 ? STATUS_FAILED : STATUS_OK;
	password_free(password);
	return status;
}

/* Checks which server a client is to connect to, and by what it is known, of the commands that are
 * clients. Runs in the client, before it does anything. */
#include "cmd/client_server.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/config.h"
#include "client/request_message.h"
#include "cmd/usage.h"
#include "cmd/values.h"

int client_add_pin(const struct option_use *use, void *field)
{
	struct client_config *config = field;

	if (config->n_pins == MAX_PINS)
		return option_error(use, "there are %d already, more are not possible", MAX_PINS);
	if (pin_parse(use->text, &config->pins[config->n_pins]) < 0)
		return option_error(use, "not sha256// and the 44 characters of a SHA-256 in "
					 "base64, as the server prints it");
	config->n_pins++;
	return 0;
}

static int usage_fault(const struct command *command, const char *text, const char *fault)
{
	return usage_error(command, "%s: %s", text, fault);
}

/* Not any, nor many at once. */
static bool is_of_a_host(struct ipv4 address)
{
	static const struct prefix multicast = {{0xe0000000}, 4};

	return address.value != 0 && address.value != UINT32_MAX &&
	       !prefix_contains(multicast, address);
}

static const char no_server[] = "not an IPv4 address or a name, such as 203.0.113.7 or "
				"vprox.example.com, without https:// and a port";

/* An IPv4 address, or a name: RFC 1123, 2.1. */
int client_set_server(const struct command *command, struct client_config *config, const char *text)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
	struct ipv4 address;
	size_t n = strlen(text);

	config->server = text;
	if (ipv4_parse(text, &address) == 0)
		return is_of_a_host(address) ? 0
					     : usage_fault(command, text, "not a server's address");
	if (n == 0 || n >= REQUEST_SERVER_MAX || text[0] == '-' || text[0] == '.')
		return usage_fault(command, text, no_server);
	for (size_t i = 0; i < n; i++)
		if (!strchr(letters, text[i]) && !strchr("0123456789-._", text[i]))
			return usage_fault(command, text, no_server);
	if (!strpbrk(text, letters))
		return usage_fault(command, text, "not an IPv4 address");
	return 0;
}

int client_check_trust(const struct command *command, const struct client_config *config)
{
	struct stat file;

	if (!config->ca_file)
		return 0;
	if (access(config->ca_file, R_OK) < 0 || stat(config->ca_file, &file) < 0)
		return usage_error(command, "--cacert %s: %s", config->ca_file, strerror(errno));
	if (S_ISDIR(file.st_mode))
		return usage_error(command,
			"--cacert %s: is a folder: name one file with all certificates in PEM",
			config->ca_file);
	return 0;
}

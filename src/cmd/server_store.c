/* The options of `vprox server` about the store. Runs in the process that becomes the broker,
 * before it does anything. */
#include "cmd/server_store.h"

#include <errno.h>
#include <string.h>

#include "base/fleet_key.h"
#include "base/url.h"
#include "cmd/usage.h"
#include "cmd/values.h"
#include "server/config.h"

static const char scheme[] = "etcd://";

/* No slash among them: names of one fleet must not begin like those of another. */
static bool is_fleet(const char *text)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "0123456789._-";
	size_t length = strlen(text);

	return length > 0 && length < STORE_FLEET_SIZE && text[strspn(text, allowed)] == '\0';
}

/* HOST:PORT, with a comma or a slash behind it; IPv6 in brackets. */
static bool is_member(const char *text, size_t length)
{
	const char *colon = memrchr(text, ':', length), *end = text + length;
	const size_t n_host = colon ? (size_t)(colon - text) : 0;
	const bool is_ipv6 = n_host > 2 && text[0] == '[' && text[n_host - 1] == ']';
	uint32_t port;

	if (n_host == 0)
		return false;
	for (size_t i = 0; i < n_host; i++)
		if (text[i] <= ' ' || text[i] == '/' || (text[i] == ':' && !is_ipv6))
			return false;
	return url_read_port(colon + 1, &port) == end;
}

/* With commas between. */
static bool are_members(const char *text, size_t length)
{
	const char *const end = text + length;

	for (const char *comma; (comma = memchr(text, ',', (size_t)(end - text))); text = comma + 1)
		if (!is_member(text, (size_t)(comma - text)))
			return false;
	return length < STORE_MEMBERS_SIZE && is_member(text, (size_t)(end - text));
}

static int parse_etcd(const struct option_use *use, struct server_config *config)
{
	const char *members = use->text + sizeof scheme - 1, *slash = strchr(members, '/');

	/* It is not logged: a password may stand before it. */
	if (strchr(members, '@'))
		return usage_error(use->command,
			"%s--store: there must be no @ in it: etcd's user and password are for "
			"--etcd-user and --etcd-password-file",
			use->place);
	if (!slash || !are_members(members, (size_t)(slash - members)) || !is_fleet(slash + 1))
		return option_error(use, "not such as etcd://10.0.0.1:2379,10.0.0.2:2379/FLEET");
	config->store = STORE_ETCD;
	memcpy(config->etcd.members, members, (size_t)(slash - members));
	config->etcd.members[slash - members] = '\0';
	strcpy(config->etcd.fleet, slash + 1);
	return 0;
}

int server_parse_store(const struct option_use *use, void *field)
{
	struct server_config *config = field;

	if (strncmp(use->text, scheme, sizeof scheme - 1) == 0)
		return parse_etcd(use, config);
	if (strcmp(use->text, "local") == 0)
		config->store = STORE_LOCAL;
	else if (strcmp(use->text, "none") == 0)
		config->store = STORE_NONE;
	else
		return option_error(use, "neither local, none, nor etcd://HOST:PORT/FLEET");
	return 0;
}

int server_parse_history(const struct option_use *use, void *field)
{
	if (strcmp(use->text, "none") != 0)
		return option_time(use, field);
	*(uint64_t *)field = 0;
	return 0;
}

static int check_fleet_key(const char *path)
{
	struct fleet_keys keys = {.n = 0};
	int error = fleet_keys_load(path, &keys);

	fleet_keys_wipe(&keys);
	if (error == 0)
		return 0;
	return usage_error(&command_server, "--fleet-key %s: %s", path,
		error == -EINVAL ? "not made by `vprox fleet-key`"
		: error == -ENOENT
			? "there is no such file: `vprox fleet-key` makes it, once for all "
			  "hosts of the fleet"
			: strerror(-error));
}

static int check_lengths(const struct server_config *config)
{
	const char *const paths[] = {config->etcd_ca, config->etcd_certificate, config->etcd_key,
		config->etcd_password, config->fleet_key};

	for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
		if (paths[i] && strlen(paths[i]) >= STORE_PATH_SIZE)
			return usage_error(&command_server, "%s: the path is too long", paths[i]);
	if (config->etcd_user && strlen(config->etcd_user) >= STORE_USER_SIZE)
		return usage_error(&command_server, "--etcd-user: the name is too long");
	return 0;
}

static int check_etcd(const struct server_config *config)
{
	if (!config->fleet_key)
		return usage_error(&command_server,
			"--fleet-key is missing: what is kept in etcd is sealed under it; `vprox "
			"fleet-key` makes it, once for all hosts");
	if (!config->is_block_cut)
		return usage_error(&command_server,
			"--wg-block-per-ip is missing: the addresses of "
			"a fleet have blocks of their own");
	if (!config->etcd_user != !config->etcd_password)
		return usage_error(
			&command_server, "--etcd-user and --etcd-password-file go together");
	if (!config->etcd_certificate != !config->etcd_key)
		return usage_error(&command_server, "--etcd-cert and --etcd-key go together");
	if ((config->etcd_user || config->etcd_key) && !config->etcd_ca)
		return usage_error(&command_server, "--etcd-ca is missing: a password is sent to "
						    "nobody who has not shown who it is");
	return check_lengths(config) < 0 ? -EINVAL : check_fleet_key(config->fleet_key);
}

int server_check_store(const struct server_config *config)
{
	return config->store == STORE_ETCD ? check_etcd(config) : 0;
}

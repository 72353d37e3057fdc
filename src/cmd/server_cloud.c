/* Reads what `vprox server` is told of the cloud that its host is in. Runs in the server's process,
 * before it does anything. */
#include "cmd/server_cloud.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/log.h"
#include "cmd/config_file.h"
#include "cmd/usage.h"
#include "cmd/values.h"
#include "server/config.h"

/* Empty means none: so a unit's file may have it that gives the name in a variable. */
int server_parse_cloud(const struct option_use *use, void *field)
{
	struct server_config *config = field;

	config->is_cloud = strcmp(use->text, "aws") == 0;
	return config->is_cloud || *use->text == '\0'
		       ? 0
		       : option_error(use, "not a cloud that is known: it can be aws");
}

/* It is told in JSON (RFC 8259 8.1). */
static bool is_utf8(const char *text)
{
	json_t *json = json_string(text);

	json_decref(json);
	return json != NULL;
}

int server_parse_region(const struct option_use *use, void *field)
{
	struct server_config *config = field;

	if (strlen(use->text) >= CLOUD_REGION_SIZE)
		return option_error(use, "longer than %d bytes", CLOUD_REGION_SIZE - 1);
	if (!is_utf8(use->text))
		return option_error(use, "is no UTF-8, as the backend has to be told it");
	config->region = use->text;
	return 0;
}

int server_parse_internal_network(const struct option_use *use, void *field)
{
	struct server_config *config = field;

	return prefix_parse(use->text, &config->internal_network) == 0 &&
			       config->internal_network.length > 0
		       ? 0
		       : option_error(use, "not an IPv4 block such as 10.0.0.0/24");
}

int server_check_cloud(const struct server_config *config)
{
	const struct prefix internal = server_config_internal_network(config);

	if (config->is_cloud && config->store == STORE_ETCD)
		return usage_error(&command_server,
			"--cloud: not with --store=etcd; name the addresses with --ip or --follow");
	if (internal.length == 0 || !prefix_overlaps(internal, config->whole_block))
		return 0;
	return usage_error(&command_server,
		"--internal-network-cidr %s: overlaps with --wg-block %s; choose another one",
		prefix_text(internal).s, prefix_text(config->whole_block).s);
}

static const char backend[] = "BACKEND_ENDPOINT", token[] = "BACKEND_ADMIN_TOKEN";

/* What a header can hold. */
static bool can_be_sent(const char *text)
{
	for (const char *p = text; *p; p++)
		if ((unsigned char)*p <= ' ' || *p == 0x7f)
			return false;
	return strlen(text) < CLOUD_SECRET_SIZE;
}

static int use_backend(const char *url, const char *secret, struct server_config *config)
{
	if (url_parse(url, &config->backend) < 0)
		return usage_error(&command_server,
			"%s %s: not an address such as https://backend.example.com", backend, url);
	if (!can_be_sent(secret))
		return usage_error(&command_server,
			"%s has a blank or a control character in it, or is longer than %d bytes",
			token, CLOUD_SECRET_SIZE - 1);
	strcpy(config->backend_token, secret);
	return 0;
}

int server_read_backend(const struct config_file *settings, struct server_config *config)
{
	const char *url = settings->backend ? settings->backend : getenv(backend);
	char *of_environment = getenv(token);
	const char *secret = settings->backend_token ? settings->backend_token : of_environment;
	int error = 0;

	if (url && *url && secret && *secret)
		error = use_backend(url, secret, config);
	else if ((url && *url) || (secret && *secret))
		log_warning("%s is not set: what is served is reported to nobody",
			url && *url ? token : backend);
	if (of_environment)
		explicit_bzero(of_environment, strlen(of_environment));
	unsetenv(token);
	return error;
}

void server_warn_of_cloud(const struct server_config *config)
{
	if (server_config_internal_network(config).length > 0)
		return;
	if (config->region && config->backend.host[0] == '\0')
		log_warning("--region %s: has no effect", config->region);
	if (config->internal_network.length > 0)
		log_warning("--internal-network-cidr %s: has no effect without --region us-west",
			prefix_text(config->internal_network).s);
}

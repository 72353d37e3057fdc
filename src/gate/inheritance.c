/* Reads what the broker has left to a gate in its descriptors (ipc/gate_config.h), and makes of it
 * what the gate works with. Runs in the gate, first of all, and with the rights that it begins
 * with.
 */
#include "gate/inheritance.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <openssl/ssl.h>

#include "base/log.h"
#include "gate/remote_key.h"
#include "gate/tls.h"
#include "http/tls_error.h"
#include "ipc/token_set.h"

/* How many connections each source has at the other gates, and what this one has answered. */
static int map_counts(struct inheritance *inheritance)
{
	const struct gate_config *config = &inheritance->settings.config;
	int sheet = GATE_FD_FIRST_LISTENER + (int)config->n_endpoints;
	int error = source_counts_map(
		&inheritance->counts, &config->seed, sheet, sheet + 1, config->n_gates - 1);

	inheritance->answered = gate_counts_map(sheet + (int)config->n_gates);
	if (error == 0 && !inheritance->answered)
		error = -errno;
	if (error < 0)
		log_error("cannot map what the gates count: %s", strerror(-error));
	return error;
}

static int map_issuers(struct inheritance *inheritance)
{
	const struct gate_config *config = &inheritance->settings.config;
	int fd = GATE_FD_FIRST_LISTENER + (int)(config->n_endpoints + config->n_gates) + 1, error;

	if (!config->has_issuers)
		return 0;
	inheritance->issuers = issuer_sheet_map(fd);
	if (inheritance->issuers)
		return 0;
	error = -errno;
	log_error("cannot map the issuers: %s", strerror(-error));
	return error;
}

/* Nothing that the broker has open is to be reached from here, whatever it forgot to close. */
static int close_all_others(const struct gate_settings *settings)
{
	unsigned int first = GATE_FD_FIRST_LISTENER + settings->config.n_endpoints;

	close(GATE_FD_CONFIG);
	return close_range(first, ~0U, 0) < 0 ? -errno : 0;
}

static int read_settings(struct inheritance *inheritance)
{
	struct gate_settings *settings = &inheritance->settings;
	int error = gate_config_read(GATE_FD_CONFIG, settings);

	if (error < 0) {
		log_error("cannot read the configuration: %s; a gate is started by the server",
			strerror(-error));
		return error;
	}
	snprintf(inheritance->name, sizeof inheritance->name, "gate %u",
		settings->config.gate_number);
	log_setup((enum log_level)settings->config.live.log_level,
		(enum log_format)settings->config.live.log_format, inheritance->name);
	if (settings->config.max_connections == 0 ||
		settings->config.live.max_connections_per_source == 0) {
		log_error("the configuration allows no connections");
		return -EINVAL;
	}
	error = map_counts(inheritance);
	if (error == 0)
		error = map_issuers(inheritance);
	if (error < 0)
		return error;
	error = close_all_others(settings);
	if (error < 0)
		log_error("cannot close files: %s", strerror(-error));
	return error;
}

/* With a key that the signer has. */
static int use_certificate(struct inheritance *inheritance)
{
	EVP_PKEY *key = NULL;
	int error = -EINVAL;

	inheritance->tls = tls_new(inheritance->settings.certificate);
	inheritance->keys = remote_keys_new();
	if (inheritance->tls && inheritance->keys)
		key = remote_key_new(inheritance->keys, SSL_CTX_get0_certificate(inheritance->tls),
			&inheritance->signer);
	if (key)
		error = tls_use_key(inheritance->tls, key);
	EVP_PKEY_free(key);
	return error;
}

static int serve_endpoints(struct inheritance *inheritance)
{
	const struct gate_settings *settings = &inheritance->settings;
	int error = 0;

	for (size_t i = 0; i < settings->config.n_endpoints && error == 0; i++)
		error = served_add(&inheritance->routes.served, &settings->endpoints[i]);
	return error;
}

/* Makes what the gate works with. The digests of the passwords stay in one place. */
static int use_settings(struct inheritance *inheritance)
{
	struct gate_settings *settings = &inheritance->settings;
	int error = use_certificate(inheritance);

	if (error < 0) {
		log_error("cannot use the certificate: %s", tls_error());
		return error;
	}
	inheritance->routes.announced = settings->config.announced;
	inheritance->routes.auth.bearer = settings->config.live.bearer;
	explicit_bzero(&settings->config.live.bearer, sizeof settings->config.live.bearer);
	return serve_endpoints(inheritance);
}

void inheritance_change(struct inheritance *inheritance, const struct live_settings *live)
{
	log_switch((enum log_level)live->log_level, (enum log_format)live->log_format);
	inheritance->routes.auth.bearer = live->bearer;
}

/* The broker asks itself whether the name of a token is good, whatever the gate goes on with. */
void inheritance_use_tokens(struct inheritance *inheritance, int fd)
{
	struct auth *auth = &inheritance->routes.auth;
	struct token_set *tokens;
	int error = token_set_read(fd, &tokens);

	close(fd);
	if (error < 0) {
		log_error("cannot read the tokens: %s", strerror(-error));
		return;
	}
	token_set_free(auth->tokens);
	auth->tokens = tokens;
}

int inheritance_take(struct inheritance *inheritance, const struct remote_signer *signer)
{
	int error;

	inheritance->signer = *signer;
	error = read_settings(inheritance);
	return error < 0 ? error : use_settings(inheritance);
}

void inheritance_free(struct inheritance *inheritance)
{
	SSL_CTX_free(inheritance->tls);
	remote_keys_free(inheritance->keys);
	source_counts_free(&inheritance->counts);
	issuer_sheet_free(inheritance->issuers);
	gate_settings_free(&inheritance->settings);
	served_free(&inheritance->routes.served);
	auth_wipe(&inheritance->routes.auth);
}

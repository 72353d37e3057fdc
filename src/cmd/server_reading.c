/* Makes a server's configuration of the command line, the file that --config names, and the
 * passwords. Runs in the process that becomes the broker, and in the broker when it is to be read
 * again. */
#include "cmd/server_reading.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "cmd/command.h"
#include "cmd/live_options.h"
#include "cmd/options.h"
#include "cmd/password.h"
#include "cmd/server_addresses.h"
#include "cmd/server_cloud.h"
#include "cmd/server_oidc.h"
#include "cmd/server_store.h"
#include "cmd/token_file.h"
#include "cmd/usage.h"

static int check(struct server_config *config)
{
	if (config->no_password && !config->tokens_file && config->n_issuers == 0)
		return usage_error(&command_server, "--no-password: nobody could come in without "
						    "--tokens or --oidc");
	/* VPROX_AUTH_MODE names one, too. */
	if (config->issuer_authorities && config->n_issuers == 0)
		return usage_error(&command_server, "--oidc-ca %s: has no effect without --oidc",
			config->issuer_authorities);
	/* With --plane=auto it is the host that decides. */
	if (config->ipip_mode == IPIP_SHARED && config->plane == PLANE_EMBEDDED)
		return usage_error(&command_server,
			"--ipip-mode shared: does not go together with --plane=embedded: leave out "
			"one of them");
	if (!config->tls_certificate != !config->tls_key)
		return usage_error(&command_server,
			"%s is missing: --tls-cert and --tls-key go together",
			config->tls_key ? "--tls-cert" : "--tls-key");
	if (server_check_addresses(config) < 0 || server_check_cloud(config) < 0)
		return -EINVAL;
	return server_check_store(config);
}

static bool has_password(const struct server_config *config)
{
	return !config->no_password && !config->is_oidc_modal;
}

/* Wipes them. */
static int use_passwords(struct passwords *passwords, struct server_config *config)
{
	int error = 0;

	config->bearer = (struct bearer){0};
	if (has_password(config)) {
		error = bearer_make(&config->bearer, passwords->current, passwords->previous);
		passwords_check(passwords);
	}
	passwords_free(passwords);
	return error;
}

/* What the file has goes before what the environment has. */
static int load_passwords(const struct server_source *source, struct config_file *settings,
	struct server_config *config, struct passwords *passwords)
{
	if (!has_password(config))
		return passwords_clear(settings, passwords);
	if (!config->password_file && !settings->password)
		config->password_file = source->credential;
	return passwords_load(
		&command_server, config->password_file, "password", settings, passwords);
}

/* NULL without --tokens. */
static int load_tokens(const struct server_config *config, struct token_set **tokens)
{
	*tokens = NULL;
	return config->tokens_file ? token_file_load(&command_server, config->tokens_file, tokens)
				   : 0;
}

int server_read(struct server_command *command, struct server_source *source)
{
	struct server_config *config = &command->config;
	struct config_file *settings = &command->words->file;
	struct passwords passwords = {0};

	source->at_start = command->words;
	source->is_in_environment = !config->no_password && !config->password_file &&
				    !settings->password && !source->credential;
	config->is_reloaded = settings->path != NULL;
	if (server_read_mode(settings, config) < 0 || check(config) < 0 ||
		server_read_backend(settings, config) < 0 ||
		load_passwords(source, settings, config, &passwords) < 0 ||
		load_tokens(config, &source->tokens) < 0) {
		passwords_free(&passwords);
		return STATUS_USAGE;
	}
	config->tokens = source->tokens;
	log_setup(config->log_level, config->log_format, "server");
	server_warn_of_cloud(config);
	server_warn_of_issuers(config);
	if (use_passwords(&passwords, config) < 0)
		return STATUS_FAILED;
	if (source->is_in_environment)
		source->of_environment = config->bearer;
	return STATUS_OK;
}

static void take_live(struct server_config *config, const struct server_config *from)
{
	memcpy(config->binds, from->binds, sizeof config->binds);
	config->n_binds = from->n_binds;
	memcpy(config->followed, from->followed, sizeof config->followed);
	config->n_followed = from->n_followed;
	config->egress = from->egress;
	config->keep_on_exit = from->keep_on_exit;
	config->idle = from->idle;
	config->reap_interval_ms = from->reap_interval_ms;
	config->max_peers_per_source = from->max_peers_per_source;
	config->max_connections_per_source = from->max_connections_per_source;
	config->log_level = from->log_level;
	config->log_format = from->log_format;
	config->password_file = from->password_file;
	config->no_password = from->no_password;
	config->tokens_file = from->tokens_file;
}

/* What is live of the new and the rest of the old must make sense together. */
static int check_together(struct server_config *config)
{
	if (!config->is_block_cut)
		config->block_length = 0;
	return check(config);
}

static int read_options(struct server_source *source, struct server_config *config)
{
	auto_free struct server_command *read = calloc(1, sizeof *read);
	int error = -ENOMEM;

	if (read)
		error = option_words_read(
			source->at_start->argc, source->at_start->argv, true, &source->next);
	if (error == 0)
		error = options_parse(&command_server, &source->next, read);
	if (error == 0)
		error = server_read_mode(&source->next.file, &read->config);
	if (error == 0)
		error = check(&read->config);
	if (error < 0)
		return error;
	server_tell_mode_change(config, &read->config);
	take_live(config, &read->config);
	return check_together(config);
}

static const char *log_changes(const struct server_source *source)
{
	const struct option_words *before =
		source->latest.n > 0 ? &source->latest : source->at_start;
	unsigned int n = live_options_log(&command_server, source->at_start, before, &source->next);

	if (source->is_password_new)
		return source->are_tokens_new ? "the passwords and the tokens have changed"
					      : "the passwords have changed";
	if (source->are_tokens_new)
		return "the tokens have changed";
	return n > 0 ? "it has changed" : "nothing has changed";
}

/* What the environment had holds again when nothing else has a password any more. */
static int read_passwords(struct server_source *source, struct server_config *config)
{
	struct config_file *settings = &source->next.file;
	struct passwords passwords;

	if (source->is_in_environment && !config->no_password && !config->password_file &&
		!settings->password && !settings->previous) {
		config->bearer = source->of_environment;
		return 0;
	}
	if (load_passwords(source, settings, config, &passwords) < 0)
		return -EINVAL;
	return use_passwords(&passwords, config);
}

int server_read_again(void *context, struct server_config *config)
{
	struct server_source *source = context;
	const struct bearer before = config->bearer;
	int error;

	if (!config->is_reloaded && !config->password_file && !config->tokens_file &&
		!config->audit && !config->flow_log)
		return -EALREADY;
	error = read_options(source, config);
	if (error == 0)
		error = read_passwords(source, config);
	if (error == 0)
		error = load_tokens(config, &source->next_tokens);
	config->tokens = source->next_tokens;
	source->are_tokens_new = !token_set_equal(source->tokens, source->next_tokens);
	source->is_password_new = memcmp(&before, &config->bearer, sizeof before) != 0;
	if (error < 0)
		option_words_free(&source->next);
	return error;
}

const char *server_settle(void *context, bool is_used)
{
	struct server_source *source = context;
	const char *changes = NULL;

	if (is_used) {
		changes = log_changes(source);
		token_set_free(source->tokens);
		source->tokens = source->next_tokens;
		source->next_tokens = NULL;
		option_words_free(&source->latest);
		source->latest = source->next;
		source->next = (struct option_words){0};
	}
	token_set_free(source->next_tokens);
	source->next_tokens = NULL;
	option_words_free(&source->next);
	return changes;
}

void server_source_free(struct server_source *source)
{
	option_words_free(&source->latest);
	token_set_free(source->tokens);
	explicit_bzero(&source->of_environment, sizeof source->of_environment);
}

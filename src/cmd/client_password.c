/* The password that a client shows, as its file has it now. Runs in the client, before each
 * request. */
#include "cmd/client_password.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "client/config.h"
#include "cmd/auth_mode.h"
#include "cmd/config_file.h"
#include "cmd/github_token.h"
#include "cmd/usage.h"

static bool same_file(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
	       a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec &&
	       a->st_ctim.tv_sec == b->st_ctim.tv_sec && a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

static int load_file(const struct client_password *password, struct passwords *passwords)
{
	return passwords_load(password->command, password->path,
		password->is_token ? "token" : "password", NULL, passwords);
}

/* What is of no use is not read a second time, nor complained of. */
static void read_again(struct client_password *password)
{
	struct passwords next;

	if (load_file(password, &next) < 0) {
		log_warning("the password stays as it was: %s is of no use", password->path);
		return;
	}
	if (strcmp(next.current, password->now.current) != 0)
		log_info("the password was read again from %s: it has changed", password->path);
	passwords_free(&password->now);
	password->now = next;
	client_password_check(password);
}

static const char *find(void *context)
{
	struct client_password *password = context;
	struct stat now;

	if (!password->path)
		return password->now.current;
	if (stat(password->path, &now) < 0) {
		if (!password->is_missing)
			log_warning("the password stays as it was: %s: %s", password->path,
				strerror(errno));
		password->is_missing = true;
		return password->now.current;
	}
	password->is_missing = false;
	if (!same_file(&now, &password->seen)) {
		password->seen = now;
		read_again(password);
	}
	return password->now.current;
}

static bool is_set(const char *variable)
{
	const char *value = getenv(variable);

	return value && *value;
}

static bool takes_token(const struct client_config *config)
{
	return !config->password_file &&
	       (auth_mode_is_oidc_modal(getenv("VPROX_AUTH_MODE")) ||
		       (is_set("VPROX_OIDC_TOKEN") && !is_set("VPROX_PASSWORD")));
}

static int load(struct client_password *password, const struct client_config *config)
{
	if (takes_token(config))
		return passwords_load_token(password->command, &password->now);
	return load_file(password, &password->now);
}

/* What there is of passwords is not shown, and nobody's to have. */
static int open_source(struct client_password *password, struct client_config *config)
{
	passwords_clear(&(struct config_file){0}, &password->now);
	return github_token_open(&password->source, password->command, config);
}

int client_password_open(struct client_password *password, const struct command *command,
	struct client_config *config)
{
	*password = (struct client_password){.command = command};
	if (config->oidc_github)
		return open_source(password, config);
	if (config->token_file)
		config->password_file = config->token_file;
	*password = (struct client_password){.command = command,
		.path = config->password_file,
		.is_token = config->token_file != NULL};
	/* before it is read: a change in between is found later */
	if (password->path && stat(password->path, &password->seen) < 0)
		password->seen = (struct stat){0};
	config->shows_token = password->is_token || takes_token(config);
	config->password = find;
	config->password_context = password;
	return load(password, config);
}

void client_password_check(const struct client_password *password)
{
	if (password->path && !password->is_token)
		passwords_check(&password->now);
}

void client_password_close(struct client_password *password)
{
	token_source_wipe(&password->source);
	passwords_free(&password->now);
}

/* A client's password: of its file, which is read again when it has changed, or of the environment.
 */
#pragma once

#include <stdbool.h>
#include <sys/stat.h>

#include "client/token_source.h"
#include "cmd/password.h"

struct client_config;

struct client_password {
	const struct command *command;
	const char *path; /* NULL: it is of the environment */
	struct passwords now;
	bool is_token; /* no password that people share: the path is --token-file's */
	struct stat seen; /* the file that they are of, or that was of no use */
	bool is_missing; /* the file, and that was said */
	struct token_source source; /* of --oidc-github, where that is given */
};

/*
 * Loads it as passwords_load() does, or gets it as --oidc-github says, or of --token-file, or of
 * VPROX_OIDC_TOKEN: where VPROX_AUTH_MODE says so, or there is no VPROX_PASSWORD and no file. Has
 * the client ask here for it from then on. Returns 0 or -EINVAL, logged.
 */
int client_password_open(struct client_password *password, const struct command *command,
	struct client_config *config);

/* Warns of a password's file as passwords_check() does. Others may read a token's: who makes it, as
 * Kubernetes, says who. */
void client_password_check(const struct client_password *password);

/* Wipes and frees. */
void client_password_close(struct client_password *password);

/* A file with the options of a command, for --config. */
#pragma once

#include <stddef.h>

enum {
	CONFIG_FILE_MAX = 1 << 20, /* bytes */
};

/* One option, as it would stand on the command line. */
struct config_word {
	char *text;
	unsigned int line; /* that it comes from, from 1 */
};

struct config_file {
	const char *path; /* the caller's */
	struct config_word *words;
	size_t n;
	/* VPROX_PASSWORD and VPROX_PASSWORD_PREVIOUS; NULL: not there. May be wiped and freed by
	 * who uses them, if set to NULL then. */
	char *password, *previous;
	char *backend, *backend_token; /* BACKEND_ENDPOINT and BACKEND_ADMIN_TOKEN, likewise */
	/* VPROX_AUTH_MODE, and VPROX_OIDC_ISSUER, _AUDIENCE and _ALLOWED_WORKSPACE_IDS; NULL: not
	 * there. */
	char *auth_mode, *oidc_issuer, *oidc_audience, *oidc_workspaces;
};

/*
 * Reads the file: a NAME=VALUE a line, as systemd.exec(5) has it under EnvironmentFile=, so that a
 * file that was one goes on working. A NAME is that of an option, without its dashes, which without
 * a value stands alone; VPROX_FLAGS, options as on the command line; or a password, as above. Of
 * variables that are there twice the last counts. A line that begins with # or ; is a comment. Logs
 * what is wrong. Returns 0 or -errno; to be freed in either case.
 */
int config_file_read(const char *path, struct config_file *file);

/* Wipes and frees. */
void config_file_free(struct config_file *file);

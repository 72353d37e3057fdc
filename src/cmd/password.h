/* The password that clients must know, and on the server for a time the one before it. */
#pragma once

struct command;
struct config_file;

enum {
	PASSWORD_MAX = 4096, /* with its header it must fit into a request's 8 KiB */
};

/* The name that systemd.exec(5) knows it by: LoadCredential=. */
#define PASSWORD_CREDENTIAL "vprox-password"

struct passwords {
	char *current;
	char *previous; /* NULL: there is none */
	const char *file; /* that they come from, the caller's path; NULL: none */
};

/* The path of the service's credential, to be freed; NULL if there is none, or the environment has
 * a password, which comes before it. */
char *passwords_find_credential(void);

/*
 * Takes them from the file, unless it is NULL; else from the settings (NULL: there are none); else
 * from the environment, VPROX_PASSWORD and VPROX_PASSWORD_PREVIOUS. The copies in the environment,
 * readable for root in /proc, and in the settings are wiped in any case. A file has one on each of
 * its one or two lines; what it has, for people, is "password" or "token". Returns 0 or -EINVAL,
 * and writes what is wrong like usage_error(). To be freed with passwords_free().
 */
int passwords_load(const struct command *command, const char *file, const char *what,
	struct config_file *settings, struct passwords *passwords);

/* Likewise of VPROX_OIDC_TOKEN alone, in the place of the password; what there is of these is wiped
 * from the environment. */
int passwords_load_token(const struct command *command, struct passwords *passwords);

/* In place of passwords_load(), where there are to be none: wipes those of the environment, a
 * token's too, and of the settings. Returns 0. */
int passwords_clear(struct config_file *settings, struct passwords *passwords);

/* Warns of a file that others can read, unless it is a credential, and of a password that can be
 * guessed. */
void passwords_check(const struct passwords *passwords);

/* Wipes and frees. */
void passwords_free(struct passwords *passwords);

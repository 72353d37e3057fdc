/* The password that clients must know: the environment's VPROX_PASSWORD. */
#pragma once

enum {
	PASSWORD_MAX = 4096, /* with its header it must fit into a request's 8 KiB */
};

/*
 * Takes the password out of the environment, whose copy, readable for root in /proc, is wiped.
 * Returns NULL, or what is wrong with it, for people, to follow its name. To be freed with
 * password_free().
 */
const char *password_from_environment(char **password);

/* Wipes and frees. NULL is fine. */
void password_free(char *password);

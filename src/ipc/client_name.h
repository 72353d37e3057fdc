/*
 * The name that a client has proved to have: "KIND:TEXT", of printable ASCII without blanks, so
 * that it is one word in a log line, can do nothing to a terminal, and is of one kind only. A
 * client that has shown the password alone has none: the text is "".
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum {
	CLIENT_NAME_SIZE = 128, /* with the kind and the final NUL */
};

enum client_name_kind {
	CLIENT_NAME_NONE,
	CLIENT_NAME_TOKEN, /* "token:NAME", from --tokens */
	CLIENT_NAME_OIDC, /* "oidc:CLAIM", from a token of an issuer's */
	CLIENT_NAME_KIND_END,
};

struct client_name {
	char s[CLIENT_NAME_SIZE]; /* zero after its end */
};

/* "token" or "oidc"; "" of CLIENT_NAME_NONE. */
const char *client_name_kind_text(enum client_name_kind kind);

/*
 * Makes a name. What of the text is not printable ASCII, and '%' too, becomes %XX, so that no two
 * texts make one name. Returns 0, -EINVAL if the text is empty, or -ENAMETOOLONG if there is no
 * room for it; then the name is none.
 */
int client_name_make(enum client_name_kind kind, const char *text, struct client_name *name);

/* Of text that others keep: a name as it was made, or "". Returns 0, or -EINVAL and none. */
int client_name_parse(const char *text, struct client_name *name);

/* Whether what was received can be one: none, or as client_name_make() makes it. */
bool client_name_is_valid(const struct client_name *name);

/* Of a valid one. */
enum client_name_kind client_name_kind(const struct client_name *name);
bool client_name_is_none(const struct client_name *name);
bool client_name_equal(const struct client_name *a, const struct client_name *b);

/* For the end of what a log line calls the client: " (token:NAME)", or "" for none. */
struct client_name_note {
	char s[CLIENT_NAME_SIZE + sizeof " ()"];
};
struct client_name_note client_name_note(const struct client_name *name);

/* Reads what `vprox server` is told: at its start, and again while it runs. */
#pragma once

#include "cmd/option_words.h"
#include "server/config.h"

/* What the command's options are written to. */
struct server_command {
	struct server_config config; /* first: the table's offsets are of this one */
	struct option_words *words; /* that it was made of */
};

/* What the configuration in force was made of. */
struct server_source {
	const struct option_words *at_start; /* in force of what needs a restart */
	struct option_words latest; /* of the last reading that was used; n is 0: at_start */
	struct option_words next; /* of one that is not in force yet */
	bool is_password_new; /* in that */
	bool are_tokens_new; /* likewise */
	const char *credential; /* the caller's path; NULL: there is none */
	bool is_in_environment; /* the password is, where it cannot be read again */
	struct bearer of_environment; /* if so */
	struct token_set *tokens; /* in force; NULL: none */
	struct token_set *next_tokens; /* of a reading that is not in force yet */
};

/* Checks the options together and reads the passwords; the log is the server's after that. Returns
 * an exit status. source is to be freed with server_source_free(), the credential set before. */
int server_read(struct server_command *command, struct server_source *source);

/* A struct config_source's; context is a struct server_source. */
int server_read_again(void *context, struct server_config *config);
const char *server_settle(void *context, bool is_used);

void server_source_free(struct server_source *source);

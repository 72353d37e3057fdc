/* The words of a command line, among them those of the file that --config names. */
#pragma once

#include <stdbool.h>

#include "cmd/config_file.h"

struct command;

/* An option that was given. */
struct option_given {
	const char *name; /* of the table */
	const char *text; /* its value; NULL: it has none */
};

struct option_words {
	int argc; /* as the process was started */
	char **argv;
	struct config_file file; /* path NULL: there is none */
	char **words; /* of both, a NULL behind them: the file's in the place of --config */
	int n;
	struct option_given *given; /* once they were parsed */
	size_t n_given;
};

/* Where a word comes from, for what is wrong with it: "FILE, line N: ", or nothing. */
struct word_place {
	char s[256];
};

/* Reads the file, if there may be one and is. Logs. Returns 0 or -errno; to be freed
 * in either case. argc and argv must stay. */
int option_words_read(int argc, char **argv, bool may_have_file, struct option_words *words);
void option_words_free(struct option_words *words);

/* word points to or into one of them. */
struct word_place option_words_place(const struct option_words *words, const char *word);

/* Records that an option was given. Returns 0 or -ENOMEM. */
int option_words_give(struct option_words *words, const char *name, const char *text);

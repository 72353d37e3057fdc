/* Refuses options that would do nothing as they are given: who writes one expects something of it.
 * Runs in the process that the user has started, and when its configuration is read again. */
#include "cmd/option_terms.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/command.h"
#include "cmd/option_words.h"
#include "cmd/usage.h"

enum {
	TERM_SIZE = 64,
	TERMS_SIZE = 256,
};

static const char dashes[] = "--";

/* All that a term is judged by. */
struct judged {
	const struct command *command;
	const struct option_words *words;
	const char *operand;
};

static const struct command_option *find_option(const struct command *command, const char *name)
{
	for (const struct command_option *option = command->options; option->name; option++)
		if (strcmp(option->name, name) == 0)
			return option;
	abort(); /* the table names an option that it has not got */
}

/* Of one that may be repeated each value counts, else the last. */
static bool is_given(
	const struct judged *given, const struct command_option *option, const char *pattern)
{
	bool is_given = false;

	for (size_t i = 0; i < given->words->n_given; i++) {
		const struct option_given *one = &given->words->given[i];

		if (strcmp(one->name, option->name) == 0)
			is_given = (is_given && option->is_repeatable) ||
				   fnmatch(pattern, one->text ? one->text : "", 0) == 0;
	}
	return is_given;
}

/* "--name", "--name=PATTERN", or the operand as the command calls it. */
static bool holds(const struct judged *given, char *term)
{
	const struct command_option *option;
	char *pattern;

	if (strncmp(term, dashes, strlen(dashes)) != 0)
		return given->operand != NULL;
	pattern = strchr(term, '=');
	if (pattern)
		*pattern++ = '\0';
	option = find_option(given->command, term + strlen(dashes));
	return is_given(given, option, pattern ? pattern : "*");
}

/* The next of several with blanks between. Returns whether there is one. */
static bool next_term(const char **terms, char term[TERM_SIZE])
{
	size_t n;

	*terms += strspn(*terms, " ");
	n = strcspn(*terms, " ");
	snprintf(term, TERM_SIZE, "%.*s", (int)n, *terms);
	*terms += n;
	return n > 0;
}

/* The first that holds. Returns whether one does. */
static bool find_holding(const struct judged *given, const char *terms, char found[TERM_SIZE])
{
	char term[TERM_SIZE];

	while (next_term(&terms, found)) {
		memcpy(term, found, sizeof term);
		if (holds(given, term))
			return true;
	}
	return false;
}

/* A value of the option itself that needs nothing beside it is no advice. */
static bool is_of_itself(const char *term, const struct command_option *option)
{
	const size_t n = strlen(option->name);

	return strncmp(term, dashes, strlen(dashes)) == 0 &&
	       strncmp(term + strlen(dashes), option->name, n) == 0 &&
	       term[strlen(dashes) + n] == '=';
}

/* For people: "--a or --b=etcd://...". */
static void describe(const struct command_option *option, char text[TERMS_SIZE])
{
	const char *terms = option->only_with;
	char term[TERM_SIZE];
	size_t n = 0;

	text[0] = '\0';
	while (next_term(&terms, term) && n < TERMS_SIZE) {
		const char *star = strchr(term, '*');
		const int before = star ? (int)(star - term) : (int)strlen(term);

		if (!is_of_itself(term, option))
			n += (size_t)snprintf(text + n, TERMS_SIZE - n, "%s%.*s%s%s",
				n > 0 ? " or " : "", before, term, star ? "..." : "",
				star ? star + 1 : "");
	}
}

static int check_option(const struct judged *given, const struct option_use *use)
{
	const struct command_option *option = use->option;
	char term[TERM_SIZE], terms[TERMS_SIZE];

	if (option->not_with && find_holding(given, option->not_with, term))
		return option_error(
			use, "does not go together with %s: leave out one of them", term);
	if (!option->only_with || find_holding(given, option->only_with, term))
		return 0;
	describe(option, terms);
	return option_error(use, "has no effect without %s", terms);
}

int option_terms_check(
	const struct command *command, const struct option_words *words, const char *operand)
{
	const struct judged given = {command, words, operand};
	int error = 0;

	for (size_t i = 0; error == 0 && i < words->n_given; i++) {
		const struct option_given *one = &words->given[i];
		const struct word_place place = option_words_place(words, one->text);
		const struct option_use use = {
			command, find_option(command, one->name), one->text, place.s, NULL};

		error = check_option(&given, &use);
	}
	return error;
}

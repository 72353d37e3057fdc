/* Compares options as they are written. Runs in the broker, when the configuration was read again.
 */
#include "cmd/live_options.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "base/log.h"
#include "cmd/command.h"
#include "cmd/option_words.h"

static bool is_given(
	const struct option_words *words, const struct command_option *option, const char *text)
{
	for (size_t i = 0; i < words->n_given; i++)
		if (strcmp(words->given[i].name, option->name) == 0 &&
			strcmp(words->given[i].text ? words->given[i].text : "", text) == 0)
			return true;
	return false;
}

/* Logs those values that are given in one reading and not in the other. */
static unsigned int log_missing(const struct command_option *option,
	const struct option_words *words, const struct option_words *others, const char *what)
{
	unsigned int n = 0;

	for (size_t i = 0; i < words->n_given; i++) {
		const char *text = words->given[i].text ? words->given[i].text : "";

		if (strcmp(words->given[i].name, option->name) != 0 ||
			is_given(others, option, text))
			continue;
		log_info("--%s %s: %s", option->name, text, what);
		n++;
	}
	return n;
}

/* The last one counts. */
static const char *value_of(const struct option_words *words, const struct command_option *option)
{
	const char *value = option->initial     ? option->initial
			    : option->otherwise ? option->otherwise
						: "not given";

	for (size_t i = 0; i < words->n_given; i++)
		if (strcmp(words->given[i].name, option->name) == 0)
			value = words->given[i].text ? words->given[i].text : "given";
	return value;
}

static bool differs(const struct command_option *option, const struct option_words *before,
	const struct option_words *now)
{
	if (!option->is_repeatable)
		return strcmp(value_of(before, option), value_of(now, option)) != 0;
	for (size_t i = 0; i < before->n_given; i++)
		if (strcmp(before->given[i].name, option->name) == 0 &&
			!is_given(now, option, before->given[i].text))
			return true;
	for (size_t i = 0; i < now->n_given; i++)
		if (strcmp(now->given[i].name, option->name) == 0 &&
			!is_given(before, option, now->given[i].text))
			return true;
	return false;
}

static unsigned int log_option(const struct command_option *option,
	const struct option_words *before, const struct option_words *now)
{
	if (option->is_repeatable)
		return log_missing(option, before, now, "removed") +
		       log_missing(option, now, before, "added");
	log_info("--%s: %s, was %s", option->name, value_of(now, option), value_of(before, option));
	return 1;
}

unsigned int live_options_log(const struct command *command, const struct option_words *at_start,
	const struct option_words *before, const struct option_words *now)
{
	unsigned int n = 0;

	for (const struct command_option *option = command->options; option->name; option++) {
		bool is_new = differs(option, before, now);

		if (!option->is_live && differs(option, at_start, now))
			log_warning("restart to change --%s", option->name);
		if (is_new)
			n += option->is_live ? log_option(option, before, now) : 1;
	}
	return n;
}

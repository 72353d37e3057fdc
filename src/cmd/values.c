/* Checks the values of options by their types, and writes what is wrong with one: the functions
 * that tables of options name. Runs in the process that the user has started. */
#include "cmd/values.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/usage.h"

enum {
	CHOICES_SIZE = 128,
};

static const uint64_t longest_ms = UINT64_C(366) * 24 * 3600 * 1000;

int option_parse_duration(const char *text, uint64_t *milliseconds)
{
	static const struct {
		const char *suffix;
		uint64_t milliseconds;
	} units[] = {{"ms", 1}, {"s", 1000}, {"m", 60 * 1000}, {"h", 3600 * 1000}, {"", 1000}};
	size_t n_digits = strspn(text, "0123456789");

	if (n_digits == 0 || n_digits > 12)
		return -EINVAL;
	for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
		if (strcmp(text + n_digits, units[i].suffix) != 0)
			continue;
		*milliseconds = strtoull(text, NULL, 10) * units[i].milliseconds;
		return *milliseconds > 0 && *milliseconds <= longest_ms ? 0 : -EINVAL;
	}
	return -EINVAL;
}

int option_parse_number(const char *text, uint64_t min, uint64_t max, unsigned int *number)
{
	size_t n_digits = strspn(text, "0123456789");
	unsigned long value;

	if (n_digits == 0 || n_digits > 10 || text[n_digits] != '\0')
		return -EINVAL;
	value = strtoul(text, NULL, 10);
	if (value < min || value > max)
		return -EINVAL;
	*number = (unsigned int)value;
	return 0;
}

int option_flag(const struct option_use *use, void *field)
{
	(void)use;
	*(bool *)field = true;
	return 0;
}

/* "a|b|c" as "a, b or c". */
static void write_choices(const char *choices, char text[CHOICES_SIZE])
{
	size_t used = 0;

	for (const char *p = choices; *p && used + 5 < CHOICES_SIZE; p++)
		if (*p != '|')
			text[used++] = *p;
		else
			used += (size_t)snprintf(text + used, CHOICES_SIZE - used, "%s",
				strchr(p + 1, '|') ? ", " : " or ");
	text[used] = '\0';
}

int option_choice(const struct option_use *use, void *field)
{
	const char *choice = use->option->argument;
	char choices[CHOICES_SIZE];

	for (unsigned int i = 0; *choice; i++) {
		size_t length = strcspn(choice, "|");

		if (strlen(use->text) == length && strncmp(use->text, choice, length) == 0) {
			*(unsigned int *)field = i;
			return 0;
		}
		choice += length;
		choice += *choice == '|';
	}
	write_choices(use->option->argument, choices);
	return option_error(use, "must be %s", choices);
}

int option_count(const struct option_use *use, void *field)
{
	const uint64_t min = use->option->min, max = use->option->max;

	if (option_parse_number(use->text, min, max, field) < 0)
		return option_error(use, "not a number from %" PRIu64 " to %" PRIu64, min, max);
	return 0;
}

int option_time(const struct option_use *use, void *field)
{
	const uint64_t min = use->option->min, max = use->option->max;
	uint64_t value;

	if (option_parse_duration(use->text, &value) < 0)
		return option_error(use, "not a time such as 90s, 5m or 500ms");
	if (value < min)
		return option_error(use, "must be %" PRIu64 "ms at least", min);
	if (max > 0 && value > max)
		return option_error(use, "must be %" PRIu64 "ms at most", max);
	*(uint64_t *)field = value;
	return 0;
}

int option_path(const struct option_use *use, void *field)
{
	if (*use->text == '\0' || strlen(use->text) >= PATH_MAX)
		return option_error(use, "not a file's path");
	*(const char **)field = use->text;
	return 0;
}

int option_text(const struct option_use *use, void *field)
{
	if (*use->text == '\0')
		return option_error(use, "must not be empty");
	*(const char **)field = use->text;
	return 0;
}

int option_resolver(const struct option_use *use, void *field)
{
	struct ipv4 address;
	int error = ipv4_parse(use->text, &address);

	if (error < 0)
		return option_error(use, "not an IPv4 address");
	error = resolvers_add(field, address);
	if (error == -EINVAL)
		return option_error(use, "no name server can be reached at such an address");
	if (error == -EEXIST)
		return option_error(use, "given twice");
	if (error < 0)
		return option_error(use, "there are %d already, more are not asked", RESOLVERS_MAX);
	return 0;
}

#include "cmd/options.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

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

int option_parse_number(
	const char *text, unsigned long min, unsigned long max, unsigned int *number)
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

int option_parse_plane(const char *text, enum plane_choice *plane)
{
	static const struct {
		const char *name;
		enum plane_choice plane;
	} planes[] = {{"auto", PLANE_AUTO}, {"kernel", PLANE_KERNEL}, {"embedded", PLANE_EMBEDDED}};

	for (size_t i = 0; i < sizeof planes / sizeof *planes; i++)
		if (strcmp(text, planes[i].name) == 0) {
			*plane = planes[i].plane;
			return 0;
		}
	return -EINVAL;
}

/* Writes bytes, rates and spans of time as people read them. Runs in the process of `vprox show`.
 */
#include "cmd/units.h"

#include <stddef.h>
#include <stdio.h>

enum {
	STEP = 1024,
	S = 1,
	M = 60 * S,
	H = 60 * M,
	D = 24 * H,
};

static const char *const names[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};

static struct unit_text with_unit(uint64_t bytes, const char *suffix)
{
	struct unit_text text;
	double value = (double)bytes;
	size_t unit = 0;

	/* 1023.996 would be written 1024.00 */
	while (value >= STEP - 0.005 && unit + 1 < sizeof names / sizeof *names) {
		value /= STEP;
		unit++;
	}
	if (unit == 0)
		snprintf(text.s, sizeof text.s, "%u B%s", (unsigned int)bytes, suffix);
	else
		snprintf(text.s, sizeof text.s, "%.2f %s%s", value, names[unit], suffix);
	return text;
}

struct unit_text unit_bytes(uint64_t bytes)
{
	return with_unit(bytes, "");
}

struct unit_text unit_rate(uint64_t bytes_per_second)
{
	return with_unit(bytes_per_second, "/s");
}

struct unit_text unit_short(uint64_t bytes)
{
	struct unit_text text;
	double value = (double)bytes;
	size_t unit = 0;

	while (value >= STEP - 0.5 && unit + 1 < sizeof names / sizeof *names) {
		value /= STEP;
		unit++;
	}
	if (unit == 0)
		snprintf(text.s, sizeof text.s, "%u", (unsigned int)bytes);
	else /* 9.96 would be written 10.0 */
		snprintf(text.s, sizeof text.s, "%.*f%c", value < 9.95 ? 1 : 0, value,
			names[unit][0]);
	return text;
}

struct unit_text unit_span(uint64_t milliseconds)
{
	unsigned long long s = milliseconds / 1000;
	struct unit_text text;

	if (s < M)
		snprintf(text.s, sizeof text.s, "%llus", s);
	else if (s < H)
		snprintf(text.s, sizeof text.s, "%llum %llus", s / M, s % M);
	else if (s < D)
		snprintf(text.s, sizeof text.s, "%lluh %llum", s / H, s % H / M);
	else
		snprintf(text.s, sizeof text.s, "%llud %lluh", s / D, s % D / H);
	return text;
}

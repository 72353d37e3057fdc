/* Values of options: what is behind the types that several commands' tables name. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/resolvers.h"
#include "cmd/command.h"

/* For a table: an option whose value is of this type, and the field of the configuration that it
 * is written to. */
#define OPTION_FLAG(configuration, field) OPTION_FIELD(configuration, field, bool, option_flag)
/* An enum without gaps from 0 on, in the order in which .argument has the choices. */
#define OPTION_CHOICE(configuration, field)                                                        \
	OPTION_FIELD(configuration, field, unsigned int, option_choice)
/* From .min to .max. */
#define OPTION_COUNT(configuration, field)                                                         \
	OPTION_FIELD(configuration, field, unsigned int, option_count)
/* Milliseconds, from .min to .max, which default to 1 ms and a year. */
#define OPTION_TIME(configuration, field) OPTION_FIELD(configuration, field, uint64_t, option_time)
/* Text that is kept by reference: not empty, and short enough for a path. */
#define OPTION_PATH(configuration, field)                                                          \
	OPTION_FIELD(configuration, field, const char *, option_path)
#define OPTION_TEXT(configuration, field)                                                          \
	OPTION_FIELD(configuration, field, const char *, option_text)

/* One more name server of a list. */
#define OPTION_RESOLVER(configuration, field)                                                      \
	OPTION_FIELD(configuration, field, struct resolvers, option_resolver)

option_parser option_resolver;
option_parser option_flag, option_choice, option_count, option_time, option_path, option_text;

/* "5m", "90s", "500ms", "2h", "2" (seconds). At least 1 ms, at most a year. Returns 0 or -EINVAL.
 */
int option_parse_duration(const char *text, uint64_t *milliseconds);

/* A decimal number from min to max. Returns 0 or -EINVAL. */
int option_parse_number(const char *text, uint64_t min, uint64_t max, unsigned int *number);

/* What differs between two readings of a command's options. */
#pragma once

struct command;
struct option_words;

/*
 * Logs it, a line for each value: of options that are live, what has changed since the reading
 * before; of others, each time for as long as it is another than at the start, that it takes a
 * restart. Returns how many values differ from the reading before.
 */
unsigned int live_options_log(const struct command *command, const struct option_words *at_start,
	const struct option_words *before, const struct option_words *now);

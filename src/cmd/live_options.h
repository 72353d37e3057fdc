/* What differs between two readings of a command's options. */
#pragma once

struct command;
struct option_words;

/* Logs it, a line for each value: of options that are live, what has changed; of others, that it
 * takes a restart. Returns how many lines there were. */
unsigned int live_options_log(const struct command *command, const struct option_words *before,
	const struct option_words *now);

/* What options need beside them, and what they do not go together with, as a command's table says.
 */
#pragma once

struct command;
struct option_words;

/*
 * Whether each option that was given has an effect: checks .only_with and .not_with of the table.
 * operand: NULL if there is none. Returns 0, or -EINVAL with the fault written.
 */
int option_terms_check(
	const struct command *command, const struct option_words *words, const char *operand);

/* The passwords of the server and the client, out of a file or the environment: read and checked by
 * the process that the user has started, at its start and when the server is told to read its
 * configuration again. */
#include "cmd/password.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/log.h"
#include "cmd/config_file.h"
#include "cmd/usage.h"

enum {
	SHORTEST_GOOD_PASSWORD = 16, /* characters */
	FILE_MAX = 2 * (PASSWORD_MAX + 1),
	PLACE_SIZE = 256,
};

/* The first one counts. */
enum password_source {
	OWN_FILE,
	SETTINGS,
	ENVIRONMENT,
	N_SOURCES,
};

static const char variable[] = "VPROX_PASSWORD", variable_of_previous[] = "VPROX_PASSWORD_PREVIOUS",
		  variable_of_token[] = "VPROX_OIDC_TOKEN";

/* What a header's value may hold, and keep on its way: RFC 9110, 5.5. */
static bool can_be_sent(const char *password)
{
	const char *last = password + strlen(password) - 1;

	for (const char *p = password; *p; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			return false;
	return *password != ' ' && *last != ' ';
}

/* Copies a password. Returns NULL, or what is wrong with it, for people, to follow its name. */
static const char *keep(const char *text, char **password)
{
	if (!can_be_sent(text))
		return "has a control character (such as a line break) in it, or a blank at its "
		       "beginning or end: no client could send it";
	if (strlen(text) > PASSWORD_MAX)
		return "is longer than 4096 bytes";
	*password = strdup(text);
	return *password ? NULL : "cannot be kept: out of memory";
}

/* Wipes a value that was taken. */
static const char *take(char *value, char **password)
{
	const char *fault = value && *value ? keep(value, password) : NULL;

	if (value)
		explicit_bzero(value, strlen(value));
	return fault;
}

static int take_values(const struct command *command, const char *place, char *current,
	char *previous, struct passwords *passwords)
{
	const char *fault = take(current, &passwords->current);
	const char *fault_of_previous = take(previous, &passwords->previous);

	if (fault)
		return usage_error(command, "%s%s %s", place, variable, fault);
	if (fault_of_previous)
		return usage_error(
			command, "%s%s %s", place, variable_of_previous, fault_of_previous);
	if (!passwords->current && passwords->previous)
		return usage_error(command, "%s%s is set, and %s is not", place,
			variable_of_previous, variable);
	return 0;
}

static void unset(const char *name)
{
	char *value = getenv(name);

	if (value)
		explicit_bzero(value, strlen(value));
	unsetenv(name);
}

/* Of what is not used nobody else is to know either: the command of `vprox exec` among them. */
static void clear_environment(void)
{
	unset(variable);
	unset(variable_of_previous);
	unset(variable_of_token);
}

static int take_from_environment(const struct command *command, struct passwords *passwords)
{
	int error =
		take_values(command, "", getenv(variable), getenv(variable_of_previous), passwords);

	clear_environment();
	return error;
}

static int take_from_settings(
	const struct command *command, struct config_file *settings, struct passwords *passwords)
{
	char place[PLACE_SIZE] = "";
	int error;

	if (settings->path)
		snprintf(place, sizeof place, "%s: ", settings->path);
	error = take_values(command, place, settings->password, settings->previous, passwords);
	free(settings->password);
	free(settings->previous);
	settings->password = settings->previous = NULL;
	return error;
}

static int keep_line(const struct command *command, const char *path, int number, const char *line,
	char **password)
{
	const char *fault = *line ? keep(line, password) : "is empty";

	return fault ? usage_error(command, "%s: line %d %s", path, number, fault) : 0;
}

static int take_lines(
	const struct command *command, const char *path, char *text, struct passwords *passwords)
{
	char *first = strsep(&text, "\n"), *second = strsep(&text, "\n");
	int error = keep_line(command, path, 1, first, &passwords->current);

	if (error == 0 && second && *second)
		error = keep_line(command, path, 2, second, &passwords->previous);
	if (error == 0 && text && *text)
		error = usage_error(command,
			"%s: has more than two lines: the password, and the one before", path);
	return error;
}

static int take_from_file(const struct command *command, const char *path, const char *what,
	struct passwords *passwords)
{
	auto_free char *text = NULL;
	size_t length;
	int error = file_read(path, FILE_MAX, &text, &length);

	if (error < 0)
		return usage_error(
			command, "cannot read the %s's file %s: %s", what, path, strerror(-error));
	error = strlen(text) == length ? take_lines(command, path, text, passwords)
				       : usage_error(command, "%s: is no text", path);
	explicit_bzero(text, length);
	return error;
}

char *passwords_find_credential(void)
{
	const char *folder = getenv("CREDENTIALS_DIRECTORY"), *value = getenv(variable);
	char *path = NULL;

	if (!folder || (value && *value) ||
		asprintf(&path, "%s/%s", folder, PASSWORD_CREDENTIAL) < 0)
		return NULL;
	if (access(path, F_OK) == 0)
		return path;
	free(path);
	return NULL;
}

/* What is in there is as the service manager made it. */
static bool is_credential(const char *file)
{
	const char *folder = getenv("CREDENTIALS_DIRECTORY");

	return folder && strncmp(file, folder, strlen(folder)) == 0;
}

/* All are asked, and so wiped. Returns which one counts, or -EINVAL. */
static int take_all(const struct command *command, const char *file, const char *what,
	struct config_file *settings, struct passwords found[N_SOURCES])
{
	int error = take_from_environment(command, &found[ENVIRONMENT]);

	if (error == 0 && settings)
		error = take_from_settings(command, settings, &found[SETTINGS]);
	if (error == 0 && file)
		error = take_from_file(command, file, what, &found[OWN_FILE]);
	for (int i = 0; i < N_SOURCES && error == 0; i++)
		if (found[i].current)
			return i;
	return error < 0 ? error
			 : usage_error(command,
				   "%s is not set: put the password that clients and server share "
				   "into the environment, or into a file, and name that with "
				   "--password-file; or have tokens take its place",
				   variable);
}

int passwords_load(const struct command *command, const char *file, const char *what,
	struct config_file *settings, struct passwords *passwords)
{
	struct passwords found[N_SOURCES] = {0};
	int source = take_all(command, file, what, settings, found);

	*passwords = (struct passwords){0};
	for (int i = 0; i < N_SOURCES; i++)
		if (i == source)
			*passwords = found[i];
		else
			passwords_free(&found[i]);
	if (source == OWN_FILE)
		passwords->file = file;
	else if (source == SETTINGS)
		passwords->file = settings->path;
	return source < 0 ? source : 0;
}

/* Whoever guesses it has a tunnel; and gates slow guessing down, but do not end it. */
void passwords_check(const struct passwords *passwords)
{
	const char *file = passwords->file;

	if (file && !is_credential(file))
		file_warn_if_exposed(file);
	if (strlen(passwords->current) < SHORTEST_GOOD_PASSWORD)
		log_warning("the password has less than %d characters, and can be guessed: make "
			    "one with `openssl rand -base64 24`",
			SHORTEST_GOOD_PASSWORD);
}

static void wipe(char *password)
{
	if (password)
		explicit_bzero(password, strlen(password));
	free(password);
}

void passwords_free(struct passwords *passwords)
{
	wipe(passwords->current);
	wipe(passwords->previous);
	*passwords = (struct passwords){0};
}

int passwords_clear(struct config_file *settings, struct passwords *passwords)
{
	clear_environment();
	wipe(settings->password);
	wipe(settings->previous);
	settings->password = settings->previous = NULL;
	*passwords = (struct passwords){0};
	return 0;
}

int passwords_load_token(const struct command *command, struct passwords *passwords)
{
	const char *fault;

	*passwords = (struct passwords){0};
	fault = take(getenv(variable_of_token), &passwords->current);
	clear_environment();
	if (fault)
		return usage_error(command, "%s %s", variable_of_token, fault);
	return passwords->current
		       ? 0
		       : usage_error(command, "%s is not set, and VPROX_AUTH_MODE says that it is",
				 variable_of_token);
}

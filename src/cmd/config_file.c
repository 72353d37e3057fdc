/* Reads a file of options into words of a command line. Runs in the process that the user has
 * started, at its start and when it is told to read its configuration again. */
#include "cmd/config_file.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/log.h"

static const char blanks[] = " \t\r", separators[] = " \t\r\n";
static const char letters_of_variables[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_";
static const char letters_of_names[] =
	"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";

enum { NAME_SIZE = 64 }; /* as much of one is shown, with a NUL */

/* Where the reading is. What was read is written over the text itself, which it never outgrows. */
struct cursor {
	char *in, *out;
	unsigned int n_lines; /* whose ends were passed over */
};

struct reader {
	struct config_file *file;
	char *next;
	unsigned int line;
	size_t first_flag, n_flags; /* which of the words are those of VPROX_FLAGS */
};

static int fault(const struct reader *reader, const char *name, const char *what)
{
	log_error("%s, line %u: %s: %s", reader->file->path, reader->line, name, what);
	return -EINVAL;
}

static int add_word(struct reader *reader, char *text)
{
	struct config_file *file = reader->file;
	struct config_word *grown =
		text ? reallocarray(file->words, file->n + 1, sizeof *grown) : NULL;

	if (!grown) {
		free(text);
		return -ENOMEM;
	}
	file->words = grown;
	grown[file->n++] = (struct config_word){text, reader->line};
	return 0;
}

static void take(struct cursor *cursor)
{
	cursor->n_lines += *cursor->in == '\n';
	*cursor->out++ = *cursor->in++;
}

/* After a backslash. */
static void read_escaped(struct cursor *cursor, bool is_quoted)
{
	if (*cursor->in == '\n') {
		cursor->n_lines++;
		cursor->in++;
		return;
	}
	if (is_quoted && !strchr("\"\\`$", *cursor->in))
		*cursor->out++ = '\\';
	if (*cursor->in)
		take(cursor);
}

/* From the opening quote on. */
static void read_quoted(struct cursor *cursor)
{
	const char quote = *cursor->in++;

	while (*cursor->in && *cursor->in != quote)
		if (*cursor->in == '\\' && quote == '"') {
			cursor->in++;
			read_escaped(cursor, true);
		} else {
			take(cursor);
		}
	cursor->in += *cursor->in == quote;
}

/* Up to the end of the line. */
static void read_bare(struct cursor *cursor)
{
	const char *const begin = cursor->out;

	while (*cursor->in && *cursor->in != '\n')
		if (*cursor->in == '\\') {
			cursor->in++;
			read_escaped(cursor, false);
		} else {
			take(cursor);
		}
	while (cursor->out > begin && strchr(blanks, cursor->out[-1]))
		cursor->out--;
}

static bool is_quote(char c)
{
	return c == '"' || c == '\'';
}

/* The value behind the equals sign, with its quotes and escapes taken out. */
static char *read_value(struct reader *reader, char *begin, unsigned int *n_lines)
{
	struct cursor cursor = {begin, begin, 0};

	for (cursor.in += strspn(cursor.in, blanks); *cursor.in && *cursor.in != '\n';
		cursor.in += strspn(cursor.in, blanks))
		if (is_quote(*cursor.in))
			read_quoted(&cursor);
		else
			read_bare(&cursor);
	reader->next = cursor.in + (*cursor.in == '\n');
	*n_lines = cursor.n_lines + 1;
	*cursor.out = '\0';
	return begin;
}

/* The next word of options, with its quotes taken out; *text goes on behind it. NULL: there is
 * none. */
static char *next_word(char **text)
{
	char *const word = *text + strspn(*text, separators);
	struct cursor cursor = {word, word, 0};

	while (*cursor.in && !strchr(separators, *cursor.in))
		if (is_quote(*cursor.in)) {
			read_quoted(&cursor);
		} else if (*cursor.in == '\\') {
			cursor.in++;
			read_escaped(&cursor, false);
		} else {
			take(&cursor);
		}
	if (cursor.in == word)
		return NULL;
	*text = cursor.in + (*cursor.in != '\0');
	*cursor.out = '\0';
	return word;
}

static void wipe(char *text)
{
	if (text)
		explicit_bzero(text, strlen(text));
	free(text);
}

static void forget_flags(struct reader *reader)
{
	struct config_file *file = reader->file;
	struct config_word *flags = file->words + reader->first_flag;
	size_t n = reader->n_flags;

	if (n == 0)
		return;
	for (size_t i = 0; i < n; i++)
		wipe(flags[i].text);
	file->n -= n;
	memmove(flags, flags + n, (file->n - reader->first_flag) * sizeof *flags);
}

/* A variable that is set twice has the later value. */
static int set_flags(struct reader *reader, char *value)
{
	char *word;
	int error = 0;

	forget_flags(reader);
	reader->first_flag = reader->file->n;
	while (error == 0 && (word = next_word(&value)))
		error = add_word(reader, strdup(word));
	reader->n_flags = reader->file->n - reader->first_flag;
	return error;
}

/* An empty one is none. */
static int keep(char **kept, const char *value)
{
	wipe(*kept);
	*kept = *value ? strdup(value) : NULL;
	return *kept || !*value ? 0 : -ENOMEM;
}

/* Others than ours were the service manager's once, and are nobody's now. */
static int add_variable(struct reader *reader, const char *name, char *value)
{
	if (strcmp(name, "VPROX_FLAGS") == 0)
		return set_flags(reader, value);
	if (strcmp(name, "VPROX_PASSWORD") == 0)
		return keep(&reader->file->password, value);
	if (strcmp(name, "VPROX_PASSWORD_PREVIOUS") == 0)
		return keep(&reader->file->previous, value);
	if (strcmp(name, "BACKEND_ENDPOINT") == 0)
		return keep(&reader->file->backend, value);
	if (strcmp(name, "BACKEND_ADMIN_TOKEN") == 0)
		return keep(&reader->file->backend_token, value);
	if (strcmp(name, "VPROX_AUTH_MODE") == 0)
		return keep(&reader->file->auth_mode, value);
	if (strcmp(name, "VPROX_OIDC_ISSUER") == 0)
		return keep(&reader->file->oidc_issuer, value);
	if (strcmp(name, "VPROX_OIDC_AUDIENCE") == 0)
		return keep(&reader->file->oidc_audience, value);
	if (strcmp(name, "VPROX_OIDC_ALLOWED_WORKSPACE_IDS") == 0)
		return keep(&reader->file->oidc_workspaces, value);
	if (strncmp(name, "VPROX_", strlen("VPROX_")) == 0)
		return fault(reader, name, "no such setting");
	log_warning("%s, line %u: %s has no effect here", reader->file->path, reader->line, name);
	return 0;
}

/* Options may be cut short: a password would be taken for the name of its file, and logged. */
static bool is_cut_short(const char *name, const char *part, const char *whole)
{
	return strncmp(name, part, strlen(part)) == 0 && strcmp(name, whole) != 0;
}

/* A line that lacks its equals sign: what stands in its place may be a secret, and is not logged.
 */
static int refuse_line(const struct reader *reader, const char *line)
{
	char name[NAME_SIZE];

	snprintf(name, sizeof name, "%.*s", (int)strspn(line, letters_of_names), line);
	return fault(reader, *name ? name : "?", "there is no = behind it");
}

static int add_option(struct reader *reader, const char *name, const char *value)
{
	char *word;

	if (strcmp(name, "config") == 0)
		return fault(reader, name, "a file of options names no other");
	if (!value && name[strspn(name, letters_of_names)] != '\0')
		return refuse_line(reader, name);
	if (is_cut_short(name, "pass", "password-file"))
		return fault(reader, name, "the password is VPROX_PASSWORD");
	if (is_cut_short(name, "etcd-p", "etcd-password-file"))
		return fault(reader, name, "a file has it, which etcd-password-file names");
	if (asprintf(&word, "--%s%s%s", name, value ? "=" : "", value ? value : "") < 0)
		return -ENOMEM;
	return add_word(reader, word);
}

/* A line, and those that it goes on in. */
static int read_line(struct reader *reader)
{
	char *name = reader->next, *value = NULL, *end;
	unsigned int n_lines = 1;
	int error = 0;

	name += strspn(name, blanks);
	end = name + strcspn(name, *name == '#' || *name == ';' ? "\n" : "=\n");
	if (*end == '=')
		value = read_value(reader, end + 1, &n_lines);
	else
		reader->next = *end ? end + 1 : end;
	while (end > name && strchr(blanks, end[-1]))
		end--;
	*end = '\0';
	if (*name == '\0' && value)
		error = fault(reader, "=", "there is no name before it");
	else if (*name == '\0' || *name == '#' || *name == ';')
		; /* a comment, or nothing */
	else if (name[strspn(name, letters_of_variables)] == '\0' && value)
		error = add_variable(reader, name, value);
	else
		error = add_option(reader, name, value);
	reader->line += n_lines;
	return error;
}

int config_file_read(const char *path, struct config_file *file)
{
	struct reader reader = {.file = file, .line = 1};
	auto_free char *text = NULL;
	size_t length;
	int error = file_read(path, CONFIG_FILE_MAX, &text, &length);

	*file = (struct config_file){.path = path};
	if (error < 0) {
		log_error("cannot read the configuration %s: %s", path, strerror(-error));
		return error;
	}
	reader.next = text;
	if (strlen(text) != length)
		error = fault(&reader, "NUL", "the file is no text");
	while (error == 0 && *reader.next)
		error = read_line(&reader);
	explicit_bzero(text, length);
	return error;
}

void config_file_free(struct config_file *file)
{
	for (size_t i = 0; i < file->n; i++)
		wipe(file->words[i].text);
	free(file->words);
	wipe(file->password);
	wipe(file->previous);
	wipe(file->backend);
	wipe(file->backend_token);
	free(file->auth_mode);
	free(file->oidc_issuer);
	free(file->oidc_audience);
	free(file->oidc_workspaces);
	*file = (struct config_file){0};
}

/* Makes and checks the names of clients. Runs in the gates, the broker, the store and `vprox show`.
 */
#include "ipc/client_name.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const char *const kinds[CLIENT_NAME_KIND_END] = {
	[CLIENT_NAME_NONE] = "", [CLIENT_NAME_TOKEN] = "token", [CLIENT_NAME_OIDC] = "oidc"};

const char *client_name_kind_text(enum client_name_kind kind)
{
	return kinds[kind];
}

static bool is_graphic(char c)
{
	return c > ' ' && c <= '~';
}

/* Returns -ENAMETOOLONG if there is no room for it and a NUL. */
static int append(struct client_name *name, const char *text)
{
	size_t used = strlen(name->s), n = strlen(text);

	if (n >= sizeof name->s - used)
		return -ENAMETOOLONG;
	memcpy(name->s + used, text, n);
	return 0;
}

static int append_byte(struct client_name *name, char c)
{
	char text[sizeof "%XX"] = {c};

	if (!is_graphic(c) || c == '%')
		snprintf(text, sizeof text, "%%%02X", (unsigned int)(unsigned char)c);
	return append(name, text);
}

int client_name_make(enum client_name_kind kind, const char *text, struct client_name *name)
{
	int error = *text ? 0 : -EINVAL;

	*name = (struct client_name){""};
	if (error == 0)
		error = append(name, kinds[kind]);
	if (error == 0)
		error = append(name, ":");
	for (; *text && error == 0; text++)
		error = append_byte(name, *text);
	if (error < 0)
		*name = (struct client_name){""};
	return error;
}

int client_name_parse(const char *text, struct client_name *name)
{
	size_t n = strlen(text);

	*name = (struct client_name){""};
	if (n >= sizeof name->s)
		return -EINVAL;
	memcpy(name->s, text, n);
	if (client_name_is_valid(name))
		return 0;
	*name = (struct client_name){""};
	return -EINVAL;
}

static bool is_of_kind(const struct client_name *name, enum client_name_kind kind)
{
	size_t n = strlen(kinds[kind]);

	return strncmp(name->s, kinds[kind], n) == 0 && name->s[n] == ':' && name->s[n + 1] != '\0';
}

enum client_name_kind client_name_kind(const struct client_name *name)
{
	for (enum client_name_kind kind = CLIENT_NAME_TOKEN; kind < CLIENT_NAME_KIND_END; kind++)
		if (is_of_kind(name, kind))
			return kind;
	return CLIENT_NAME_NONE;
}

bool client_name_is_valid(const struct client_name *name)
{
	size_t n = strnlen(name->s, sizeof name->s);

	if (n == sizeof name->s)
		return false;
	for (size_t i = 0; i < sizeof name->s; i++)
		if (i < n ? !is_graphic(name->s[i]) : name->s[i] != '\0')
			return false;
	return n == 0 || client_name_kind(name) != CLIENT_NAME_NONE;
}

bool client_name_is_none(const struct client_name *name)
{
	return name->s[0] == '\0';
}

bool client_name_equal(const struct client_name *a, const struct client_name *b)
{
	return strcmp(a->s, b->s) == 0;
}

struct client_name_note client_name_note(const struct client_name *name)
{
	struct client_name_note note = {""};

	if (!client_name_is_none(name))
		snprintf(note.s, sizeof note.s, " (%s)", name->s);
	return note;
}

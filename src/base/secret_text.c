/* Texts of private keys. realloc() and stdio would leave copies where a text was before it grew. No
 * state: any thread may call it. */
#include "base/secret_text.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int secret_text_reserve(struct secret_text *text, size_t n)
{
	struct secret_text grown = {
		.used = text->used, .size = 2 * text->size + n, .failed = text->failed};

	if (text->s && text->size - text->used >= n)
		return 0;
	grown.s = malloc(grown.size + 1);
	if (!grown.s)
		return -ENOMEM;
	if (text->s)
		memcpy(grown.s, text->s, text->used);
	grown.s[grown.used] = '\0';
	secret_text_wipe(text);
	*text = grown;
	return 0;
}

/* Returns how long it is, whether or not there is room for it. */
static size_t print(struct secret_text *text, const char *format, va_list arguments)
{
	const size_t room = text->s ? text->size - text->used + 1 : 0;
	int length = vsnprintf(text->s ? text->s + text->used : NULL, room, format, arguments);

	return length < 0 ? SIZE_MAX : (size_t)length;
}

void secret_text_append(struct secret_text *text, const char *format, ...)
{
	const size_t room = text->size - text->used;
	va_list arguments;
	size_t length;

	va_start(arguments, format);
	length = print(text, format, arguments);
	va_end(arguments);
	if (!text->s || length > room) {
		if (length == SIZE_MAX || secret_text_reserve(text, length) < 0) {
			text->failed = true;
			return;
		}
		va_start(arguments, format);
		print(text, format, arguments);
		va_end(arguments);
	}
	text->used += length;
}

void secret_text_wipe(struct secret_text *text)
{
	if (text->s)
		explicit_bzero(text->s, text->size);
	free(text->s);
	*text = (struct secret_text){0};
}

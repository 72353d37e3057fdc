#include "client/pin.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const char prefix[] = "sha256//";

int pin_parse(const char *text, struct pin *pin)
{
	size_t n = strlen(prefix);

	/* base64 of 32 bytes has one length, and no line break here */
	if (strncmp(text, prefix, n) != 0 || strlen(text + n) != KEY_TEXT_SIZE - 1)
		return -EINVAL;
	return key_parse(text + n, KEY_TEXT_SIZE - 1, &pin->hash);
}

struct pin_text pin_text(const struct pin *pin)
{
	struct pin_text text;

	snprintf(text.s, sizeof text.s, "%s%s", prefix, key_text(&pin->hash).s);
	return text;
}

bool pin_equal(const struct pin *a, const struct pin *b)
{
	return key_equal(&a->hash, &b->hash);
}

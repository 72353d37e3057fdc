/* Decodes base64url. Runs in the gates, on what a client sent, and in the process that fetches
 * issuers' keys. */
#include "base/base64url.h"

#include <errno.h>

/* -1 for what is no character of it. */
static int value_of(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '-' ? 62 : c == '_' ? 63 : -1;
}

ssize_t base64url_decode(const char *text, size_t length, void *buffer, size_t size)
{
	unsigned char *bytes = buffer;
	size_t n = length / 4 * 3 + (length % 4 > 1 ? length % 4 - 1 : 0), used = 0;
	unsigned int bits = 0, n_bits = 0;

	if (length % 4 == 1)
		return -EBADMSG;
	if (n > size)
		return -ENOSPC;
	for (size_t i = 0; i < length; i++) {
		int value = value_of(text[i]);

		if (value < 0)
			return -EBADMSG;
		bits = bits << 6 | (unsigned int)value;
		n_bits += 6;
		if (n_bits < 8)
			continue;
		n_bits -= 8;
		bytes[used++] = (unsigned char)(bits >> n_bits);
		bits &= (1U << n_bits) - 1;
	}
	return bits == 0 ? (ssize_t)used : -EBADMSG;
}

/* Parses and writes keys as hexadecimal digits, in constant time. No state: any thread may call it.
 */
#include "base/hex.h"

#include <errno.h>
#include <string.h>

/* The value of a digit; with bits above the low four if it is none. No branch and no table depends
 * on it. */
static unsigned int digit(unsigned char c)
{
	unsigned int decimal = c ^ 48u; /* 0 to 9 for '0' to '9' */
	unsigned int letter = (c & ~32u) - 55u; /* 10 to 15 for 'A' to 'F', 'a' to 'f' */
	unsigned int is_decimal = (decimal - 10u) >> 8; /* all ones, shifted, if less than 10 */
	unsigned int is_letter = ((letter - 10u) ^ (letter - 16u)) >> 8;

	return (is_decimal & decimal) | (is_letter & letter) | (~(is_decimal | is_letter) & 0x100u);
}

int hex_parse_key(const char *text, struct key *key)
{
	unsigned int bad = 0;

	if (strlen(text) != 2 * KEY_SIZE)
		return -EINVAL;
	for (int i = 0; i < KEY_SIZE; i++) {
		unsigned int high = digit((unsigned char)text[2 * i]);
		unsigned int low = digit((unsigned char)text[2 * i + 1]);

		bad |= high | low;
		key->bytes[i] = (uint8_t)(high << 4 | low);
	}
	return bad & 0x100u ? -EINVAL : 0;
}

struct hex_text hex_key(const struct key *key)
{
	struct hex_text text;

	for (int i = 0; i < 2 * KEY_SIZE; i++) {
		unsigned int value = key->bytes[i / 2] >> (i % 2 == 0 ? 4 : 0) & 15u;

		/* 39 lies between '9' + 1 and 'a' */
		text.s[i] = (char)(value + '0' + ((9u - value) >> 8 & 39u));
	}
	text.s[2 * KEY_SIZE] = '\0';
	return text;
}

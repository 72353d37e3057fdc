/* The names of interfaces, written and read. No state: any process may call it. */
#include "plane/names.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct plane_name plane_device_name(unsigned int index)
{
	struct plane_name name;

	snprintf(name.s, sizeof name.s, "vprox%u", index);
	return name;
}

struct plane_name plane_ipip_name(unsigned int index, uint32_t offset)
{
	struct plane_name name;

	snprintf(name.s, sizeof name.s, "vp%u-%u", index, offset);
	return name;
}

/* A decimal number without leading zeros or sign, up to max. Returns what follows it, NULL if it is
 * none. */
static const char *parse_number(const char *text, uint32_t max, uint32_t *number)
{
	size_t n_digits = strspn(text, "0123456789");

	if (n_digits == 0 || n_digits > 10 || (n_digits > 1 && text[0] == '0'))
		return NULL;

	unsigned long long value = strtoull(text, NULL, 10);
	if (value > max)
		return NULL;
	*number = (uint32_t)value;
	return text + n_digits;
}

bool plane_parse_device_name(const char *name, unsigned int *index)
{
	if (strncmp(name, "vprox", 5) != 0)
		return false;

	const char *end = parse_number(name + 5, UINT32_MAX, index);
	return end && *end == '\0';
}

bool plane_parse_ipip_name(const char *name, unsigned int *index, uint32_t *offset)
{
	if (strncmp(name, "vp", 2) != 0)
		return false;

	const char *dash = parse_number(name + 2, UINT32_MAX, index);
	if (!dash || *dash != '-')
		return false;

	const char *end = parse_number(dash + 1, UINT32_MAX, offset);
	return end && *end == '\0';
}

bool plane_is_ipip_name(const char *name)
{
	unsigned int index;
	uint32_t offset;

	return plane_parse_ipip_name(name, &index, &offset) ||
	       strcmp(name, PLANE_SHARED_IPIP_NAME) == 0;
}

bool plane_names_fit(unsigned int index, struct prefix block)
{
	/* The last address given out is the one before the broadcast address, two before the
	 * block's size. */
	uint64_t size = prefix_size(block);
	uint32_t last_offset = size < 3 ? 0 : (uint32_t)(size - 3);
	int ipip = snprintf(NULL, 0, "vp%u-%u", index, last_offset);
	int device = snprintf(NULL, 0, "vprox%u", index);

	return ipip < PLANE_NAME_SIZE && device < PLANE_NAME_SIZE;
}

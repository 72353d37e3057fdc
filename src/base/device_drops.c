/* The reasons why a device drops packets, by their names. Runs in the device's control thread, the
 * broker, and what prints metrics. */
#include "base/device_drops.h"

#include <string.h>

#define NAME_OF(name, text) text,
const char *const device_drop_names[DEVICE_N_DROPS] = {DEVICE_DROPS(NAME_OF)};
#undef NAME_OF

enum device_drop device_drop_named(const char *name)
{
	unsigned int i = 0;

	while (i < DEVICE_N_DROPS && strcmp(device_drop_names[i], name) != 0)
		i++;
	return (enum device_drop)i;
}

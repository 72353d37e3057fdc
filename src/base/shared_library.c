/* Loads libraries. Runs in the broker and in the client for each change of the firewall, and in the
 * store at its start. */
#include "base/shared_library.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

void *shared_library_load(const struct shared_library *library,
	const struct shared_function *functions, size_t n, void *filled_in,
	struct shared_library_reason *reason)
{
	void *handle = dlopen(library->soname, RTLD_NOW | RTLD_LOCAL);

	if (!handle)
		snprintf(reason->text, sizeof reason->text, "%s (Debian's package: %s)", dlerror(),
			library->package);
	for (size_t i = 0; handle && i < n; i++) {
		void *address = dlsym(handle, functions[i].name);

		memcpy((char *)filled_in + functions[i].offset, &address, sizeof address);
		if (!address) {
			snprintf(reason->text, sizeof reason->text, "%s lacks %s", library->soname,
				functions[i].name);
			dlclose(handle);
			handle = NULL;
		}
	}
	return handle;
}

/* Loads libcurl. Runs in the store's process, at its start. */
#include "store/libcurl.h"

#include <errno.h>
#include <stdbool.h>

#include "base/log.h"
#include "base/shared_library.h"
#include "ipc/packet.h"

enum {
	LOAD_AGAIN_MS = 5000,
};

#define FUNCTION(name)                                                                             \
	{                                                                                          \
		"curl_" #name, offsetof(struct libcurl, name)                                      \
	}

static bool try_to_load(struct libcurl *curl, struct shared_library_reason *reason)
{
	static const struct shared_library library = {"libcurl.so.4", "libcurl4"};
	static const struct shared_function functions[] = {
		FUNCTION(global_init),
		FUNCTION(getdate),
		FUNCTION(easy_init),
		FUNCTION(easy_setopt),
		FUNCTION(easy_getinfo),
		FUNCTION(easy_strerror),
		FUNCTION(easy_cleanup),
		FUNCTION(multi_init),
		FUNCTION(multi_add_handle),
		FUNCTION(multi_remove_handle),
		FUNCTION(multi_perform),
		FUNCTION(multi_poll),
		FUNCTION(multi_info_read),
		FUNCTION(multi_cleanup),
		FUNCTION(slist_append),
		FUNCTION(slist_free_all),
	};

	return shared_library_load(
		&library, functions, sizeof functions / sizeof *functions, curl, reason);
}

int libcurl_load(struct libcurl *curl, int owner)
{
	struct shared_library_reason reason;

	if (try_to_load(curl, &reason))
		return 0;
	log_error("etcd cannot be asked without libcurl, will try again every %d s: %s",
		LOAD_AGAIN_MS / 1000, reason.text);
	do {
		if (packet_hangs_up_within(owner, LOAD_AGAIN_MS))
			return -EPIPE;
	} while (!try_to_load(curl, &reason));
	log_info("libcurl is loaded: etcd can be asked");
	return 0;
}

/* Loads libcurl. Runs in the store's process, at its start. */
#include "store/libcurl.h"

#include <errno.h>

#include "base/shared_library.h"
#include "base/log.h"

#define FUNCTION(name)                                                                             \
	{                                                                                          \
		"curl_" #name, offsetof(struct libcurl, name)                                      \
	}

int libcurl_load(struct libcurl *curl)
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
	struct shared_library_reason reason;

	if (shared_library_load(
		    &library, functions, sizeof functions / sizeof *functions, curl, &reason))
		return 0;
	log_error("etcd cannot be asked without libcurl: %s", reason.text);
	return -ELIBACC;
}

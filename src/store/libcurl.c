/* Loads libcurl. Runs in the store's process, at its start. */
#include "store/libcurl.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdbool.h>

#include "base/log.h"

/* Of the header's version. */
static const char soname[] = "libcurl.so.4";

static bool is_complete(const struct libcurl *curl)
{
	return curl->global_init && curl->getdate && curl->easy_init && curl->easy_setopt &&
	       curl->easy_getinfo && curl->easy_strerror && curl->easy_cleanup &&
	       curl->multi_init && curl->multi_add_handle && curl->multi_remove_handle &&
	       curl->multi_perform && curl->multi_poll && curl->multi_info_read &&
	       curl->multi_cleanup && curl->slist_append && curl->slist_free_all;
}

int libcurl_load(struct libcurl *curl)
{
	void *handle = dlopen(soname, RTLD_NOW | RTLD_LOCAL);

	if (!handle) {
		log_error("etcd cannot be asked without libcurl: %s", dlerror());
		return -ENOENT;
	}
	*curl = (struct libcurl){
		.global_init = dlsym(handle, "curl_global_init"),
		.getdate = dlsym(handle, "curl_getdate"),
		.easy_init = dlsym(handle, "curl_easy_init"),
		.easy_setopt = dlsym(handle, "curl_easy_setopt"),
		.easy_getinfo = dlsym(handle, "curl_easy_getinfo"),
		.easy_strerror = dlsym(handle, "curl_easy_strerror"),
		.easy_cleanup = dlsym(handle, "curl_easy_cleanup"),
		.multi_init = dlsym(handle, "curl_multi_init"),
		.multi_add_handle = dlsym(handle, "curl_multi_add_handle"),
		.multi_remove_handle = dlsym(handle, "curl_multi_remove_handle"),
		.multi_perform = dlsym(handle, "curl_multi_perform"),
		.multi_poll = dlsym(handle, "curl_multi_poll"),
		.multi_info_read = dlsym(handle, "curl_multi_info_read"),
		.multi_cleanup = dlsym(handle, "curl_multi_cleanup"),
		.slist_append = dlsym(handle, "curl_slist_append"),
		.slist_free_all = dlsym(handle, "curl_slist_free_all"),
	};
	if (is_complete(curl))
		return 0;
	log_error("etcd cannot be asked without libcurl: %s lacks a function", soname);
	dlclose(handle);
	return -ENOENT;
}

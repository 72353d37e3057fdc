/* What is used of libcurl. It is loaded for a store that asks etcd: with the libraries that it
 * needs it is megabytes, of which a store of this host alone needs none. */
#pragma once

#include <curl/curl.h>

struct libcurl {
	typeof(curl_global_init) *global_init;
	typeof(curl_getdate) *getdate;
	typeof(curl_easy_init) *easy_init;
	typeof(curl_easy_setopt) *easy_setopt;
	typeof(curl_easy_getinfo) *easy_getinfo;
	typeof(curl_easy_strerror) *easy_strerror;
	typeof(curl_easy_cleanup) *easy_cleanup;
	typeof(curl_multi_init) *multi_init;
	typeof(curl_multi_add_handle) *multi_add_handle;
	typeof(curl_multi_remove_handle) *multi_remove_handle;
	typeof(curl_multi_perform) *multi_perform;
	typeof(curl_multi_poll) *multi_poll;
	typeof(curl_multi_info_read) *multi_info_read;
	typeof(curl_multi_cleanup) *multi_cleanup;
	typeof(curl_slist_append) *slist_append;
	typeof(curl_slist_free_all) *slist_free_all;
};

/* Loads it; it stays until the process ends. To be called before system calls are filtered. Where
 * it cannot be loaded, that is logged once, and tried again every few seconds: a process that ended
 * would be started again only to fail likewise. Returns 0; or -EPIPE when the owner, a socket, has
 * hung up meanwhile. */
int libcurl_load(struct libcurl *curl, int owner);

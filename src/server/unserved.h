/* What is stored of endpoints that are served no more: an address that was taken out of the
 * configuration, and may come back. */
#pragma once

struct promised;
struct server_config;
struct store_link;

/*
 * Has the store forget each endpoint that is not in the configuration, and was neither served nor
 * had a client for 30 days; of the others it says for how many clients something is kept. Once, at
 * the server's start. `promised` is sorted.
 */
void unserved_forget(const struct promised *promised, const struct server_config *config,
	struct store_link *link);

/*
 * The report that an address is served, to the backend of the older programs: for each address,
 * every 1.5 to 2 s, POST BACKEND/api/admin/staticip/liveness with {"ip": ..., "region": ...}. 200
 * and 201 are good. What is not is logged when it begins, when it changes and when it is over.
 */
#pragma once

struct cloud_config;
struct liveness;
struct names;

/*
 * Reads what has to be read from files, while they can be opened. The configuration and names,
 * which looks the backend's name up where it has one, are the caller's. Returns 0 or -errno,
 * logged; to be freed in either case.
 */
int liveness_new(
	const struct cloud_config *config, struct names *names, struct liveness **liveness);
/* Until the broker hangs up. Returns -errno. */
int liveness_serve(struct liveness *liveness);
/* Wipes and frees. NULL is fine. */
void liveness_free(struct liveness *liveness);

/*
 * Asks etcd, version 3, over its JSON gateway (etcd.io/docs/v3.4/dev-guide/api_grpc_gateway), one
 * question at a time: at the next of its members where one does not answer, and with a new token
 * where the old one is none any more.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

struct etcd;
struct names;

struct etcd_config {
	const char *members; /* HOST:PORT[,HOST:PORT] */
	struct names *names; /* who looks up their names, the caller's; NULL: they are addresses */
	const char *ca; /* PEM, as the next two; NULL: it speaks plain HTTP */
	const char *certificate, *key; /* ours; NULL: we have none */
	const char *user, *password; /* NULL: it asks for none */
	int owner; /* a socket: when it hangs up nobody waits for an answer any more */
};

/* Has the members' names looked up, and waits a few seconds for that; and for libcurl, as long as
 * it takes. The texts are copied. Returns 0 or -errno; -EPIPE: the owner has hung up. */
int etcd_new(const struct etcd_config *config, struct etcd **etcd);
/* Wipes and frees. NULL is fine. */
void etcd_free(struct etcd *etcd);

/* No answer is waited for after this time of the system's clock, in ms; 0: for as long as usual. */
void etcd_set_deadline(struct etcd *etcd, uint64_t ms);

/*
 * Asks for a path, "/v3/kv/range", and waits. On success the answer is the caller's. Returns 0;
 * -EPIPE: the owner has hung up; -EACCES: it does not let us; -ENOSPC: it has no room; -EALREADY:
 * that part of its history is compacted already; -EIO: none of its members has answered, or what it
 * says is no answer. Why is in etcd_error(). The question may have been done all the same.
 */
int etcd_ask(struct etcd *etcd, const char *path, const json_t *question, json_t **answer);

/* etcd's revision at its last answer: each change has the next one. 0 before the first. */
uint64_t etcd_revision(const struct etcd *etcd);
/* Whether an answer since the last call was of an earlier revision than one before: then it was put
 * back to what it held before (etcdctl snapshot restore). */
bool etcd_has_gone_back(struct etcd *etcd);
/* How far this host's clock was ahead of that of the member that answered last, in s; less than 0:
 * behind. 0 before the first answer. */
int64_t etcd_clock_ahead_s(const struct etcd *etcd);

/* Why the last question failed; until the next one. */
const char *etcd_error(const struct etcd *etcd);

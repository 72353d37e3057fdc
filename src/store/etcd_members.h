/* Where etcd's members are: names whose addresses may change while the store runs. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "store/libcurl.h"

struct etcd_members;
struct names;

enum {
	ETCD_MEMBERS_MAX = 16,
};

/*
 * text: HOST:PORT[,HOST:PORT], an IPv6 address in brackets. names: who looks them up, the caller's;
 * NULL if all are addresses. Waits a few seconds for the first answers; a name that has no address
 * is logged, and looked up again. Returns 0 or -errno.
 */
int etcd_members_new(const char *text, struct names *names, struct etcd_members **members);
/* To be called when curl's handle is gone. NULL is fine. */
void etcd_members_free(struct etcd_members *members);

/* Whether there is a name that has to be looked up. */
bool etcd_members_have_names(const char *text);

size_t etcd_members_count(const struct etcd_members *members);
/* HOST:PORT; NULL: it has no address now. */
const char *etcd_members_get(const struct etcd_members *members, size_t i);
/* It has not answered: it may have another address since. */
void etcd_members_look_up(struct etcd_members *members, size_t i);
/* Tells curl the addresses, if they are others than it knows. The library is always the same one,
 * and outlives the members. */
void etcd_members_tell(struct etcd_members *members, const struct libcurl *curl, CURL *easy);

/*
 * What a fleet keeps in etcd: names, and sealed values. Names tell public addresses and inner
 * addresses, and nothing of who has them:
 *
 *     /vprox/FLEET/holder/ADDRESS          who serves it, and the floor
 *     /vprox/FLEET/endpoint/ADDRESS        index, block, port, private key, timestamps' floor
 *     /vprox/FLEET/number/INDEX            whose index it is: each is given once
 *     /vprox/FLEET/peer/ADDRESS/INNER      who has an inner address, or that it was freed
 *     /vprox/FLEET/active/ADDRESS/A.B.C.0  when the peers of 256 inner addresses were active
 *     /vprox/FLEET/asked/ADDRESS/          somebody asks whether its holder still serves it; that
 *                                          it is there is all, and it is not sealed
 *
 * A record is sealed with the epoch of who held the address when it was written. Below the floor of
 * the address records of its peers are no longer valid: each holder seals all of them anew under
 * its own epoch, and then raises the floor to it.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "ipc/storing.h"
#include "store/seal.h"

enum {
	RECORD_NAME_SIZE = 160, /* with the final NUL */
	RECORD_MOST = 1100, /* the longest value */
	RECORD_GROUP = 256, /* addresses of one record of activity */
	HOLDER_HOST_SIZE = 64, /* with the final NUL */
};

struct record_name {
	char s[RECORD_NAME_SIZE];
};

struct record {
	struct record_name name;
	uint8_t value[RECORD_MOST];
	size_t size;
};

/* How records are named and sealed. */
struct record_maker {
	const char *fleet;
	struct sealer *sealer;
};

/* Who serves an address. */
struct fleet_holder {
	uint64_t epoch, floor;
	char host[HOLDER_HOST_SIZE]; /* its name */
};

enum record_kind {
	RECORD_HOLDER,
	RECORD_ENDPOINT,
	RECORD_NUMBER,
	RECORD_PEER,
	RECORD_ACTIVE,
	RECORD_QUESTION,
	RECORD_COMPACTOR, /* of the fleet */
};

/* What all records of a kind begin with; of those of one address, if bind is not 0.0.0.0. */
struct record_name record_prefix(const char *fleet, enum record_kind kind, struct ipv4 bind);
/* The address that ends such a name; 0.0.0.0 if none does. */
struct ipv4 record_address(const char *name);

/* Make records. Return 0 or -EIO. */
int record_of_holder(const struct record_maker *maker, struct ipv4 bind,
	const struct fleet_holder *holder, struct record *record);
int record_of_endpoint(const struct record_maker *maker, const struct stored_endpoint *endpoint,
	struct record *record);
int record_of_number(const struct record_maker *maker, const struct stored_endpoint *endpoint,
	struct record *record);
/* A STORING_PEER, or a STORING_FREED with its place in the order of these. */
int record_of_peer(const struct record_maker *maker, const struct storing_message *message,
	uint64_t place, uint64_t epoch, struct record *record);
/* When the addresses from `first` on were active, in s since 1970; 0: nobody's. */
int record_of_active(const struct record_maker *maker, struct ipv4 bind, struct ipv4 first,
	const uint32_t active_s[RECORD_GROUP], uint64_t epoch, struct record *record);

/* Open them. Return 0, or -ENOKEY or -EBADMSG as sealer_open(), also where what is in them cannot
 * be. What is in the name is taken from there. */
int record_open_holder(const struct record_maker *maker, const char *name, const uint8_t *value,
	size_t size, struct fleet_holder *holder);
int record_open_endpoint(const struct record_maker *maker, const char *name, const uint8_t *value,
	size_t size, struct stored_endpoint *endpoint);
int record_open_number(const struct record_maker *maker, const char *name, const uint8_t *value,
	size_t size, struct ipv4 *bind);
int record_open_peer(const struct record_maker *maker, struct ipv4 bind, const char *name,
	const uint8_t *value, size_t size, struct storing_message *message, uint64_t *place,
	uint64_t *epoch);
int record_open_active(const struct record_maker *maker, const char *name, const uint8_t *value,
	size_t size, uint32_t active_s[RECORD_GROUP], uint64_t *epoch);

/*
 * What the broker and the store say to each other over a SOCK_SEQPACKET socket: one struct a
 * packet, always of the full size, integers in the machine's byte order. The store keeps what is
 * promised: which endpoints there are, and which peer has which inner address. It does not know
 * what any of it means, and makes no answer but "this is on the disk".
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/ipv4.h"
#include "base/key.h"
#include "ipc/client_name.h"

/* Where a server has its file. */
#define STORE_FOLDER "/var/lib/vprox/store"
#define STORE_FILE "store.db"

enum {
	/* The first four bytes of every packet, of this version and of all to come: a package may
	 * be upgraded while the server runs, which then starts a store of the new one. */
	STORING_VERSION = 9,
	STORED_HOST_SIZE = 64, /* with the final NUL */
	STORE_FOLDER_SIZE = 128, /* with the final NUL */
	STORE_PATH_SIZE = 256, /* likewise, as the next ones */
	STORE_MEMBERS_SIZE = 1024,
	STORE_FLEET_SIZE = 64,
	STORE_USER_SIZE = 64,
	STORE_MOST_SERVED = 1024, /* addresses of one server */
	STORE_MOST_BLOCKS = 64, /* that it follows addresses in */

	/* The file descriptor that a store starts with, besides 0 to 2. */
	STORE_FD_BROKER = 3, /* SOCK_SEQPACKET: one struct store_config, then messages */
};

/* Where hosts have a store in common. Texts are empty where there is nothing. */
struct store_etcd {
	char members[STORE_MEMBERS_SIZE]; /* HOST:PORT[,HOST:PORT]; "": there is none */
	char fleet[STORE_FLEET_SIZE]; /* the name of ours in it */
	char user[STORE_USER_SIZE];
	/* paths */
	char fleet_key[STORE_PATH_SIZE];
	char ca[STORE_PATH_SIZE];
	char certificate[STORE_PATH_SIZE];
	char key[STORE_PATH_SIZE];
	char password[STORE_PATH_SIZE];
	uint32_t history_s; /* how much of its history it is to keep; 0: that is others' business */
};

/* What a process is started for. */
enum store_task {
	STORE_SERVES, /* a server: until it hangs up */
	STORE_TELLS, /* what is stored, up to STORING_LOADED; it changes nothing, and ends */
	/* Tells with STORING_COLLIDES which endpoints have kept a server from starting, up to
	 * STORING_LOADED; then, until the other end hangs up, STORING_FORGET of one of these has it
	 * be as if it had never been, and is answered by STORING_DURABLE. */
	STORE_RENUMBERS,
	STORE_TASK_END,
};

/* Broker to store, or whoever else has started it, first of all. */
struct store_config {
	uint32_t version; /* STORING_VERSION */
	uint32_t user; /* uid and gid to run as */
	uint32_t group;
	uint32_t log_level; /* enum log_level */
	uint32_t log_format; /* enum log_format */
	uint32_t task; /* enum store_task */
	char folder[STORE_FOLDER_SIZE]; /* where its files are */
	struct store_etcd etcd;
	uint32_t n_served;
	struct ipv4 served[STORE_MOST_SERVED]; /* the addresses of this server */
	/* Those that it may get: what other hosts of the fleet promise there is told. */
	uint32_t n_blocks;
	struct store_block {
		struct ipv4 address;
		uint32_t length; /* of the prefix */
	} blocks[STORE_MOST_BLOCKS];
};

enum storing_operation {
	/* Broker to store: to be written, in this order. */
	STORING_PUT_ENDPOINT = 1, /* endpoint; in place of the one of its address */
	STORING_PUT_PEER, /* peer; in place of the one of its inner address */
	STORING_FREE_ADDRESS, /* peer.bind and peer.inner: nobody holds it any more */
	STORING_FREE_ALL, /* peer.bind: of no address of this endpoint */
	STORING_FORGET, /* peer.bind: all that is stored of this endpoint */
	/* peer.bind: this host has the address since. In a fleet it is claimed; what is stored of
	 * it is told, and then STORING_CLAIMED. */
	STORING_CLAIM,
	/* peer.bind: likewise, but what was told of it as another host's is not told again; where
	 * all is told, it is told as such. */
	STORING_CLAIM_REST,
	/* peer.bind: as STORING_CLAIM, but only if the host that has claimed it before does not say
	 * any more that it serves it. Else STORING_SUPERSEDED is told. */
	STORING_CLAIM_IF_LEFT,
	STORING_RELEASE, /* peer.bind: this host has this address no more */

	/* Store to broker, at its start: all that is stored, and an end. Of a fleet the other
	 * hosts' endpoints are among them. After a claim: likewise, but of peers and freed
	 * addresses only those of its endpoint. */
	STORING_ENDPOINT, /* endpoint */
	STORING_PEER, /* peer */
	STORING_FREED, /* peer.bind and peer.inner; the one freed longest ago comes first */
	STORING_LOADED, /* that was all */
	STORING_CLAIMED, /* peer.bind: that was all of it, as a claim has asked */
	/* Store to broker, of a fleet: peer.bind is another host's, inside one of the blocks. What
	 * comes next is all that is promised there, or what has changed of that; up to
	 * STORING_FOLLOWED. */
	STORING_FOLLOW_ALL,
	STORING_FOLLOW_CHANGES,
	STORING_FOLLOWED, /* peer.bind */
	/* Store to broker, of a fleet: peer.bind was served without having been claimed, and is
	 * claimed since. All that is promised there comes next, up to STORING_CLAIMED; the order
	 * with this sequence number is in it, and none that came later. */
	STORING_CLAIMED_LATE,
	/* Store to broker: all messages up to this sequence number are on the disk. */
	STORING_DURABLE,
	/* Store to broker: nothing is stored, or nothing any more: the file is new, or was damaged.
	 * To be told again. */
	STORING_LOST,
	/* Store to broker, of a fleet: endpoint.bind is another host's since, which has named
	 * itself in host: what is promised of it here is stored no more. */
	STORING_SUPERSEDED,
	/* Store to broker, of a fleet: the index, the port or the block of this endpoint belongs to
	 * the one of peer.bind, or it has others itself (peer.bind is its own), or another key
	 * there than the host that is named: it is not stored. */
	STORING_COLLIDES,
	/* Store to broker, at its start and when any of it has changed: state. */
	STORING_STATE,
	STORING_OPERATION_END,
};

enum stored_kind {
	STORED_WIREGUARD = 1,
	STORED_IPIP,
	STORED_KIND_END,
};

struct stored_endpoint {
	struct ipv4 bind; /* its public address, which names it */
	struct ipv4 network; /* its block of inner addresses */
	uint32_t length; /* of the block's prefix */
	uint32_t index; /* i of vprox<i> */
	uint32_t port; /* UDP, of WireGuard; host byte order */
	uint32_t reserved; /* zero */
	struct key private_key; /* of WireGuard */
	uint64_t epoch; /* grows with each host that holds the address */
	/* No handshake begun with this key has a later timestamp (WireGuard paper 5.1): s since
	 * 1970; 0: not known. Ahead of what was used, by what is reserved. */
	uint64_t floor_s;
};

struct stored_peer {
	struct ipv4 bind; /* its endpoint */
	struct ipv4 inner;
	uint32_t kind; /* enum stored_kind */
	struct ipv4 remote; /* IPIP: its outer address */
	struct key key; /* WireGuard: its public key */
	struct ipv4 outer; /* WireGuard: where it was last; 0.0.0.0: not known */
	uint32_t outer_port; /* its UDP port there, host byte order */
	uint64_t made_s; /* when its tunnel was made, s since 1970 */
	uint64_t active_s; /* when it was last active, likewise */
	struct client_name name; /* that its client has shown to have */
};

/* What an operator is to see of a store's process. */
struct stored_state {
	uint64_t n_refused; /* orders that its file does not take, and that were left out */
	/* Of a fleet, while the file of its key has two: how many addresses it has, and how many of
	 * these have records that only the second key opens. Else 0. */
	uint32_t n_addresses, n_need_second_key;
	struct ipv4 needs_second_key; /* one of them */
	uint32_t reserved; /* zero */
	uint64_t clock_ahead_s; /* this host's, of the fleet's; 0: not by what matters */
};

struct storing_message {
	uint32_t version; /* STORING_VERSION */
	uint32_t operation; /* enum storing_operation */
	uint64_t sequence; /* grows by one with each message to be written; 0 in all others but
			      STORING_DURABLE and STORING_CLAIMED_LATE */
	/* Of an order, 1: so many other clients are being served that the processors have work
	 * while it waits for them, to be in one transaction with theirs. Else 0. */
	uint32_t more_come;
	uint32_t reserved; /* zero */
	/* What the operation is not about is zero. */
	struct stored_endpoint endpoint;
	struct stored_peer peer;
	struct stored_state state;
	char host[STORED_HOST_SIZE];
};

/* Check what was received: the size and every field's range; what comes from the broker, and what
 * comes from the store. Return 0, -EPROTO, or -EPROTONOSUPPORT if it is of another version. */
int storing_decode_config(const void *packet, size_t length, struct store_config *config);
int storing_decode_order(const void *packet, size_t length, struct storing_message *message);
int storing_decode_report(const void *packet, size_t length, struct storing_message *message);

/*
 * Send or receive one packet without waiting. Return 0, -EAGAIN, -EPIPE or -ECONNRESET when the
 * other end is gone, -EPROTO or -EPROTONOSUPPORT for a packet that does not decode, or another
 * errno.
 */
int storing_send_config(int fd, const struct store_config *config);
int storing_receive_config(int fd, struct store_config *config);
/* All that a store says to a broker of another version: only its own. */
int storing_send_version(int fd);
int storing_send(int fd, const struct storing_message *message);
int storing_receive_order(int fd, struct storing_message *message);
int storing_receive_report(int fd, struct storing_message *message);

/*
 * What a device's process tells the one that takes its place (handover_give.h, handover_take.h).
 *
 *   new                              old
 *   HELLO                  ->
 *                          <-        HELLO, or REFUSED
 *                          <-        DEVICE, FILE..., ALL_FILES      it carries packets meanwhile
 *                          <-        PEER, ALLOWED_IP..., IPIP_PEER, ... CONFIGURED
 *   READY                  ->
 *                          <-        COUNTERS, PEER_STATE, SESSION, KEYPAIR, PENDING, STAGED, ...
 *                          <-        HANDSHAKE..., END               nobody carries packets
 *   TAKEN                  ->        it carries them; the old one ends
 *
 * That TAKEN can be sent is the one moment: before it the new process has sent nothing to any peer
 * and taken nothing from any queue, so that the old one goes on if anything fails; from it on the
 * old one does nothing more. An old process that has waited for too long shuts its end for
 * reading, so that TAKEN cannot be sent any more.
 *
 * Each message is a record, with a version, on a SOCK_SEQPACKET socket; several may lie in one
 * packet. Fields are added at the end of a record: what is missing reads as zeros, what is too much
 * is not read. A record that is not known is skipped if it says that it is optional; else the
 * handover fails. HANDOVER_VERSION changes where that does not do. Numbers are the host's,
 * addresses in network byte order; no record has padding that is not named. Times are ms of the
 * sender's clock.
 */
#pragma once

#include <stdint.h>

#include "base/key.h"
#include "device/crypto/aead.h"
#include "device/crypto/blake2s.h"
#include "device/wireguard/messages.h"
#include "device/wireguard/replay.h"

enum {
	HANDOVER_VERSION = 1,
	HANDOVER_OPTIONAL = 1, /* a flag: who does not know the record may skip it */
	HANDOVER_DROPS = 32, /* counters there is room for */
	HANDOVER_ALIGN = 8, /* of records in a packet */
};

enum handover_type {
	HANDOVER_HELLO = 1,
	HANDOVER_REFUSED,
	HANDOVER_DEVICE,
	HANDOVER_FILE, /* a descriptor comes with it; alone in its packet */
	HANDOVER_ALL_FILES,
	HANDOVER_PEER,
	HANDOVER_ALLOWED_IP, /* of the last PEER */
	HANDOVER_IPIP_PEER,
	HANDOVER_CONFIGURED,
	HANDOVER_READY,
	HANDOVER_COUNTERS,
	HANDOVER_PEER_STATE, /* of either kind; those after it are about that peer */
	HANDOVER_SESSION,
	HANDOVER_KEYPAIR,
	HANDOVER_PENDING,
	HANDOVER_STAGED, /* and a packet behind it */
	HANDOVER_HANDSHAKE, /* and a handshake message behind it, which has been received */
	HANDOVER_END,
	HANDOVER_TAKEN,
};

/* Before each record. */
struct handover_header {
	uint16_t version;
	uint16_t type; /* enum handover_type */
	uint32_t flags;
	uint32_t length; /* of what follows, without padding to HANDOVER_ALIGN */
	uint32_t reserved;
};

struct handover_hello {
	uint16_t oldest, newest; /* versions that it understands; the old one answers with one */
	uint32_t reserved;
	uint64_t now_ms;
	uint64_t netns; /* SO_NETNS_COOKIE; 0: not known */
};

struct handover_refused {
	int32_t error; /* negative errno; -EBUSY: try again */
	uint32_t reserved;
};

struct handover_device {
	char name[16];
	struct key private_key;
	uint32_t n_workers;
	uint32_t interface; /* ifindex, 0: it has gone to another namespace */
	uint32_t mtu, mark;
	uint32_t ipip_local, source; /* IPv4 */
	uint32_t fast_local; /* of the fast path */
	uint32_t n_uplinks;
	uint32_t uplinks[64];
	uint16_t port; /* host byte order */
	uint8_t up, tso, uso, no_fast_path, logged_plain, has_cookie_secret;
	uint8_t cookie_secret[BLAKE2S_SIZE];
	uint64_t cookie_secret_made_ms;
	/* The latest timestamp of a handshake that it has begun, ns since 1970, and when. */
	uint64_t latest_ns, latest_ms;
};

enum handover_file_kind {
	HANDOVER_TUN, /* number: of the worker */
	HANDOVER_UDP4,
	HANDOVER_UDP6,
	HANDOVER_RAW,
	HANDOVER_FRAGMENTING,
	HANDOVER_TX_MAP,
	HANDOVER_RX_MAP,
	HANDOVER_PROGRAM, /* number: as in ipip_programs_file() */
	HANDOVER_CONTROL_LISTENER,
	HANDOVER_CONTROL_CONNECTION,
	HANDOVER_LISTENER, /* of this socket */
	HANDOVER_LOG,
	HANDOVER_NOTIFY, /* of the service manager's socket */
};

struct handover_file {
	uint32_t kind, number;
};

struct handover_peer {
	struct key public_key, static_static, preshared;
	uint16_t persistent_s;
	uint8_t has_preshared;
	/* as it is now, so that there is memory for what will be */
	uint8_t has_session, n_keypairs, reserved[3];
};

struct handover_allowed_ip {
	uint8_t family; /* AF_INET or AF_INET6 */
	uint8_t length, reserved[6];
	uint8_t address[16];
};

struct handover_ipip_peer {
	uint32_t remote, inner;
};

struct handover_counters {
	uint64_t drops[HANDOVER_DROPS]; /* in the order of handover_state.c */
};

/* An outer address, and our own for it. */
struct handover_endpoint {
	uint8_t family, reserved;
	uint16_t port; /* network byte order */
	uint32_t scope;
	uint8_t address[16], local[16];
	uint32_t interface, reserved2;
};

struct handover_peer_state {
	uint32_t number; /* of all peers of both kinds, in their order, as these are too */
	uint32_t requests; /* enum peer_request, which were not yet served */
	uint64_t received, sent;
	uint64_t active_ms; /* IPIP */
	uint64_t handshake_ns; /* since 1970 */
	uint64_t initiation_ms;
	uint8_t timestamp[TIMESTAMP_SIZE];
	uint8_t plain, reserved[3];
	struct handover_endpoint endpoint;
};

struct handover_session {
	uint64_t unanswered_since, owed_since, traversed, wanted;
	uint64_t handshake_began, initiation_sent, retransmit_at, zero_at;
	uint64_t cookie_received_ms;
	uint16_t jitter_ms;
	uint8_t has_cookie, has_sent_mac1, reserved[4];
	uint8_t cookie[BLAKE2S_MAC_SIZE], sent_mac1[BLAKE2S_MAC_SIZE];
};

enum handover_keypair_place {
	HANDOVER_CURRENT,
	HANDOVER_PREVIOUS,
	HANDOVER_NEXT,
};

struct handover_keypair {
	uint32_t index, remote_index;
	uint8_t place, initiator, rekey_asked, confirmed;
	uint32_t n_words; /* of those below */
	uint64_t made_ms;
	struct aead_key send, receive;
	uint64_t send_counter; /* the next one */
	uint64_t newest; /* the number of the newest word: counter / 32 */
	uint32_t words[REPLAY_WORDS + 1]; /* the newest first; older ones count as received */
};

struct handover_pending {
	uint32_t index, remote_index;
	uint8_t chaining_key[BLAKE2S_SIZE], hash[BLAKE2S_SIZE];
	struct key ephemeral, remote_ephemeral, remote_static;
};

struct handover_staged {
	uint8_t header[16]; /* virtio_net_hdr */
};

struct handover_handshake {
	struct handover_endpoint from;
};

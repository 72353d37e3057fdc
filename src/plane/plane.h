/*
 * The one interface to a data plane: what the broker can ask of the kernel (kernel/) or of the
 * userspace device (embedded/). One device an endpoint, for both kinds of peer. What is assigned
 * to whom is kept in the plane alone; the broker reads it back at start.
 *
 * All functions return 0 or a negative errno; after an error plane_error() has the details. They
 * block until the plane has acknowledged. None of them is safe to call from two threads.
 */
#pragma once

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/ipv4.h"
#include "base/key.h"
#include "plane/names.h"

enum {
	PLANE_ERROR_SIZE = 256, /* of plane_error()'s text */
	PLANE_REMOVAL_BATCH =
		50, /* peers in one plane_remove(): a creation waits for the whole of it */
	PLANE_ADD_BATCH = 50, /* peers in one add_many() */
};

#define PLANE_AT_ONCE UINT_MAX /* however long it takes */

/* --plane */
enum plane_choice {
	PLANE_AUTO,
	PLANE_KERNEL,
	PLANE_EMBEDDED,
};

/* --ipip-mode: what the kernel's plane gives IPIP peers. */
enum ipip_mode {
	IPIP_INTERFACE, /* each its own interface */
	IPIP_SHARED, /* all of a host the same one */
};

enum peer_kind {
	PEER_WIREGUARD,
	PEER_IPIP,
};

/* Who a peer is, and the inner address it holds. */
struct plane_peer {
	enum peer_kind kind;
	struct ipv4 inner;
	struct key key; /* WireGuard: the peer's public key */
	struct ipv4 remote; /* IPIP: the peer's outer address */
};

/* What has moved through a peer since the plane made it. */
struct plane_usage {
	uint64_t received; /* bytes from the peer */
	uint64_t sent; /* bytes to the peer */
	uint64_t handshake_ns; /* WireGuard: the last handshake, ns since 1970; 0: never */
	struct ipv4 outer; /* where the peer is now; 0.0.0.0: not known yet */
	uint16_t outer_port; /* WireGuard: its UDP port, host byte order */
};

/* A peer that is there, as it is: whoever has made it, and whether or not it can be one. */
struct plane_found {
	struct plane_peer peer; /* inner: its address; 0.0.0.0: it has not exactly one */
	struct plane_name interface; /* its own; "": it has none */
	struct ipv4 local; /* IPIP: the outer address on this side */
	struct ipv4 routed; /* IPIP: the address that is routed to it; 0.0.0.0: none is */
};

struct plane_endpoint {
	unsigned int index; /* i of vprox<i> and of vp<i>-<n> */
	struct ipv4 bind; /* outer address */
	struct ipv4 gateway; /* inner address, the first host of the block */
	struct prefix block;
	uint16_t port; /* UDP port of WireGuard, host byte order */
	struct key private_key; /* of WireGuard */
	/* A device that is made begins handshakes with later timestamps than this one, ns since
	 * 1970, where the plane can: see timestamp(). 0: nothing is known. */
	uint64_t floor_ns;
	/* Another host has the bind address: the interfaces are down, until serve(). So nothing is
	 * sent or answered, and no packet is routed into them. */
	bool is_standby;
};

/* What an earlier server left behind under one index. */
struct plane_leftover {
	unsigned int index;
	bool has_bind; /* false: as a Go server leaves it, to be recognised by its index */
	struct ipv4 bind; /* the interface's alias, else the local address of its IPIP links */
};

struct plane;

/* What open() hands out: the start of the plane's own struct. */
struct plane_device {
	struct plane *plane;
};

typedef int plane_leftover_fn(void *context, const struct plane_leftover *leftover);
typedef int plane_found_fn(void *context, const struct plane_found *found);
typedef int plane_peer_fn(
	void *context, const struct plane_peer *peer, const struct plane_usage *usage);

/*
 * A reading of all peers. found() is called for each, with what it has used; a negative result of
 * it ends the reading and is returned; it may remove peers. A WireGuard peer whose allowed-ips
 * somebody has changed is reported with the one address that it has now, or 0.0.0.0.
 */
struct plane_reading {
	/* Readable: there is a piece. It may be another one after each piece. -1: there is always
	 * one. */
	int fd;
	/* Reads a piece, some hundreds of peers at the most: 1 if there is more, 0 if that was all,
	 * or a negative errno. */
	int (*next)(struct plane_reading *reading);
	/* At any time, but before the device is closed. Frees it. */
	void (*end)(struct plane_reading *reading);
};

struct plane_ops {
	const char *name; /* as in --plane */

	/* Whether this host can do it: 0, or the reason in plane_error(). May load kernel modules.
	 */
	int (*probe)(struct plane *plane);

	/* Calls back for each index of which anything is there, once each. A callback's non-zero
	 * result ends it. */
	int (*discover)(struct plane *plane, plane_leftover_fn *found, void *context);

	/* Removes all there is under an index: a configuration that is not served any more. */
	int (*remove_all)(struct plane *plane, unsigned int index);

	/*
	 * Makes an endpoint's device, or takes over the one that is there with all its peers,
	 * without interrupting their traffic. A device of another bind address or another block is
	 * removed with all its peers, and made anew; that is logged. Which of the peers can stay is
	 * not judged here: see find(). On failure only what this call made is removed.
	 */
	int (*open)(struct plane *plane, const struct plane_endpoint *endpoint,
		struct plane_device **device);

	/*
	 * What is there of an endpoint, for who only wants to know: nothing is made or changed.
	 * *lacks becomes the parts that its interface has not (enum interface_part). The device is
	 * for find() and close() with keep, and nothing else. -ENODEV: there is no such interface.
	 */
	int (*view)(struct plane *plane, const struct plane_endpoint *endpoint, unsigned int *lacks,
		struct plane_device **device);

	/*
	 * Calls back for every peer that is there, as it is, for the caller to judge: WireGuard's
	 * first, then IPIP's. One that cannot stay, remove() takes away; what the others lack,
	 * reconcile() gives them. A callback's non-zero result ends it and is returned. For once
	 * after open() or view(); what has been used is dump()'s to tell.
	 */
	int (*find)(struct plane_device *device, plane_found_fn *found, void *context);

	/* keep: all stays as it is, for the next open(). Else all of it is removed. Frees the
	 * device either way. */
	int (*close)(struct plane_device *device, bool keep);

	/*
	 * Makes the peer, or writes it again where it is there already, without interrupting its
	 * traffic. IPIP: a link that is there with the same name, local and remote address is taken
	 * over; -EEXIST if a foreign one has the name or the pair of addresses: plane_error() names
	 * it. -EINVAL: the address cannot be a peer's. A failure leaves nothing behind that this
	 * call made, as far as it can: after -ETIMEDOUT the device may make the peer yet. remove()
	 * tells for certain.
	 */
	int (*add)(struct plane_device *device, const struct plane_peer *peer);

	/*
	 * As add() for n peers, PLANE_ADD_BATCH at the most, in one go where the plane can: what a
	 * device that was made again has lost is nowhere but in the caller's memory until then.
	 * After an error any of them may be there; add() tells which could not be made.
	 */
	int (*add_many)(struct plane_device *device, const struct plane_peer *peers, size_t n);

	/*
	 * Whether the peer is still there: 0, -ENODEV for "certainly not", anything else for
	 * "cannot tell".
	 */
	int (*check)(struct plane_device *device, const struct plane_peer *peer);

	/*
	 * Removes n peers, PLANE_REMOVAL_BATCH at the most, of either kind. errors[i] is 0 if peer
	 * i is gone (also if it was before), else why it is still there. Returns 0 if all are gone,
	 * else the first error.
	 */
	int (*remove)(
		struct plane_device *device, const struct plane_peer *peers, size_t n, int *errors);

	/*
	 * Begins to read what all peers have used, in pieces. One that comes or goes meanwhile may
	 * be left out, and one that stays is met at least once. See struct plane_reading; for who
	 * has nobody to serve meanwhile there is plane_dump().
	 */
	int (*read)(struct plane_device *device, plane_peer_fn *found, void *context,
		struct plane_reading **reading);

	/*
	 * Tells a device that was made again where n WireGuard peers were last, PLANE_ADD_BATCH at
	 * the most, and has it shake hands with them in this order: a peer itself would not notice
	 * for 15 s that its keys are nobody's any more. One that is not there is passed over, and
	 * so is one whose last place is not known. After an error any of them may have been told.
	 */
	int (*restore_endpoints)(struct plane_device *device, const struct plane_peer *peers,
		const struct plane_usage *lasts, size_t n);

	/*
	 * Puts right what others have changed of the device from outside: an interface that was set
	 * down, an address or a route that was removed. Peers and interfaces that have vanished are
	 * not made again: see dump() and check(). To be called now and then; where nothing has
	 * changed it changes nothing. Logs what it puts right; -ENODEV: the device has vanished.
	 * Where there is much to look at it ends after about longest_ms and returns 1: the next
	 * call goes on. PLANE_AT_ONCE: it does not.
	 */
	int (*reconcile)(struct plane_device *device, unsigned int longest_ms);

	/*
	 * Of a device that was opened as standby: its interfaces are up from now on, and it begins
	 * handshakes with later timestamps than floor_ns, where the plane can. -ENODEV: the device
	 * has vanished.
	 */
	int (*serve)(struct plane_device *device, uint64_t floor_ns);

	/*
	 * The timestamp that a handshake of the device would have now, ns since 1970 (WireGuard
	 * paper 5.1): the time of day, or where the plane can send a later one, that.
	 */
	int (*timestamp)(struct plane_device *device, uint64_t *ns);

	/* Packets that the device has dropped since its process was started, DEVICE_N_DROPS of
	 * them, as the last reading has found. NULL: it does not count them. */
	const uint64_t *(*drops)(struct plane_device *device);

	/* Packets that the plane itself has dropped since it was made, as their source is not their
	 * sender's, so that the firewall has not met them. Those of drops() are not among them. */
	uint64_t (*spoofed)(struct plane *plane);

	/* What a process of the device's own takes, in bytes that are resident (proc(5), statm); 0:
	 * it has none, or that cannot be read. */
	uint64_t (*memory)(struct plane_device *device);

	/* Frees the plane itself; the devices must be closed. */
	void (*free)(struct plane *plane);
};

struct plane {
	const struct plane_ops *ops;
	char error[PLANE_ERROR_SIZE];
};

/* What went wrong in the last call that failed: for people, without a final newline. */
static inline const char *plane_error(const struct plane *plane)
{
	return plane->error;
}

/* Reads all of it, and waits for each piece: 3 s at the most, and for the whole 10 s. Returns what
 * found() did, or a negative errno: -ETIMEDOUT if the plane hangs. */
int plane_dump(struct plane_device *device, plane_peer_fn *found, void *context);
enum {
	PLANE_SILENCE_MS = 3000, /* no piece for so long: it hangs */
	PLANE_DUMP_MS = 10000,
};

/* The kernel's data plane. Returns NULL with errno set. */
struct plane *plane_kernel_new(void);

/* IPIP peers share one interface, those too that are there; else, and without this call, each has
 * its own. To be called before probe(). */
void plane_kernel_share_ipip(struct plane *plane);

/* Removes the interface of a server that died while it looked whether the kernel can do that;
 * is_dry_run: only looks. Returns whether there was one, or -errno with plane_error(). */
int plane_kernel_remove_probe(struct plane *plane, bool is_dry_run);

/* The embedded one: a device process an endpoint. Likewise. */
struct plane *plane_embedded_new(void);

/* Has systemd start the embedded plane's devices, as units UNIT@vprox<i>.service, rather than this
 * process. The name is the caller's, and must outlive the plane. */
void plane_embedded_use_unit(struct plane *plane, const char *unit);

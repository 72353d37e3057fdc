/*
 * The control socket: WireGuard's cross-platform userspace API (wireguard.com/xplatform), as wg(8)
 * speaks it, on /run/wireguard/NAME.sock. IPIP peers are an extension:
 *
 *   set=1                                    get_ipip=1
 *   ipip_local=ADDRESS                       ipip_local=ADDRESS
 *   replace_ipip_peers=true                  ipip_peer=ADDRESS
 *   ipip_peer=ADDRESS    (outer)             ipip_inner=ADDRESS
 *   ipip_inner=ADDRESS   or  remove=true     rx_bytes=N  tx_bytes=N  idle_ms=N
 *
 * ipip_inner=0.0.0.0 is any address: packets to all that no other peer has go to this one.
 * get_peer=KEY and get_ipip_peer=ADDRESS tell of one peer; errno is ENOENT if there is no such. And
 * get_drops=1 tells what was dropped. get=1 tells nothing of these, so that wg is not
 * disturbed.
 */
#pragma once

#include "device/device.h"

enum { UAPI_LINE_MAX = 1024 };

struct uapi;
/* Serves the socket, whose file descriptors are added to an epoll. NULL with errno set. */
struct uapi *uapi_new(struct device *device, int listener, int epoll);
void uapi_free(struct uapi *uapi);
/* Something that epoll returned with data.ptr, for one of its descriptors. */
void uapi_serve(struct uapi *uapi, void *pointer);

/*
 * For another process that is to serve the socket. Whether a request is under way, so that it must
 * wait: but for none that stands still, whose connection ends with this process. The descriptors of
 * all connections that are between two requests, which stay where they are, and how many there are;
 * and there, one of them, which is then its own. Returns 0 or -errno.
 */
bool uapi_is_busy(const struct uapi *uapi);
unsigned int uapi_connections(const struct uapi *uapi, int *fds, unsigned int room);
int uapi_adopt(struct uapi *uapi, int fd);

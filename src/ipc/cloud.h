/*
 * What goes between the broker and the processes that ask a cloud's services for it, `vprox cloud`:
 * packets over a SOCK_SEQPACKET socket. Both ends are one program, and check the version all the
 * same.
 *
 *   broker  a struct cloud_config, first of all
 *   of CLOUD_REPORTS, the broker: a struct cloud_secret, which the process reads once it is
 *   confined; then a list whenever other addresses are served
 *   of CLOUD_WATCHES, the process: a list whenever it has read which addresses there are
 *   of both, the process, before all else: a struct cloud_ready, once it is confined and serves
 */
#pragma once

#include <limits.h>
#include <stddef.h>
#include <stdint.h>

#include "base/ipv4.h"
#include "base/url.h"

enum {
	CLOUD_FD_BROKER = 3,
	CLOUD_VERSION = 1,
	CLOUD_MAX_ADDRESSES = 1024, /* as many as there can be endpoints */
	CLOUD_SECRET_SIZE = 4096 + 1, /* with the final NUL */
	CLOUD_REGION_SIZE = 128,
	CLOUD_MAC_SIZE = 6, /* bytes of an Ethernet address */
};

enum cloud_task {
	CLOUD_WATCHES = 1, /* which addresses this instance has, of its metadata service */
	CLOUD_REPORTS, /* that addresses are served, to a backend */
	CLOUD_TASK_END,
};

struct cloud_config {
	uint32_t version; /* CLOUD_VERSION */
	uint32_t task; /* enum cloud_task */
	uint32_t user, group; /* to run as */
	uint32_t log_level; /* enum log_level */
	uint32_t log_format; /* enum log_format */
	struct url backend; /* of CLOUD_REPORTS, as the rest */
	char region[CLOUD_REGION_SIZE];
	char authorities[PATH_MAX]; /* a file of certificates, in PEM */
};

struct cloud_secret {
	uint32_t version;
	char token[CLOUD_SECRET_SIZE];
	char padding[3]; /* zero */
};

struct cloud_ready {
	uint32_t version;
};

struct cloud_address {
	struct ipv4 address;
	uint8_t mac[CLOUD_MAC_SIZE]; /* of the interface that has it, by the metadata */
	uint16_t reserved; /* zero */
};

struct cloud_list {
	uint32_t version;
	uint32_t n;
	struct cloud_address addresses[CLOUD_MAX_ADDRESSES]; /* zeros behind them */
};

/*
 * Send or receive one packet without waiting. Return 0, -EAGAIN, -EPIPE or -ECONNRESET when the
 * other end is gone, -EPROTO for a packet that does not decode, or another errno.
 */
int cloud_send_config(int fd, const struct cloud_config *config);
int cloud_receive_config(int fd, struct cloud_config *config);
int cloud_send_secret(int fd, const struct cloud_secret *secret);
int cloud_receive_secret(int fd, struct cloud_secret *secret);
int cloud_send_list(int fd, const struct cloud_list *list);
int cloud_receive_list(int fd, struct cloud_list *list);
int cloud_send_ready(int fd);
int cloud_receive_ready(int fd);
/* Either of the last two: 1 for a struct cloud_ready, and then of the list the version alone is
 * written. */
int cloud_receive_told(int fd, struct cloud_list *list);

/*
 * What a gate and a signer say to each other over a SOCK_SEQPACKET socket, and what the broker
 * tells a signer: one struct a packet, always of the full size, integers in the machine's byte
 * order. The signer does not trust the gates: they do not say which bytes to sign, but which
 * message of TLS, whole, and the signer looks at it and hashes it itself.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum {
	SIGNING_VERSION = 2,
	SIGNING_CONTENT_MAX = 256, /* bytes. What TLS has signed is at most 165 long */
	SIGNATURE_MAX = 1024, /* bytes: RSA of 8192 bits */

	SIGNER_KEY_MAX = 128 * 1024, /* bytes of PEM */

	/* The file descriptors a signer starts with, besides 0 to 2. */
	SIGNER_FD_BROKER = 3, /* SOCK_SEQPACKET: one struct signer_config, then notices */
	SIGNER_FD_KEY = 4, /* a sealed memfd: the private key in PEM */
};

enum signing_digest {
	SIGNING_NO_DIGEST = 1, /* the algorithm has its own: Ed25519, Ed448 */
	SIGNING_SHA256,
	SIGNING_SHA384,
	SIGNING_SHA512,
	SIGNING_DIGEST_END,
};

/* Of RSA. With PSS the salt is as long as the digest: RFC 8446, 4.2.3. */
enum signing_padding {
	SIGNING_NO_PADDING = 1, /* it is no RSA */
	SIGNING_PKCS1,
	SIGNING_PSS,
	SIGNING_PADDING_END,
};

enum signing_status {
	SIGNING_OK = 1,
	SIGNING_REFUSED, /* the content is none that a TLS server signs, or the key cannot do it */
	SIGNING_STATUS_END,
};

/* Gate to signer. */
struct signing_request {
	uint32_t version; /* SIGNING_VERSION */
	uint16_t digest; /* enum signing_digest */
	uint16_t padding; /* enum signing_padding */
	uint64_t id; /* the gate's; comes back in the reply */
	uint32_t length; /* of the content */
	uint32_t reserved; /* zero */
	uint8_t content[SIGNING_CONTENT_MAX]; /* to be hashed and signed; zeros behind it */
};

/* Signer to gate. */
struct signing_reply {
	uint32_t version;
	uint16_t status; /* enum signing_status */
	uint16_t length; /* of the signature; 0 if it was refused */
	uint64_t id;
	uint8_t signature[SIGNATURE_MAX];
};

enum signer_notice_kind {
	/* Broker to signer. */
	SIGNER_SERVE = 1, /* this gate, by the socket that comes with it */
	SIGNER_PING, /* to be answered, so that one that hangs is found out */
	/* Signer to broker. */
	SIGNER_READY, /* once, before any other: it is confined and serves */
	SIGNER_ALIVE, /* the answer to a ping */
	SIGNER_DROPPED, /* a gate is not served any more: what it sent was no request, or it does
			   not take its answers */
	SIGNER_NOTICE_KIND_END,
};

/* What broker and signer say to each other. */
struct signer_notice {
	uint32_t version; /* SIGNING_VERSION */
	uint32_t kind; /* enum signer_notice_kind */
	uint32_t gate; /* its number, in SERVE and DROPPED; 0 else */
	uint32_t socket; /* the broker's number of the gate's socket, likewise */
	uint32_t error; /* why, in DROPPED: an errno; 0 else */
};

/* Broker to signer, first of all. */
struct signer_config {
	uint32_t version; /* SIGNING_VERSION */
	uint32_t number; /* from 0, for the log */
	uint32_t user; /* uid and gid to run as */
	uint32_t group;
	uint32_t log_level; /* enum log_level */
	uint32_t log_format; /* enum log_format */
};

/* Check what was received: the size and every field's range. Return 0 or -EPROTO. */
int signing_decode_request(const void *packet, size_t length, struct signing_request *request);
int signing_decode_reply(const void *packet, size_t length, struct signing_reply *reply);
int signer_decode_notice(const void *packet, size_t length, struct signer_notice *notice);
int signer_decode_config(const void *packet, size_t length, struct signer_config *config);

/*
 * Send or receive one packet without waiting. Return 0, -EAGAIN, -EPIPE or -ECONNRESET when the
 * other end is gone, -EPROTO for a packet that does not decode, or another errno.
 */
int signing_send_request(int fd, const struct signing_request *request);
int signing_receive_request(int fd, struct signing_request *request);
int signing_send_reply(int fd, const struct signing_reply *reply);
int signing_receive_reply(int fd, struct signing_reply *reply);
int signer_send_config(int fd, const struct signer_config *config);
int signer_receive_config(int fd, struct signer_config *config);

/* Likewise. With SERVE, and only with it, there goes a descriptor, which stays the sender's; the
 * receiver owns its copy. Else it is -1. */
int signer_send_notice(int fd, const struct signer_notice *notice, int descriptor);
int signer_receive_notice(int fd, struct signer_notice *notice, int *descriptor);

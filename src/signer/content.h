/* What the signer signs, and nothing else: the two messages that a TLS server signs. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Whether these bytes are what a server of TLS 1.3 has to sign in its CertificateVerify (RFC 8446,
 * 4.4.3), or one of TLS 1.2 in its ServerKeyExchange (RFC 8422, 5.4). Both hold a number that the
 * client has just made up, so that no signature is good for another connection. What a certificate,
 * or a client, has signed is neither.
 */
bool content_is_signed_by_servers(const uint8_t *content, size_t length);

/* Writes such a message, of no connection at all, of at most SIGNING_CONTENT_MAX bytes. Returns its
 * length. */
size_t content_example(uint8_t *content);

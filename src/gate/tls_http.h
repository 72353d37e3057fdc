/* What a connection needs from its first byte to the answer: TLS, the request, and the call to the
 * broker. */
#pragma once

#include <stdbool.h>

#include "gate/connection.h"

/* Returns NULL if there is no memory or the library fails: tls_error(). The connection is never
 * served without TLS. */
struct exchange *exchange_new(struct connection *connection);

/* Says goodbye in TLS, so that the client knows that nothing was cut off, forgets the call to the
 * broker, and wipes what the client sent. */
void exchange_free(struct exchange *exchange);

/* Whether a byte of the request has come. */
bool exchange_has_begun(const struct exchange *exchange);

/* The phases. Each sets the connection's phase when it is through with its own. */
enum step exchange_handshake(struct connection *connection);
enum step exchange_read(struct connection *connection);
enum step exchange_write(struct connection *connection, enum connection_phase next);

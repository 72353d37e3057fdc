/* Whom the host trusts to certify web servers. */
#pragma once

#include <limits.h>

/* The file of their certificates, in PEM: that of SSL_CERT_FILE in the environment, as OpenSSL has
 * it, or else the distribution's; the first it may be if none is there. */
void authorities_find(char path[PATH_MAX]);

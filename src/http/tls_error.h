/* Why OpenSSL failed, for the log. */
#pragma once

/* The last error of this thread in the library's words, which live as long as the program; clears
 * all of them. */
const char *tls_error(void);

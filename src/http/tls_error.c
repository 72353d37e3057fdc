/* The text of OpenSSL's errors. Runs in the gate, the broker and the client's request process. */
#include "http/tls_error.h"

#include <openssl/err.h>

const char *tls_error(void)
{
	unsigned long error = ERR_peek_last_error();
	const char *text = error ? ERR_reason_error_string(error) : NULL;

	ERR_clear_error();
	return text ? text : "unknown error";
}

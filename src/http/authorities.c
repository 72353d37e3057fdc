/* Finds the certificates of authorities. Runs in who starts a process that needs them. */
#include "http/authorities.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

void authorities_find(char path[PATH_MAX])
{
	static const char *const files[] = {
		"/etc/ssl/certs/ca-certificates.crt", /* Debian, Arch */
		"/etc/pki/tls/certs/ca-bundle.crt", /* Fedora */
		"/etc/ssl/ca-bundle.pem", /* openSUSE */
	};
	const char *chosen = getenv("SSL_CERT_FILE");

	for (size_t i = 0; !chosen && i < sizeof files / sizeof *files; i++)
		if (access(files[i], R_OK) == 0)
			chosen = files[i];
	snprintf(path, PATH_MAX, "%s", chosen ? chosen : files[0]);
}

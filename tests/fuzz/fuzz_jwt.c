/* A token, by an issuer with a key: taken apart, verified, its claims checked. None that is made up
 * is good. */
#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64url.h"
#include "gate/jwt.h"
#include "gate/jwt_claims.h"
#include "gate/jwt_signature.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The base point of P-256: nobody has to know the private key, which is 1. */
static const char point[2][44] = {"axfR8uEsQkf4vOblY6RA8ncDfYEt6zOg9KE5RdiYwpY",
	"T-NC4v4af5uO5-tKfA-eFivOM1drMV7Oy7ZAaDe_UfU"};

static void check(const struct jwt *jwt)
{
	struct issuer issuer = {.url = "https://issuer.example", .name_claim = "sub"};
	struct issuer_key key = {.kind = ISSUER_KEY_P256, .kid = "a"};
	struct client_name name;

	assert(jwt->kid && jwt->iss && jwt->signed_length < strlen(jwt->text));
	assert(jwt->kind == ISSUER_KEY_RSA || jwt->kind == ISSUER_KEY_P256);
	for (int i = 0; i < 2; i++)
		base64url_decode(point[i], 43, key.bytes + 32 * i, 32);
	jwt_signature_is_right(jwt, &key);
	issuer_add_rule(&issuer, "sub:a*[b-z]?");
	issuer_add_rule(&issuer, "n:1*");
	jwt_claims_fault(jwt->claims, &issuer, 1700000000);
	if (jwt_claims_name(jwt->claims, &issuer, &name) == 0)
		assert(client_name_is_valid(&name) && !client_name_is_none(&name));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);
	struct jwt jwt;
	int error;

	if (!text)
		abort();
	memcpy(text, data, size);
	text[size] = '\0';
	error = jwt_parse(text, &jwt);
	assert(error == 0 || error == -EBADMSG);
	if (error == 0)
		check(&jwt);
	jwt_free(&jwt);
	free(text);
	return 0;
}

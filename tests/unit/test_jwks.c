#include "test.h"

#include <errno.h>
#include <stdio.h>

#include "ipc/issuer_fetch.h"
#include "oidc/discovery.h"
#include "oidc/jwks.h"

/* RFC 7515, A.2 and A.3; and 512 bits. */
#define MODULUS                                                                                    \
	"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt" \
	"0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSX" \
	"ndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5" \
	"IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ"
#define SHORT                                                                                      \
	"_____________________________________________________________________________________w"
#define X "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"
#define Y "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"
#define RSA_KEY "\"kty\":\"RSA\",\"n\":\"" MODULUS "\",\"e\":\"AQAB\""
#define EC_KEY "\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" X "\",\"y\":\"" Y "\""

static struct issuer_key keys[ISSUER_KEYS_MAX];

static int parse(const char *text)
{
	return jwks_parse(text, strlen(text), keys);
}

/* Of a set with one key of these members. */
static int parse_key(const char *members)
{
	char text[4096];

	snprintf(text, sizeof text, "{\"keys\":[{%s}]}", members);
	return parse(text);
}

static void keys_of_both_kinds_are_taken(void **state)
{
	(void)state;
	assert_int_equal(
		parse("{\"keys\":[{\"kid\":\"a\",\"use\":\"sig\",\"alg\":\"RS256\"," RSA_KEY
		      "},{\"kid\":\"b\"," EC_KEY "}],\"more\":1}"),
		2);
	assert_int_equal(keys[0].kind, ISSUER_KEY_RSA);
	assert_string_equal(keys[0].kid, "a");
	assert_int_equal(keys[0].modulus_length, 256);
	assert_int_equal(keys[0].exponent, 65537);
	assert_int_equal(keys[0].bytes[0], 0xa1);
	assert_int_equal(keys[1].kind, ISSUER_KEY_P256);
	assert_int_equal(keys[1].bytes[0], 0x7f);
	assert_int_equal(keys[1].bytes[32], 0xc7);
	for (int i = 0; i < 2; i++)
		assert_true(issuer_key_is_valid(&keys[i]));
}

static void a_key_for_something_else_is_left_out(void **state)
{
	static const char *const others[] = {RSA_KEY, /* no kid */
		"\"kid\":\"\"," RSA_KEY, "\"kid\":1," RSA_KEY, "\"kid\":\"a b\"," RSA_KEY,
		"\"kid\":\"a\",\"use\":\"enc\"," RSA_KEY, "\"kid\":\"a\",\"use\":1," RSA_KEY,
		"\"kid\":\"a\",\"alg\":\"RS512\"," RSA_KEY,
		"\"kid\":\"a\",\"alg\":\"RS256\"," EC_KEY,
		"\"kid\":\"a\",\"kty\":\"oct\",\"k\":\"AQAB\"", "\"kid\":\"a\",\"kty\":\"RSA\"",
		"\"kid\":\"a\",\"kty\":\"RSA\",\"n\":\"" SHORT "\",\"e\":\"AQAB\"",
		"\"kid\":\"a\",\"kty\":\"RSA\",\"n\":\"" MODULUS "\",\"e\":\"AQ\"",
		"\"kid\":\"a\",\"kty\":\"RSA\",\"n\":\"" MODULUS "\",\"e\":\"AQABAQAB\"",
		"\"kid\":\"a\",\"kty\":\"RSA\",\"n\":\"" MODULUS "=\",\"e\":\"AQAB\"",
		"\"kid\":\"a\",\"kty\":\"EC\",\"crv\":\"P-384\",\"x\":\"" X "\",\"y\":\"" Y "\"",
		"\"kid\":\"a\",\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AQ\",\"y\":\"" Y "\""};

	(void)state;
	for (size_t i = 0; i < sizeof others / sizeof *others; i++)
		if (parse_key(others[i]) != -ENOENT)
			fail_msg("taken: %s", others[i]);
	assert_int_equal(parse("{\"keys\":[{\"kid\":\"a\",\"kty\":\"oct\"},{\"kid\":\"b\"," RSA_KEY
			       "},null,1,[]]}"),
		1);
	assert_string_equal(keys[0].kid, "b");
}

static void a_zero_before_the_modulus_is_left_out(void **state)
{
	(void)state;
	/* 0x00 0xff ... of 257 bytes: 343 characters */
	char text[1024] = "{\"keys\":[{\"kid\":\"a\",\"kty\":\"RSA\",\"e\":\"AQAB\",\"n\":\"AP";
	size_t used = strlen(text);

	memset(text + used, '_', 341);
	text[used + 340] = '8';
	strcpy(text + used + 341, "\"}]}");
	assert_int_equal(parse(text), 1);
	assert_int_equal(keys[0].modulus_length, 256);
}

static void what_is_no_set_of_keys_is_refused(void **state)
{
	static const char *const texts[] = {"", "{}", "[]", "null", "{\"keys\":{}}", "{\"keys\":1}",
		"{\"keys\":[]", "{\"keys\":[]}x", "{\"keys\":[],\"keys\":[]}", "\xff"};

	(void)state;
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
		if (parse(texts[i]) != -EBADMSG)
			fail_msg("taken: %s", texts[i]);
	assert_int_equal(parse("{\"keys\":[]}"), -ENOENT);
}

static void there_are_no_more_keys_than_there_is_room_for(void **state)
{
	static char text[64 * 1024];
	size_t used = (size_t)sprintf(text, "{\"keys\":[");

	(void)state;
	for (int i = 0; i <= ISSUER_KEYS_MAX; i++)
		used += (size_t)sprintf(
			text + used, "%s{\"kid\":\"%d\"," EC_KEY "}", i ? "," : "", i);
	strcpy(text + used, "]}");
	assert_int_equal(parse(text), -E2BIG);
}

static void where_an_issuer_says_what_it_is(void **state)
{
	struct web_place place;

	(void)state;
	assert_int_equal(discovery_place("https://issuer.example", &place), 0);
	assert_string_equal(place.server.host, "issuer.example");
	assert_string_equal(place.target, "/.well-known/openid-configuration");
	assert_int_equal(place.server.port, 443);
	assert_int_equal(discovery_place("https://issuer.example:8443/tenant/", &place), 0);
	assert_string_equal(place.target, "/tenant/.well-known/openid-configuration");
	assert_int_equal(place.server.port, 8443);
	assert_int_equal(discovery_place("http://issuer.example", &place), -EINVAL);
	assert_int_equal(discovery_place("https://issuer.example?x", &place), -EINVAL);
}

static int discover(const char *text, struct web_place *place)
{
	return discovery_parse(text, strlen(text), "https://issuer.example", place);
}

static void an_issuer_speaks_for_itself_alone(void **state)
{
	struct web_place place;

	(void)state;
	assert_int_equal(discover("{\"issuer\":\"https://issuer.example\",\"jwks_uri\":"
				  "\"https://keys.example/a?b=c\"}",
				 &place),
		0);
	assert_string_equal(place.target, "/a?b=c");
	assert_int_equal(discover("{\"jwks_uri\":\"https://keys.example\"}", &place), 0);
	assert_string_equal(place.target, "/");
	assert_int_equal(discover("{\"issuer\":\"https://other.example\",\"jwks_uri\":"
				  "\"https://keys.example/\"}",
				 &place),
		-EXDEV);
	assert_int_equal(discover("{\"issuer\":\"https://issuer.example.evil\",\"jwks_uri\":"
				  "\"https://keys.example/\"}",
				 &place),
		-EXDEV);
	assert_int_equal(discover("{\"issuer\":1,\"jwks_uri\":\"https://keys.example/\"}", &place),
		-EBADMSG);
	assert_int_equal(discover("{\"issuer\":\"https://issuer.example\"}", &place), -EBADMSG);
	assert_int_equal(discover("{\"jwks_uri\":\"http://keys.example/\"}", &place), -EINVAL);
	assert_int_equal(discover("{\"jwks_uri\":\"file:///etc/passwd\"}", &place), -EINVAL);
	assert_int_equal(discover("garbage", &place), -EBADMSG);
}

static void where_keys_are_can_end_no_line_of_the_request(void **state)
{
	static const char *const wrong[] = {"", "https://", "https:///a", "https://a b/",
		"https://user@a/", "https://a/\\r\\nHost: b", "https://a/ b", "https://a/#b",
		"https://a:0/", "https://a:65536/", "https://a:1x/", "//a/", "https://[::1",
		"https://a?b", "https://a/\\u007f", "https://a/\\u00e9"};
	struct web_place place;
	char text[2 * WEB_TARGET_SIZE];

	(void)state;
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		snprintf(text, sizeof text, "{\"jwks_uri\":\"%s\"}", wrong[i]);
		if (discover(text, &place) != -EINVAL)
			fail_msg("taken: %s", wrong[i]);
	}
	snprintf(text, sizeof text, "{\"jwks_uri\":\"https://a/%0*d\"}", WEB_TARGET_SIZE, 0);
	assert_int_equal(discover(text, &place), -EINVAL);
	assert_int_equal(discover("{\"jwks_uri\":\"https://a/b/\"}", &place), 0);
	assert_string_equal(place.target, "/b/");
}

/* The broker believes a process that reads the Internet no more than that. */
static void what_was_fetched_is_checked_again(void **state)
{
	struct issuer_fetched fetched = {.version = ISSUER_FETCH_VERSION, .n = 1};

	(void)state;
	assert_int_equal(parse_key("\"kid\":\"a\"," RSA_KEY), 1);
	fetched.keys[0] = keys[0];
	assert_true(issuer_fetched_is_valid(&fetched));
	strcpy(fetched.fault, "x");
	assert_false(issuer_fetched_is_valid(&fetched));
	fetched.n = 0;
	assert_true(issuer_fetched_is_valid(&fetched));
	strcpy(fetched.fault, "\x1b[2J");
	assert_false(issuer_fetched_is_valid(&fetched));
	memset(fetched.fault, 'a', sizeof fetched.fault);
	assert_false(issuer_fetched_is_valid(&fetched));
	fetched.fault[0] = '\0';
	fetched.n = ISSUER_KEYS_MAX + 1;
	assert_false(issuer_fetched_is_valid(&fetched));
	fetched.n = 2; /* the second is none */
	assert_false(issuer_fetched_is_valid(&fetched));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys_of_both_kinds_are_taken),
		cmocka_unit_test(a_key_for_something_else_is_left_out),
		cmocka_unit_test(a_zero_before_the_modulus_is_left_out),
		cmocka_unit_test(what_is_no_set_of_keys_is_refused),
		cmocka_unit_test(there_are_no_more_keys_than_there_is_room_for),
		cmocka_unit_test(where_an_issuer_says_what_it_is),
		cmocka_unit_test(an_issuer_speaks_for_itself_alone),
		cmocka_unit_test(where_keys_are_can_end_no_line_of_the_request),
		cmocka_unit_test(what_was_fetched_is_checked_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

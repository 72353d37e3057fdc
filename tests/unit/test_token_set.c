/* Tokens: who has which, and how they come to the gates. */
#include "test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <openssl/sha.h>

#include "cmd/token_file.h"
#include "ipc/token_set.h"

enum { MANY = 10 * 1000 };

static void digest(const char *text, uint8_t digest[BEARER_DIGEST_SIZE])
{
	SHA256((const unsigned char *)text, strlen(text), digest);
}

static struct token token(const char *name, const char *current, const char *previous)
{
	struct token token = {.line = 7};

	assert_int_equal(client_name_make(CLIENT_NAME_TOKEN, name, &token.name), 0);
	digest(current, token.digests[0]);
	digest(previous, token.digests[1]);
	return token;
}

static int make(const struct token *tokens, size_t n, struct token_set **set, size_t *again)
{
	struct token *copy = calloc(n + 1, sizeof *copy);

	assert_non_null(copy);
	memcpy(copy, tokens, n * sizeof *copy);
	return token_set_new(copy, n, set, again);
}

static struct token_set *many(void)
{
	struct token *tokens = calloc(MANY, sizeof *tokens);
	struct token_set *set;
	size_t again;

	for (int i = 0; i < MANY; i++) {
		char name[16];

		snprintf(name, sizeof name, "n%d", i);
		tokens[i] = token(name, name, i % 2 ? name : "");
		if (i % 2 == 0)
			tokens[i].digests[1][0] = (uint8_t)i,
			tokens[i].digests[1][1] = (uint8_t)(i >> 8);
	}
	assert_int_equal(token_set_new(tokens, MANY, &set, &again), 0);
	return set;
}

static void each_token_is_its_names_and_its_digest_is_no_token(void **state)
{
	const struct token given[] = {token("a", "new", "old"), token("b", "other", "other")};
	struct token_set *set;
	uint8_t of_new[BEARER_DIGEST_SIZE + 1] = {0};
	size_t again;

	(void)state;
	assert_int_equal(make(given, 2, &set, &again), 0);
	assert_string_equal(token_set_find(set, "new")->name.s, "token:a");
	assert_string_equal(token_set_find(set, "old")->name.s, "token:a");
	assert_string_equal(token_set_find(set, "other")->name.s, "token:b");
	digest("new", of_new);
	assert_null(token_set_find(set, (const char *)of_new));
	assert_null(token_set_find(set, ""));
	assert_null(token_set_named(set, &(struct client_name){"oidc:a"}));
	assert_null(token_set_named(NULL, &(struct client_name){"token:a"}));
	token_set_free(set);
}

static void no_name_and_no_digest_is_there_twice(void **state)
{
	const struct token twice[] = {
		token("a", "1", "2"), token("b", "3", "3"), token("a", "4", "4")};
	const struct token shared[] = {token("a", "1", "2"), token("b", "2", "5")};
	struct token none[] = {token("a", "1", "1")};
	struct token_set *set;
	size_t again;

	(void)state;
	assert_int_equal(make(twice, 3, &set, &again), -EEXIST);
	assert_int_equal(again, 2);
	assert_int_equal(make(shared, 2, &set, &again), -EEXIST);
	assert_int_equal(again, 1);
	none[0].name = (struct client_name){"oidc:a"};
	assert_int_equal(make(none, 1, &set, &again), -EINVAL);
	assert_null(set);
}

static void a_gate_reads_what_the_broker_has_written_and_nothing_that_is_cut_off(void **state)
{
	struct token_set *set = many(), *read;
	int fd = token_set_write(set), none = token_set_write(NULL), part;

	(void)state;
	assert_int_equal(token_set_read(fd, &read), 0);
	assert_true(token_set_equal(set, read));
	assert_string_equal(token_set_find(read, "n9999")->name.s, "token:n9999");
	token_set_free(read);
	assert_int_equal(token_set_read(fd, &read), 0); /* the place in it is nobody's */
	token_set_free(read);
	assert_int_equal(token_set_read(none, &read), 0);
	assert_int_equal(token_set_count(read), 0);
	token_set_free(read);
	part = memfd_create("part", 0);
	for (size_t n = 0; n < 12; n++) {
		char byte = 1;

		assert_int_equal(token_set_read(part, &read), -EPROTO);
		assert_int_equal(write(part, &byte, 1), 1);
	}
	assert_true(write(fd, "x", 1) < 0); /* sealed */
	close(part);
	close(none);
	close(fd);
	token_set_free(set);
}

static void a_token_is_good_until_it_ends(void **state)
{
	struct token given[] = {token("a", "1", "1"), token("b", "2", "2"), token("c", "3", "3")};
	struct token_set *set;
	size_t again;

	(void)state;
	given[0].expires_s = 100;
	given[1].expires_s = 50;
	assert_int_equal(make(given, 3, &set, &again), 0);
	assert_true(token_is_good(&given[0], 99));
	assert_false(token_is_good(&given[0], 100));
	assert_true(token_is_good(&given[2], UINT64_MAX));
	assert_int_equal(token_set_next_end(set, 0), 50);
	assert_int_equal(token_set_next_end(set, 50), 100);
	assert_true(token_set_next_end(set, 100) == UINT64_MAX);
	token_set_free(set);
}

#define DIGEST "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

static void a_line_has_a_name_digests_and_options(void **state)
{
	char full[] = "\tci  " DIGEST "," DIGEST " \texpires=2001-09-09T01:46:40Z max-peers=7 \r";
	char day[] = "ci " DIGEST " expires=2000-12-31";
	struct token token = {0};
	const char *option;

	(void)state;
	assert_null(token_line_parse(full, &token, &option));
	assert_string_equal(token.name.s, "token:ci");
	assert_int_equal(token.expires_s, 1000000000);
	assert_int_equal(token.max_peers, 7);
	assert_int_equal(token.digests[1][31], 0xff);
	assert_null(token_line_parse(day, &token, &option));
	assert_int_equal(token.expires_s, 978307200); /* 2001-01-01 */
}

static void destinations_of_a_line_add_up_and_are_part_of_what_it_says(void **state)
{
	char some[] = "ci " DIGEST " allow-to=10.1.2.3/8,192.0.2.0/24 allow-to=198.51.100.1/32";
	char bare[] = "ci " DIGEST,
	     many[17 * sizeof "10.0.0.0/8" + 100] = "ci " DIGEST " allow-to=";
	static const char *const bad[] = {"", ",", "10.0.0.0/8,", ",10.0.0.0/8", "10.0.0.0",
		"10.0.0.0/33", "::/0", "127.0.0.0/8", "10.0.0.0/8,,11.0.0.0/8",
		"123.123.123.123/32x"};
	struct token token = {0}, other = {0};
	struct token_set *set, *set_of_other;
	const char *option;
	size_t again;

	(void)state;
	assert_null(token_line_parse(some, &token, &option));
	assert_int_equal(token.n_allow_to, 3);
	assert_string_equal(prefix_text(token.allow_to[0]).s, "10.0.0.0/8");
	assert_string_equal(prefix_text(token.allow_to[2]).s, "198.51.100.1/32");
	assert_null(token_line_parse(bare, &other, &option));
	assert_int_equal(make(&token, 1, &set, &again), 0);
	assert_int_equal(make(&other, 1, &set_of_other, &again), 0);
	assert_false(token_set_equal(set, set_of_other));
	token_set_free(set_of_other);
	other = token;
	other.allow_to[1].length = 25;
	assert_int_equal(make(&other, 1, &set_of_other, &again), 0);
	assert_false(token_set_equal(set, set_of_other));
	token_set_free(set_of_other);
	token_set_free(set);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		char text[256];

		snprintf(text, sizeof text, "ci %s allow-to=%s", DIGEST, bad[i]);
		assert_non_null(token_line_parse(text, &(struct token){0}, &option));
	}
	for (int i = 0; i < 17; i++)
		strcat(many, i == 0 ? "10.0.0.0/8" : ",10.0.0.0/8");
	assert_string_equal(token_line_parse(many, &(struct token){0}, &option),
		"is one block more than the 16 that are possible");
}

static void a_day_that_no_calendar_has_is_refused(void **state)
{
	static const char *const bad[] = {"2027-02-29", "2027-02-30T00:00:00Z", "2027-04-31",
		"2027-00-01", "2027-01-00", "2027-01-31T23:59:60Z", "2027-01-31T23:59:61Z"};
	char leap[] = "ci " DIGEST " expires=2028-02-29";
	struct token token = {0};
	const char *option;

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		char text[256];

		snprintf(text, sizeof text, "ci %s expires=%s", DIGEST, bad[i]);
		assert_non_null(token_line_parse(text, &(struct token){0}, &option));
	}
	assert_null(token_line_parse(leap, &token, &option));
	assert_int_equal(token.expires_s, 1835481600); /* 2028-03-01 */
}

/* Nothing of a line but an option that is known is shown: it may be a token in a wrong place. */
static void what_is_wrong_names_its_option_and_no_secret(void **state)
{
	static const struct {
		const char *line, *option;
	} cases[] = {
		{"ci " DIGEST " max-peers=3 expires=soon", "expires=soon"},
		{"ci " DIGEST " max-peers=0", "max-peers=0"},
		{"ci " DIGEST " max-peers=3 vprox_0123", ""},
		{"ci vprox_0123", ""},
		{"vprox_\" ", ""},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char text[256];
		const char *option;

		snprintf(text, sizeof text, "%s", cases[i].line);
		assert_non_null(token_line_parse(text, &(struct token){0}, &option));
		assert_string_equal(option, cases[i].option);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_token_is_its_names_and_its_digest_is_no_token),
		cmocka_unit_test(no_name_and_no_digest_is_there_twice),
		cmocka_unit_test(
			a_gate_reads_what_the_broker_has_written_and_nothing_that_is_cut_off),
		cmocka_unit_test(a_token_is_good_until_it_ends),
		cmocka_unit_test(a_line_has_a_name_digests_and_options),
		cmocka_unit_test(a_day_that_no_calendar_has_is_refused),
		cmocka_unit_test(what_is_wrong_names_its_option_and_no_secret),
		cmocka_unit_test(destinations_of_a_line_add_up_and_are_part_of_what_it_says),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

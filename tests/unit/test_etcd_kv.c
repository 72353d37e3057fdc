/* What an etcd may answer that is broken, or that somebody else plays. */
#include "store/etcd_kv.h"

#include "test.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "store/etcd.h"

enum { MOST_SEEN = 16, MOST_QUESTIONS = 8 };

/* In place of etcd: the answers, one after the other, up to NULL. */
struct etcd {
	const char *answers[MOST_QUESTIONS];
	int error;
	size_t n_asked;
	json_t *last;
};

struct seen {
	char keys[MOST_SEEN][256];
	size_t sizes[MOST_SEEN];
	uint64_t revisions[MOST_SEEN];
	size_t n;
};

int etcd_ask(struct etcd *etcd, const char *path, const json_t *question, json_t **answer)
{
	const char *text = etcd->answers[etcd->n_asked++];

	(void)path;
	if (!text)
		fail_msg("it is asked without end");
	json_decref(etcd->last);
	etcd->last = json_deep_copy(question);
	if (etcd->error < 0)
		return etcd->error;
	*answer = json_loads(text, JSON_DECODE_ANY, NULL);
	assert_non_null(*answer);
	return 0;
}

static int see(void *context, const struct kv *kv)
{
	struct seen *seen = context;

	assert_true(seen->n < MOST_SEEN);
	snprintf(seen->keys[seen->n], sizeof seen->keys[0], "%s", kv->key);
	seen->sizes[seen->n] = kv->size;
	seen->revisions[seen->n++] = kv->mod_revision;
	return 0;
}

/* Of keys that begin with "a/". */
static int read_answers(const char *first, const char *second, struct seen *seen)
{
	struct etcd etcd = {.answers = {first, second}};
	int error;

	*seen = (struct seen){.n = 0};
	error = kv_read(&etcd, "a/", see, seen);
	json_decref(etcd.last);
	return error;
}

static struct seen read_answer(const char *first, const char *second)
{
	struct seen seen;

	assert_int_equal(read_answers(first, second, &seen), 0);
	return seen;
}

/* YS8x is a/1, YS8y a/2, YS8z a/3; eA== is x. */
static void pages_are_read_to_the_end(void **state)
{
	struct seen seen = read_answer("{\"kvs\": [{\"key\": \"YS8x\", \"value\": \"eA==\","
				       " \"mod_revision\": \"7\"}, {\"key\": \"YS8y\"}],"
				       " \"more\": true}",
		"{\"kvs\": [{\"key\": \"YS8z\", \"mod_revision\": \"9\"}]}");

	(void)state;
	assert_int_equal(seen.n, 3);
	assert_string_equal(seen.keys[0], "a/1");
	assert_int_equal(seen.sizes[0], 1);
	assert_int_equal(seen.sizes[1], 0);
	assert_int_equal(seen.revisions[0], 7);
	assert_string_equal(seen.keys[2], "a/3");
}

static void the_same_page_for_ever_is_an_error(void **state)
{
	const char *page = "{\"kvs\": [{\"key\": \"YS8x\"}], \"more\": true}";
	struct seen seen;

	(void)state;
	assert_int_equal(read_answers(page, page, &seen), -EBADMSG);
}

static void a_page_without_keys_is_the_last_whatever_it_says(void **state)
{
	(void)state;
	assert_int_equal(read_answer("{\"kvs\": [], \"more\": true}", NULL).n, 0);
	assert_int_equal(read_answer("{\"more\": true}", NULL).n, 0);
}

static void a_key_that_was_not_asked_for_is_an_error(void **state)
{
	struct seen seen;

	(void)state;
	/* b/1 */
	assert_int_equal(read_answers("{\"kvs\": [{\"key\": \"Yi8x\"}]}", NULL, &seen), -EBADMSG);
	assert_int_equal(seen.n, 0);
}

static void what_is_of_another_type_is_passed_over(void **state)
{
	static const char *const answers[] = {"[]", "7", "null", "{\"kvs\": \"YS8x\"}",
		"{\"kvs\": {\"key\": \"YS8x\"}}", "{\"kvs\": [null, 7, \"YS8x\", []]}",
		"{\"kvs\": [{\"key\": 7}]}", "{\"kvs\": [{\"value\": \"eA==\"}]}",
		"{\"kvs\": 7, \"more\": \"yes\"}"};

	(void)state;
	for (size_t i = 0; i < sizeof answers / sizeof *answers; i++)
		assert_int_equal(read_answer(answers[i], NULL).n, 0);
	/* The key is one; the rest is nothing. */
	assert_int_equal(read_answer("{\"kvs\": [{\"key\": \"YS8x\", \"value\": 7,"
				     " \"mod_revision\": {}}]}",
				 NULL)
				 .sizes[0],
		0);
}

static void keys_that_are_no_base64_are_not_seen(void **state)
{
	static const char *const keys[] = {"", "Y", "YS8", "YS8!", "YS8x\\n",
		"====", "YS8x=", "\\u00e4\\u00f6\\u00fc",
		/* with a NUL in it */
		"YS8AMQ=="};
	char answer[128];
	struct seen seen;

	(void)state;
	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
		snprintf(answer, sizeof answer, "{\"kvs\": [{\"key\": \"%s\"}]}", keys[i]);
		read_answers(answer, NULL, &seen);
		assert_int_equal(seen.n, 0);
	}
}

static void a_value_that_is_no_base64_is_empty(void **state)
{
	static const char *const values[] = {"", "e", "eA=", "e!==", "=eA=", "eA==eA=="};
	char answer[128];

	(void)state;
	for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
		struct seen seen;

		snprintf(answer, sizeof answer,
			"{\"kvs\": [{\"key\": \"YS8x\", \"value\": \"%s\"}]}", values[i]);
		seen = read_answer(answer, NULL);
		assert_int_equal(seen.n, 1);
		/* No longer than what was sent. */
		assert_true(seen.sizes[0] <= 3 * strlen(values[i]) / 4);
	}
}

static void a_key_as_long_as_there_is_no_room_for_is_passed_over(void **state)
{
	char answer[600] = "{\"kvs\": [{\"key\": \"YS8x";

	(void)state;
	for (int i = 0; i < 100; i++)
		strcat(answer, "YS8x");
	strcat(answer, "\"}]}");
	assert_int_equal(read_answer(answer, NULL).n, 0);
}

static void revisions_are_never_more_than_a_number_can_be(void **state)
{
	(void)state;
	assert_int_equal(read_answer("{\"kvs\": [{\"key\": \"YS8x\","
				     " \"mod_revision\": \"99999999999999999999999\"}]}",
				 NULL)
				 .revisions[0],
		UINT64_MAX);
	assert_int_equal(read_answer("{\"kvs\": [{\"key\": \"YS8x\", \"mod_revision\": 7}]}", NULL)
				 .revisions[0],
		0);
}

static void a_transaction_is_done_only_where_the_answer_says_so(void **state)
{
	static const char *const answers[] = {
		"{}", "{\"succeeded\": false}", "{\"succeeded\": \"true\"}", "{\"succeeded\": 1}"};
	bool done;

	(void)state;
	for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
		struct etcd etcd = {.answers = {answers[i]}};
		struct kv_transaction transaction;

		kv_begin(&transaction);
		kv_put(&transaction, "a/1", (const uint8_t *)"x", 1);
		assert_int_equal(kv_commit(&etcd, &transaction, &done), 0);
		assert_false(done);
		json_decref(etcd.last);
	}
}

static void an_error_of_etcd_is_passed_on(void **state)
{
	struct etcd etcd = {.answers = {"{}"}, .error = -ENOSPC};
	struct kv_transaction transaction;
	struct seen seen = {.n = 0};
	bool done = true;

	(void)state;
	assert_int_equal(kv_read(&etcd, "a/", see, &seen), -ENOSPC);
	etcd.n_asked = 0;
	kv_begin(&transaction);
	assert_int_equal(kv_commit(&etcd, &transaction, &done), -ENOSPC);
	assert_false(done);
	json_decref(etcd.last);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pages_are_read_to_the_end),
		cmocka_unit_test(the_same_page_for_ever_is_an_error),
		cmocka_unit_test(a_page_without_keys_is_the_last_whatever_it_says),
		cmocka_unit_test(a_key_that_was_not_asked_for_is_an_error),
		cmocka_unit_test(what_is_of_another_type_is_passed_over),
		cmocka_unit_test(keys_that_are_no_base64_are_not_seen),
		cmocka_unit_test(a_value_that_is_no_base64_is_empty),
		cmocka_unit_test(a_key_as_long_as_there_is_no_room_for_is_passed_over),
		cmocka_unit_test(revisions_are_never_more_than_a_number_can_be),
		cmocka_unit_test(a_transaction_is_done_only_where_the_answer_says_so),
		cmocka_unit_test(an_error_of_etcd_is_passed_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

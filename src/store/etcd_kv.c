/* Makes questions about keys and values, and reads the answers. Runs in the store's process. */
#include "store/etcd_kv.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "base/cleanup.h"
#include "store/etcd.h"

enum {
	PAGE = 1000, /* keys an answer; of ours that is less than half a megabyte */
	KEY_SPACE = 256, /* with the final NUL; ours are shorter */
};

/* The gateway has bytes in base64, RFC 4648 4. */
static json_t *bytes_to_json(const void *bytes, size_t size)
{
	auto_free char *text = malloc(4 * ((size + 2) / 3) + 1);

	if (!text)
		return NULL;
	EVP_EncodeBlock((unsigned char *)text, bytes, (int)size);
	return json_string(text);
}

static json_t *text_to_json(const char *text)
{
	return bytes_to_json(text, strlen(text));
}

/* Returns memory that the caller frees, with a NUL behind it; NULL if it is no base64. */
static uint8_t *bytes_from_json(const json_t *json, size_t *size)
{
	const char *text = json_string_value(json);
	size_t length = text ? strlen(text) : 0;
	uint8_t *bytes = text ? malloc(length + 1) : NULL;
	int n = bytes ? EVP_DecodeBlock(bytes, (const unsigned char *)text, (int)length) : -1;

	if (n < 0 || length % 4 != 0) {
		free(bytes);
		return NULL;
	}
	/* It counts the padding in. */
	for (size_t i = length; i > 0 && text[i - 1] == '='; i--)
		n--;
	*size = n < 0 ? 0 : (size_t)n;
	bytes[*size] = '\0';
	return bytes;
}

static uint64_t number_from_json(const json_t *json)
{
	const char *text = json_string_value(json);

	return text ? strtoull(text, NULL, 10) : 0;
}

/* The gateway has integers of 64 bits as texts. */
struct number_text {
	char s[sizeof "18446744073709551615"];
};

static struct number_text number_text(uint64_t number)
{
	struct number_text text;

	snprintf(text.s, sizeof text.s, "%llu", (unsigned long long)number);
	return text;
}

/* Reading */

/* The first key after all that begin so: the last byte is one greater. */
static void end_of(const char *prefix, char end[KEY_SPACE])
{
	snprintf(end, KEY_SPACE, "%s", prefix);
	end[strlen(end) - 1]++;
}

static int read_entry(const json_t *entry, const char *prefix, kv_fn *fn, void *context)
{
	struct kv kv = {.mod_revision = number_from_json(json_object_get(entry, "mod_revision"))};
	const json_t *in = json_object_get(entry, "value");
	size_t key_size = 0;
	auto_free uint8_t *key = bytes_from_json(json_object_get(entry, "key"), &key_size);
	/* An empty value is left out. */
	auto_free uint8_t *value = in ? bytes_from_json(in, &kv.size) : NULL;

	if (!key || key_size >= KEY_SPACE || strlen((char *)key) != key_size)
		return 0;
	/* A name says whose a record is. */
	if (strncmp((char *)key, prefix, strlen(prefix)) != 0)
		return -EBADMSG;
	kv.key = (const char *)key;
	kv.value = value ? value : key;
	return fn(context, &kv);
}

static int read_entries(const json_t *entries, const char *prefix, kv_fn *fn, void *context)
{
	int error = 0;

	for (size_t i = 0; i < json_array_size(entries) && error == 0; i++)
		error = read_entry(json_array_get(entries, i), prefix, fn, context);
	return error;
}

/* Where a page begins. */
struct position {
	uint8_t *key;
	size_t size;
};

static bool is_behind(const uint8_t *key, size_t size, const struct position *position)
{
	size_t common = size < position->size ? size : position->size;
	int difference = memcmp(key, position->key, common);

	return difference > 0 || (difference == 0 && size > position->size);
}

/* To behind the last key of a page, that is, to this key with a NUL behind it; however long it is.
 * -EBADMSG: it is no step forward, and others would follow for ever. */
static int advance(struct position *position, const json_t *entries)
{
	const json_t *last = json_array_get(entries, json_array_size(entries) - 1);
	size_t size = 0;
	uint8_t *key = bytes_from_json(json_object_get(last, "key"), &size);

	if (!key || !is_behind(key, size + 1, position)) {
		free(key);
		return -EBADMSG;
	}
	free(position->key);
	*position = (struct position){key, size + 1};
	return 0;
}

/* Everything was written after revision 0. */
static json_t *ask_for_page(const struct position *from, const char *end, uint64_t since)
{
	return json_pack("{s:o, s:o, s:i, s:s}", "key", bytes_to_json(from->key, from->size),
		"range_end", text_to_json(end), "limit", PAGE, "min_mod_revision",
		number_text(since > 0 ? since + 1 : 0).s);
}

static uint64_t revision_of(const json_t *answer)
{
	return number_from_json(json_object_get(json_object_get(answer, "header"), "revision"));
}

/* What is read: all that begins so and was written since. */
struct range {
	const char *prefix;
	uint64_t since;
	uint64_t revision; /* of etcd, when the first page was read; 0: not yet */
};

static int read_page(struct etcd *etcd, struct range *range, struct position *position, kv_fn *fn,
	void *context, bool *more)
{
	char end[KEY_SPACE];
	json_t *question, *answer = NULL, *entries;
	int error;

	end_of(range->prefix, end);
	question = ask_for_page(position, end, range->since);
	error = question ? etcd_ask(etcd, "/v3/kv/range", question, &answer) : -ENOMEM;
	entries = json_object_get(answer, "kvs");
	*more = json_is_true(json_object_get(answer, "more")) && json_array_size(entries) > 0;
	if (error == 0)
		error = read_entries(entries, range->prefix, fn, context);
	if (error == 0 && range->revision == 0)
		range->revision = revision_of(answer);
	if (error == 0 && *more)
		error = advance(position, entries);
	json_decref(question);
	json_decref(answer);
	return error;
}

int kv_read_since(
	struct etcd *etcd, const char *prefix, uint64_t *revision, kv_fn *fn, void *context)
{
	struct position position = {(uint8_t *)strdup(prefix), strlen(prefix)};
	struct range range = {.prefix = prefix, .since = *revision};
	bool more = true;
	int error = position.key ? 0 : -ENOMEM;

	while (more && error == 0)
		error = read_page(etcd, &range, &position, fn, context, &more);
	free(position.key);
	if (error == 0)
		*revision = range.revision;
	return error;
}

int kv_read(struct etcd *etcd, const char *prefix, kv_fn *fn, void *context)
{
	uint64_t revision = 0;

	return kv_read_since(etcd, prefix, &revision, fn, context);
}

/* Writing */

void kv_begin(struct kv_transaction *transaction)
{
	*transaction = (struct kv_transaction){json_array(), json_array(), false};
}

/* Without one of its comparisons it would write what it must not. */
static void append(struct kv_transaction *transaction, json_t *to, json_t *part)
{
	if (json_array_append_new(to, part) < 0)
		transaction->is_broken = true;
}

static void compare_revision(
	struct kv_transaction *transaction, const char *key, const char *result, uint64_t revision)
{
	append(transaction, transaction->compare,
		json_pack("{s:o, s:s, s:s, s:s}", "key", text_to_json(key), "target", "MOD",
			"result", result, "mod_revision", number_text(revision).s));
}

void kv_compare_revision(struct kv_transaction *transaction, const char *key, uint64_t revision)
{
	compare_revision(transaction, key, "EQUAL", revision);
}

void kv_compare_revision_from(
	struct kv_transaction *transaction, const char *key, uint64_t revision)
{
	compare_revision(transaction, key, "GREATER", revision - 1);
}

void kv_compare_value(
	struct kv_transaction *transaction, const char *key, const uint8_t *value, size_t size)
{
	append(transaction, transaction->compare,
		json_pack("{s:o, s:s, s:s, s:o}", "key", text_to_json(key), "target", "VALUE",
			"result", "EQUAL", "value", bytes_to_json(value, size)));
}

void kv_put(struct kv_transaction *transaction, const char *key, const uint8_t *value, size_t size)
{
	append(transaction, transaction->success,
		json_pack("{s:{s:o, s:o}}", "request_put", "key", text_to_json(key), "value",
			bytes_to_json(value, size)));
}

void kv_delete(struct kv_transaction *transaction, const char *key)
{
	append(transaction, transaction->success,
		json_pack("{s:{s:o}}", "request_delete_range", "key", text_to_json(key)));
}

int kv_commit(struct etcd *etcd, struct kv_transaction *transaction, bool *done)
{
	json_t *question = json_pack(
		"{s:o, s:o}", "compare", transaction->compare, "success", transaction->success);
	json_t *answer = NULL;
	int error = -ENOMEM;

	if (question && !transaction->is_broken)
		error = etcd_ask(etcd, "/v3/kv/txn", question, &answer);

	*done = error == 0 && json_is_true(json_object_get(answer, "succeeded"));
	json_decref(question);
	json_decref(answer);
	*transaction = (struct kv_transaction){0};
	return error;
}

/* Leases and history */

void kv_put_leased(struct kv_transaction *transaction, const char *key, const uint8_t *value,
	size_t size, uint64_t lease)
{
	append(transaction, transaction->success,
		json_pack("{s:{s:o, s:o, s:s}}", "request_put", "key", text_to_json(key), "value",
			bytes_to_json(value, size), "lease", number_text(lease).s));
}

int kv_grant_lease(struct etcd *etcd, uint64_t seconds, uint64_t *lease)
{
	json_t *question = json_pack("{s:s}", "TTL", number_text(seconds).s), *answer = NULL;
	int error = question ? etcd_ask(etcd, "/v3/lease/grant", question, &answer) : -ENOMEM;

	*lease = number_from_json(json_object_get(answer, "ID"));
	json_decref(question);
	json_decref(answer);
	return error;
}

int kv_compact(struct etcd *etcd, uint64_t revision)
{
	json_t *question = json_pack("{s:s}", "revision", number_text(revision).s), *answer = NULL;
	int error = question ? etcd_ask(etcd, "/v3/kv/compaction", question, &answer) : -ENOMEM;

	json_decref(question);
	json_decref(answer);
	return error;
}

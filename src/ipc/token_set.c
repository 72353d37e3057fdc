/* Keeps tokens by digest and by name, and passes them on. Runs in the broker and in the gates. */
#include "ipc/token_set.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <openssl/crypto.h>
#include <openssl/sha.h>

#include "base/file.h"
#include "base/hash.h"

struct header {
	uint32_t version; /* TOKEN_SET_VERSION */
	uint32_t n;
};

struct token_node {
	struct hash_node node;
	const struct token *token;
	const uint8_t *digest; /* one of its digests; NULL: by name */
};

/* The hash is keyed: which bucket a digest is in tells nothing of it. */
struct token_set {
	struct token *tokens;
	size_t n;
	struct token_node *nodes;
	size_t n_nodes;
	struct hash_table by_digest, by_name;
};

static bool has_digest(const struct hash_node *node, const void *key)
{
	return CRYPTO_memcmp(hash_entry(node, struct token_node, node)->digest, key,
		       BEARER_DIGEST_SIZE) == 0;
}

static bool has_name(const struct hash_node *node, const void *key)
{
	return strcmp(hash_entry(node, struct token_node, node)->token->name.s, key) == 0;
}

static int add(struct token_set *set, struct hash_table *table, const struct token *token,
	const uint8_t *digest)
{
	const void *key = digest ? (const void *)digest : token->name.s;
	size_t length = digest ? BEARER_DIGEST_SIZE : strlen(token->name.s);
	struct token_node *node = &set->nodes[set->n_nodes];

	if (hash_find(table, key, length, digest ? has_digest : has_name))
		return -EEXIST;
	*node = (struct token_node){.token = token, .digest = digest};
	hash_insert(table, &node->node, key, length);
	set->n_nodes++;
	return 0;
}

static bool has_one_digest(const struct token *token)
{
	return CRYPTO_memcmp(token->digests[0], token->digests[1], BEARER_DIGEST_SIZE) == 0;
}

static int add_token(struct token_set *set, const struct token *token)
{
	int error;

	if (!client_name_is_valid(&token->name) || token->n_allow_to > TOKEN_ALLOW_TO_MAX ||
		client_name_kind(&token->name) != CLIENT_NAME_TOKEN)
		return -EINVAL;
	error = add(set, &set->by_name, token, NULL);
	if (error == 0)
		error = add(set, &set->by_digest, token, token->digests[0]);
	if (error == 0 && !has_one_digest(token))
		error = add(set, &set->by_digest, token, token->digests[1]);
	return error;
}

static int make_tables(struct token_set *set, size_t *again)
{
	int error = hash_init(&set->by_digest);

	if (error == 0)
		error = hash_init(&set->by_name);
	set->nodes = calloc(set->n * (TOKEN_DIGESTS + 1) + 1, sizeof *set->nodes);
	if (error == 0 && !set->nodes)
		error = -ENOMEM;
	for (*again = 0; *again < set->n && error == 0; ++*again)
		error = add_token(set, &set->tokens[*again]);
	if (error < 0 && *again > 0)
		--*again;
	return error;
}

int token_set_new(struct token *tokens, size_t n, struct token_set **result, size_t *again)
{
	struct token_set *set = calloc(1, sizeof *set);
	int error;

	*result = NULL;
	*again = 0;
	if (!set) {
		explicit_bzero(tokens, n * sizeof *tokens);
		free(tokens);
		return -ENOMEM;
	}
	set->tokens = tokens;
	set->n = n;
	error = make_tables(set, again);
	if (error < 0)
		token_set_free(set);
	else
		*result = set;
	return error;
}

void token_set_free(struct token_set *set)
{
	if (!set)
		return;
	hash_free(&set->by_digest);
	hash_free(&set->by_name);
	if (set->tokens)
		explicit_bzero(set->tokens, set->n * sizeof *set->tokens);
	free(set->tokens);
	free(set->nodes);
	free(set);
}

size_t token_set_count(const struct token_set *set)
{
	return set ? set->n : 0;
}

static bool reach_the_same(const struct token *a, const struct token *b)
{
	if (a->n_allow_to != b->n_allow_to)
		return false;
	for (size_t i = 0; i < a->n_allow_to; i++)
		if (!prefix_equal(a->allow_to[i], b->allow_to[i]))
			return false;
	return true;
}

static bool are_equal(const struct token *a, const struct token *b)
{
	return client_name_equal(&a->name, &b->name) &&
	       CRYPTO_memcmp(a->digests, b->digests, sizeof a->digests) == 0 &&
	       a->expires_s == b->expires_s && a->max_peers == b->max_peers && reach_the_same(a, b);
}

bool token_set_equal(const struct token_set *a, const struct token_set *b)
{
	if (token_set_count(a) != token_set_count(b))
		return false;
	for (size_t i = 0; i < token_set_count(a); i++) {
		const struct token *other = token_set_named(b, &a->tokens[i].name);

		if (!other || !are_equal(&a->tokens[i], other))
			return false;
	}
	return true;
}

static const struct token *token_of(const struct hash_node *node)
{
	return node ? hash_entry(node, struct token_node, node)->token : NULL;
}

const struct token *token_set_find(const struct token_set *set, const char *shown)
{
	uint8_t digest[BEARER_DIGEST_SIZE];

	if (!SHA256((const unsigned char *)shown, strlen(shown), digest))
		return NULL;
	return token_of(hash_find(&set->by_digest, digest, sizeof digest, has_digest));
}

const struct token *token_set_named(const struct token_set *set, const struct client_name *name)
{
	return set ? token_of(hash_find(&set->by_name, name->s, strlen(name->s), has_name)) : NULL;
}

bool token_is_good(const struct token *token, uint64_t now_s)
{
	return token->expires_s == 0 || now_s < token->expires_s;
}

uint64_t token_set_next_end(const struct token_set *set, uint64_t now_s)
{
	uint64_t next = UINT64_MAX;

	for (size_t i = 0; set && i < set->n; i++)
		if (set->tokens[i].expires_s > now_s && set->tokens[i].expires_s < next)
			next = set->tokens[i].expires_s;
	return next;
}

int token_set_write(const struct token_set *set)
{
	const struct header header = {TOKEN_SET_VERSION, (uint32_t)token_set_count(set)};
	int fd = memfd_create("vprox-tokens", MFD_CLOEXEC | MFD_ALLOW_SEALING), error;

	if (fd < 0)
		return -errno;
	error = file_write_all(fd, &header, sizeof header);
	if (error == 0 && header.n > 0)
		error = file_write_all(fd, set->tokens, header.n * sizeof *set->tokens);
	if (error == 0 && fcntl(fd, F_ADD_SEALS,
				  F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) < 0)
		error = -errno;
	if (error == 0)
		return fd;
	close(fd);
	return error;
}

static int read_all(int fd, void *data, size_t length, off_t offset)
{
	ssize_t n = pread(fd, data, length, offset);

	if (n < 0)
		return -errno;
	return (size_t)n == length ? 0 : -EPROTO;
}

/* A gate may read a file, and ask nothing else of it: that it ends is seen by reading on. */
static bool ends(int fd, off_t offset)
{
	char more;

	return pread(fd, &more, 1, offset) == 0;
}

static int read_header(int fd, struct header *header)
{
	int error = read_all(fd, header, sizeof *header, 0);

	if (error < 0)
		return error;
	if (header->version != TOKEN_SET_VERSION || header->n > TOKEN_SET_MAX ||
		!ends(fd, (off_t)(sizeof *header + header->n * sizeof(struct token))))
		return -EPROTO;
	return 0;
}

int token_set_read(int fd, struct token_set **set)
{
	struct header header;
	struct token *tokens;
	size_t again;
	int error = read_header(fd, &header);

	*set = NULL;
	if (error < 0)
		return error;
	tokens = calloc(header.n + 1, sizeof *tokens);
	if (!tokens)
		return -ENOMEM;
	error = read_all(fd, tokens, header.n * sizeof *tokens, sizeof header);
	if (error < 0) {
		free(tokens);
		return error;
	}
	error = token_set_new(tokens, header.n, set, &again);
	return error == -EEXIST || error == -EINVAL ? -EPROTO : error;
}

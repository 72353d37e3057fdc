/* The file of names, in a runtime folder of the test's own. */
#include "test.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <event2/event.h>

#include "server/endpoint.h"
#include "server/name_file.h"

enum {
	N = 20 * 1000,
	BIND = 0xcb007101,
	GRANTS = 2 * N + 10 * 1000, /* so many more, and it is written anew at the next one */
};

struct fixture {
	struct event_base *base;
	struct endpoint_list endpoints;
	struct endpoint endpoint;
	struct peer *peers[N];
	struct name_file *file;
};

static struct client_name name_of(const char *text)
{
	struct client_name name = {0};

	snprintf(name.s, sizeof name.s, "token:%s", text);
	return name;
}

static void fill(struct fixture *f)
{
	assert_int_equal(peers_init(&f->endpoint.peers), 0);
	for (uint32_t i = 0; i < N; i++) {
		const struct plane_peer id = {
			.kind = PEER_IPIP, .inner = {i + 1}, .remote = {i + 1}};

		f->peers[i] = peers_add(&f->endpoint.peers, &id, 0);
		assert_non_null(f->peers[i]);
	}
}

static int set_up(void **state)
{
	static struct fixture f;

	f = (struct fixture){.base = event_base_new(),
		.endpoint = {.config.bind = {BIND}, .state = ENDPOINT_OPEN}};
	*state = &f;
	TAILQ_INIT(&f.endpoints);
	TAILQ_INSERT_TAIL(&f.endpoints, &f.endpoint, entry);
	fill(&f);
	f.file = name_file_open(&f.endpoints);
	name_file_begin(f.file, f.base);
	return f.base && f.file ? 0 : -1;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	name_file_settle(f->file);
	name_file_close(f->file, false);
	peers_free(&f->endpoint.peers);
	event_base_free(f->base);
	return 0;
}

static void grant(struct fixture *f, size_t i, const char *name)
{
	const struct client_name client = name_of(name);

	assert_int_equal(peers_set_name(&f->endpoint.peers, f->peers[i], &client), 0);
	name_file_record(f->file, &f->endpoint, f->peers[i]);
}

static off_t size_of_file(void)
{
	struct stat status;

	return stat(NAME_FILE, &status) == 0 ? status.st_size : 0;
}

static void turn(struct fixture *f)
{
	assert_int_equal(event_base_loop(f->base, EVLOOP_ONCE), 0);
}

static void grant_until_it_is_to_be_written_anew(struct fixture *f)
{
	for (size_t i = 0; i <= GRANTS; i++)
		grant(f, i % N, "before");
}

/* What the next server finds. */
static void assert_recalled(struct fixture *f, size_t i, const char *name)
{
	const struct client_name expected = name_of(name);

	assert_string_equal(peers_name_of(f->peers[i])->s, expected.s);
}

static void forget_names(struct fixture *f)
{
	static const struct client_name nobody;

	for (size_t i = 0; i < N; i++)
		peers_set_name(&f->endpoint.peers, f->peers[i], &nobody);
}

static void recall(struct fixture *f)
{
	name_file_settle(f->file);
	name_file_close(f->file, true);
	forget_names(f);
	f->file = name_file_open(&f->endpoints);
	name_file_recall(f->file, &f->endpoint);
}

static void a_grant_does_not_wait_until_the_file_is_written_anew(void **state)
{
	struct fixture *f = *state;
	off_t before;

	grant_until_it_is_to_be_written_anew(f);
	before = size_of_file();
	assert_int_equal(access(NAME_FILE ".new", F_OK), 0);
	while (access(NAME_FILE ".new", F_OK) == 0)
		turn(f);
	assert_true(size_of_file() < before / 2);
	recall(f);
	for (size_t i = 0; i < N; i++)
		assert_recalled(f, i, "before");
}

static void what_is_granted_while_it_is_written_anew_is_in_it(void **state)
{
	struct fixture *f = *state;

	grant_until_it_is_to_be_written_anew(f);
	for (size_t i = 0; access(NAME_FILE ".new", F_OK) == 0; i++) {
		grant(f, i, "after");
		grant(f, N - 1 - i, "after");
		turn(f);
		grant(f, N / 2 + i, "after");
	}
	recall(f);
	assert_recalled(f, 0, "after");
	assert_recalled(f, N - 1, "after");
	assert_recalled(f, N / 2, "after");
	assert_recalled(f, N / 4, "before");
}

static void one_that_dies_amid_it_leaves_the_file_as_it_was(void **state)
{
	struct fixture *f = *state;

	grant_until_it_is_to_be_written_anew(f);
	turn(f);
	grant(f, 7, "after");
	recall(f);
	assert_int_equal(access(NAME_FILE ".new", F_OK), -1);
	assert_recalled(f, 7, "after");
	assert_recalled(f, 8, "before");
}

static void what_one_that_was_killed_amid_it_has_left_goes_too(void **state)
{
	struct fixture *f = *state;

	grant_until_it_is_to_be_written_anew(f);
	name_file_remove();
	assert_int_equal(access(NAME_FILE ".new", F_OK), -1);
	assert_int_equal(access(NAME_FILE, F_OK), -1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_grant_does_not_wait_until_the_file_is_written_anew),
		TEST(what_is_granted_while_it_is_written_anew_is_in_it),
		TEST(one_that_dies_amid_it_leaves_the_file_as_it_was),
		TEST(what_one_that_was_killed_amid_it_has_left_goes_too),
	};

	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
		mount("none", "/run", "tmpfs", 0, NULL) < 0 || mkdir(RUN_FOLDER, 0755) < 0) {
		print_message("1..0 # SKIP no namespace of mounts: %s\n", strerror(errno));
		return 0;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}

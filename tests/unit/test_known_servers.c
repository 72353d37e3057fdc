#include "test.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "client/known_servers.h"

enum { SIZE_MAX_READ = 4096 };

static char folder[] = "/tmp/test_known_servers-XXXXXX";
static char path[sizeof folder + 32];
static const struct pin one = {{{1}}}, two = {{{2}}};
static struct pin former;

static int make_folder(void **state)
{
	(void)state;
	if (!mkdtemp(folder))
		return -1;
	snprintf(path, sizeof path, "%s/sub/known-servers", folder);
	return 0;
}

static int remove_folder(void **state)
{
	(void)state;
	unlink(path);
	*strrchr(path, '/') = '\0';
	rmdir(path);
	return rmdir(folder);
}

static int forget(void **state)
{
	(void)state;
	return unlink(path);
}

static void write_file(const char *text)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

static int meet(const char *server, const struct pin *pin)
{
	return known_servers_check(path, server, pin, &former);
}

static void a_new_server_is_remembered(void **state)
{
	struct stat stat_of;

	(void)state;
	assert_int_equal(meet("203.0.113.7", &one), SERVER_NEW);
	assert_int_equal(meet("203.0.113.7", &one), SERVER_KNOWN);
	assert_int_equal(stat(path, &stat_of), 0);
	assert_int_equal(stat_of.st_mode & 0777, 0600);
	assert_int_equal(meet("203.0.113.8", &two), SERVER_NEW);
	assert_int_equal(meet("203.0.113.7", &one), SERVER_KNOWN);
}

static void a_line_without_an_end_is_not_gone_on_with(void **state)
{
	char text[128];

	(void)state;
	snprintf(text, sizeof text, "203.0.113.7 %s", pin_text(&one).s);
	write_file(text);
	assert_int_equal(meet("203.0.113.8", &two), SERVER_NEW);
	assert_int_equal(meet("203.0.113.7", &one), SERVER_KNOWN);
	assert_int_equal(meet("203.0.113.8", &two), SERVER_KNOWN);
}

/* A limit on the size of files ends a write in the middle, as a full disk does. */
static void a_line_that_there_is_no_room_for_leaves_nothing(void **state)
{
	struct rlimit before, limit;

	(void)state;
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(meet("203.0.113.7", &one), SERVER_NEW);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	limit = (struct rlimit){
		strlen("203.0.113.7 ") + strlen(pin_text(&one).s) + 9, before.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	assert_int_equal(meet("203.0.113.8", &two), -ENOSPC);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	assert_int_equal(meet("203.0.113.7", &one), SERVER_KNOWN);
	assert_int_equal(meet("203.0.113.8", &two), SERVER_NEW);
}

static void a_changed_server_is_told_and_the_file_stays(void **state)
{
	auto_free char *before = NULL, *after = NULL;
	size_t length;

	(void)state;
	assert_int_equal(meet("proxy.example", &one), SERVER_NEW);
	assert_int_equal(file_read(path, SIZE_MAX_READ, &before, &length), 0);
	assert_int_equal(meet("Proxy.Example", &two), SERVER_CHANGED);
	assert_true(pin_equal(&former, &one));
	assert_int_equal(file_read(path, SIZE_MAX_READ, &after, &length), 0);
	assert_string_equal(before, after);
}

static void a_server_may_have_several_keys(void **state)
{
	char text[512];
	const struct pin three = {{{3}}};

	(void)state;
	snprintf(text, sizeof text, "# the fleet\n\n a \t%s\r\na %s\nab %s\n", pin_text(&one).s,
		pin_text(&two).s, pin_text(&three).s);
	write_file(text);
	assert_int_equal(meet("a", &one), SERVER_KNOWN);
	assert_int_equal(meet("a", &two), SERVER_KNOWN);
	assert_int_equal(meet("a", &three), SERVER_CHANGED);
	assert_int_equal(meet("#", &three), SERVER_NEW);
}

static void a_file_that_cannot_be_understood_trusts_nobody(void **state)
{
	static const char *const bad[] = {"a\n", "a sha256//short\n", "a b c\n",
		"a sha256//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA= more\n"};

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		write_file(bad[i]);
		assert_int_equal(meet("elsewhere", &one), -EBADMSG);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(a_new_server_is_remembered, forget),
		cmocka_unit_test_teardown(a_line_without_an_end_is_not_gone_on_with, forget),
		cmocka_unit_test_teardown(a_line_that_there_is_no_room_for_leaves_nothing, forget),
		cmocka_unit_test_teardown(a_changed_server_is_told_and_the_file_stays, forget),
		cmocka_unit_test(a_server_may_have_several_keys),
		cmocka_unit_test(a_file_that_cannot_be_understood_trusts_nobody),
	};

	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}

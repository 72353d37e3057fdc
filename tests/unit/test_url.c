#include "test.h"

#include "base/url.h"

static void assert_is(
	const char *text, bool is_tls, const char *host, unsigned int port, const char *path)
{
	struct url url;

	assert_int_equal(url_parse(text, &url), 0);
	assert_int_equal(url.is_tls, is_tls);
	assert_string_equal(url.host, host);
	assert_int_equal(url.port, port);
	assert_string_equal(url.path, path);
}

static void an_address_has_a_host_a_port_and_a_path(void **state)
{
	(void)state;
	assert_is("https://backend.example", true, "backend.example", 443, "");
	assert_is("http://10.0.0.1:8080/", false, "10.0.0.1", 8080, "");
	assert_is("http://[2001:db8::1]/a/b//", false, "2001:db8::1", 80, "/a/b");
	assert_is("https://[::1]:8443/a", true, "::1", 8443, "/a");
}

static void what_is_none_is_refused(void **state)
{
	static const char *const none[] = {"", "backend.example", "ftp://a", "https://",
		"http:///a", "http://a:", "http://a:0", "http://a:65536", "http://a:80x",
		"http://a:123456", "http://u:p@a", "http://a?b", "http://a#b", "http://a b",
		"http://a\r\nb: c", "http://[::1", "http://[]", "http://[::1]x"};
	struct url url;

	(void)state;
	for (size_t i = 0; i < sizeof none / sizeof *none; i++)
		if (url_parse(none[i], &url) == 0)
			fail_msg("%s was taken", none[i]);
}

static void what_does_not_fit_is_refused(void **state)
{
	char text[URL_HOST_SIZE + URL_PATH_SIZE + 32] = "http://";
	struct url url;

	(void)state;
	memset(text + 7, 'a', URL_HOST_SIZE - 1);
	assert_int_equal(url_parse(text, &url), 0);
	memset(text + 7, 'a', URL_HOST_SIZE);
	assert_true(url_parse(text, &url) < 0);
	text[8] = '/';
	memset(text + 9, 'a', URL_PATH_SIZE - 2);
	text[8 + URL_PATH_SIZE - 1] = '\0';
	assert_int_equal(url_parse(text, &url), 0);
	strcat(text, "a");
	assert_true(url_parse(text, &url) < 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_address_has_a_host_a_port_and_a_path),
		cmocka_unit_test(what_is_none_is_refused),
		cmocka_unit_test(what_does_not_fit_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

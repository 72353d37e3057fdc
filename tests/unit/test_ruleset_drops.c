/* Which rules of others may drop what a tunnel sends. Rulesets are written as iptables-save writes
 * them. */
#include "test.h"

#include <stdio.h>
#include <string.h>

#include "host/legacy_ruleset.h"
#include "host/ruleset_drops.h"

enum {
	TEXT_SIZE = 1024,
};

static const struct example {
	const char *what, *rules, *found;
} examples[] = {
	{"nothing in it", "", ""},
	{"a condition that drops", "-A FORWARD -m conntrack --ctstate NEW -j DROP\n", "FORWARD 1;"},
	{"rejecting is dropping", "-A FORWARD -i a -j ACCEPT\n-A FORWARD ! -i a -j REJECT\n",
		"FORWARD 2;"},
	{"what nobody knows may drop", "-A FORWARD -i a -j NFQUEUE --queue-num 0\n", "FORWARD 1;"},
	{"what logs does not", "-A FORWARD -i a -j LOG\n", ""},
	{"in a chain that is jumped to, by a condition too",
		"-A FORWARD -i a -j MINE\n-A FORWARD -j YOURS\n-A MINE -d 192.0.2.1/32 -j DROP\n"
		"-A YOURS -d 192.0.2.2/32 -j DROP\n",
		"MINE 1;YOURS 1;"},
	{"not behind a jump to our chain",
		"-A FORWARD -i a -j DROP\n-A FORWARD -j VPROX\n-A FORWARD -i b -j DROP\n",
		"FORWARD 1;"},
	{"nor behind a chain with one",
		"-A FORWARD -j MINE\n-A FORWARD -i b -j DROP\n-A MINE -i a -j DROP\n"
		"-A MINE -j VPROX\n",
		"MINE 1;"},
	{"nor in a chain that nothing forwarded gets to",
		"-A INPUT -j MINE\n-A MINE -i a -j DROP\n", ""},
	{"nor behind what is for all", "-A FORWARD -j ACCEPT\n-A FORWARD -i b -j DROP\n", ""},
	{"nor behind a return for all",
		"-A FORWARD -j MINE\n-A FORWARD -i b -j DROP\n-A MINE -j RETURN\n"
		"-A MINE -i a -j DROP\n",
		"FORWARD 2;"},
	{"a chain is looked at once",
		"-A FORWARD -i a -j MINE\n-A FORWARD -i b -j MINE\n-A MINE -i c -j DROP\n",
		"MINE 1;"},
	{"chains that jump to each other end",
		"-A FORWARD -j MINE\n-A MINE -j YOURS\n-A YOURS -i a -j DROP\n-A YOURS -j MINE\n",
		"YOURS 1;"},
};

static void note(void *context, const struct ruleset_rule *rule)
{
	char *found = context;
	size_t length = strlen(found);

	snprintf(found + length, TEXT_SIZE - length, "%s %llu;", rule->chain,
		(unsigned long long)rule->handle);
}

static void check(const struct example *example)
{
	struct legacy_ruleset ruleset;
	char saved[TEXT_SIZE], found[TEXT_SIZE] = "";

	snprintf(saved, sizeof saved,
		"*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n"
		":MINE - [0:0]\n:YOURS - [0:0]\n:VPROX - [0:0]\n%sCOMMIT\n",
		example->rules);
	assert_int_equal(legacy_ruleset_parse(saved, &ruleset), 0);
	assert_int_equal(ruleset_each_drop(&ruleset.table,
				 legacy_ruleset_chain(&ruleset, "FORWARD"), "VPROX", note, found),
		0);
	legacy_ruleset_free(&ruleset);
	if (strcmp(found, example->found) != 0)
		fail_msg("%s: %s", example->what, found);
}

static void rules_that_may_drop_are_found_where_tunnels_packets_get_to(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof examples / sizeof *examples; i++)
		check(&examples[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rules_that_may_drop_are_found_where_tunnels_packets_get_to),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

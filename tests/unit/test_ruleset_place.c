#include "test.h"

#include <stdio.h>
#include <string.h>

#include "host/legacy_ruleset.h"
#include "host/ruleset_place.h"

/* Rulesets are written as iptables-save writes them; rules of nftables are judged by the same code.
 * The expected place is "CHAIN before NUMBER" or "CHAIN end", or "none", or "shared". */
struct example {
	const char *what;
	const char *forward_policy;
	const char *rules; /* chains that are jumped to are declared by their first rule */
	const char *place;
};

static const struct example examples[] = {
	{"nothing in it, and open", "ACCEPT", "", "none"},
	{"a policy", "DROP", "", "FORWARD end"},
	{"conditions do not close", "ACCEPT", "-A FORWARD -i eth0 -j DROP\n", "none"},
	{"an operator's drop is before us", "DROP",
		"-A FORWARD -s 10.100.0.0/16 -d 192.0.2.1/32 -j DROP\n", "FORWARD end"},
	{"a last rule", "ACCEPT", "-A FORWARD -i a -j ACCEPT\n-A FORWARD -j DROP\n",
		"FORWARD before 2"},
	{"rejecting is dropping", "ACCEPT", "-A FORWARD -j REJECT --reject-with icmp-x\n",
		"FORWARD before 1"},
	{"behind a last rule nothing counts", "DROP",
		"-A FORWARD -j DROP\n-A FORWARD -i a -j ACCEPT\n", "FORWARD before 1"},
	{"a comment is no condition", "ACCEPT",
		"-A FORWARD -m comment --comment \"no more -j ACCEPT\" -j DROP\n",
		"FORWARD before 1"},
	{"all is accepted before the policy", "DROP", "-A FORWARD -j ACCEPT\n", "none"},
	{"all is queued for another program", "DROP", "-A FORWARD -j NFQUEUE --queue-num 0\n",
		"none"},
	{"what logs does not close", "DROP", "-A FORWARD -j LOG\n", "FORWARD end"},
	{"returning is for the policy", "DROP", "-A FORWARD -j RETURN\n-A FORWARD -i a -j ACCEPT\n",
		"FORWARD before 1"},
	{"returning to an open policy", "ACCEPT", "-A FORWARD -j RETURN\n-A FORWARD -j DROP\n",
		"none"},

	{"Docker up to 27", "DROP",
		"-A FORWARD -j DOCKER-USER\n-A FORWARD -j DOCKER-ISOLATION-STAGE-1\n"
		"-A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n"
		"-A FORWARD -o docker0 -j DOCKER\n-A FORWARD -i docker0 ! -o docker0 -j ACCEPT\n"
		"-A DOCKER -d 172.17.0.2/32 -p tcp -j ACCEPT\n"
		"-A DOCKER-ISOLATION-STAGE-1 -i docker0 ! -o docker0 -j DOCKER-ISOLATION-STAGE-2\n"
		"-A DOCKER-ISOLATION-STAGE-1 -j RETURN\n"
		"-A DOCKER-ISOLATION-STAGE-2 -o docker0 -j DROP\n"
		"-A DOCKER-ISOLATION-STAGE-2 -j RETURN\n-A DOCKER-USER -j RETURN\n",
		"FORWARD end"},
	{"Docker 28", "DROP",
		"-A FORWARD -j DOCKER-USER\n-A FORWARD -j DOCKER-FORWARD\n"
		"-A DOCKER ! -i docker0 -o docker0 -j DROP\n"
		"-A DOCKER-BRIDGE -o docker0 -j DOCKER\n"
		"-A DOCKER-CT -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n"
		"-A DOCKER-FORWARD -j DOCKER-CT\n-A DOCKER-FORWARD -j DOCKER-ISOLATION-STAGE-1\n"
		"-A DOCKER-FORWARD -j DOCKER-BRIDGE\n-A DOCKER-FORWARD -i docker0 -j ACCEPT\n"
		"-A DOCKER-ISOLATION-STAGE-1 -i docker0 ! -o docker0 -j DOCKER-ISOLATION-STAGE-2\n"
		"-A DOCKER-ISOLATION-STAGE-2 -o docker0 -j DROP\n"
		"-A DOCKER-USER -s 10.100.0.0/16 -d 192.0.2.1/32 -j DROP\n",
		"FORWARD end"},
	{"DOCKER-USER that drops the rest", "DROP",
		"-A FORWARD -j DOCKER-USER\n-A DOCKER-USER -i eth0 -j ACCEPT\n"
		"-A DOCKER-USER -j DROP\n",
		"FORWARD before 1"},
	{"DOCKER-USER that drops some, and then the rest", "DROP",
		"-A FORWARD -j DOCKER-USER\n-A DOCKER-USER -s 10.100.0.9/32 -j DROP\n"
		"-A DOCKER-USER -j DROP\n",
		"DOCKER-USER before 2"},
	{"ufw, dropping", "DROP",
		"-A FORWARD -j ufw-before-forward\n-A FORWARD -j ufw-reject-forward\n"
		"-A ufw-before-forward -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n"
		"-A ufw-before-forward -j ufw-user-forward\n-A ufw-reject-forward\n"
		"-A ufw-user-forward -s 10.100.0.0/16 -d 192.0.2.1/32 -j DROP\n",
		"FORWARD end"},
	{"ufw, rejecting", "DROP",
		"-A FORWARD -j ufw-before-forward\n-A FORWARD -j ufw-reject-forward\n"
		"-A FORWARD -j ufw-track-forward\n-A ufw-track-forward\n"
		"-A ufw-before-forward -j ufw-user-forward\n"
		"-A ufw-reject-forward -j REJECT --reject-with icmp-port-unreachable\n"
		"-A ufw-user-forward -s 10.100.0.0/16 -d 192.0.2.1/32 -j DROP\n",
		"FORWARD before 2"},
	{"RH-Firewall, of input and forward, that only accepts before it rejects", "ACCEPT",
		"-A INPUT -j RH\n-A FORWARD -j RH\n-A RH -i lo -j ACCEPT\n"
		"-A RH -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n"
		"-A RH -p tcp --dport 22 -j ACCEPT\n-A RH -j REJECT --reject-with icmp-x\n",
		"FORWARD before 1"},
	{"RH-Firewall, of forward alone, with an operator's drop", "ACCEPT",
		"-A FORWARD -j RH\n-A RH -s 10.100.0.0/16 -d 192.0.2.1/32 -j DROP\n"
		"-A RH -j REJECT --reject-with icmp-x\n",
		"RH before 2"},
	{"RH-Firewall, of input and forward, with an operator's drop", "ACCEPT",
		"-A INPUT -j RH\n-A FORWARD -j RH\n"
		"-A RH -s 10.100.0.0/16 -d 192.0.2.1/32 -j DROP\n"
		"-A RH -j REJECT --reject-with icmp-x\n",
		"shared"},
	{"an operator's drop two jumps down", "ACCEPT",
		"-A INPUT -i eth0 -j RH\n-A FORWARD -j RH\n-A MINE -d 192.0.2.1/32 -j DROP\n"
		"-A RH -i eth0 -j MINE\n-A RH -j REJECT --reject-with icmp-x\n",
		"shared"},
	{"a target that nobody knows may drop", "ACCEPT",
		"-A FORWARD -j RH\n-A RH -i eth0 -j NFQUEUE --queue-num 0\n-A RH -j DROP\n",
		"RH before 2"},
	{"firewalld, the zone rejects the rest", "ACCEPT",
		"-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n"
		"-A FORWARD -j POLICIES\n-A FORWARD -j REJECT --reject-with icmp-x\n"
		"-A FWD_public -j FWD_public_allow\n-A FWD_public -j REJECT --reject-with icmp-x\n"
		"-A FWD_public_allow -i a -j ACCEPT\n"
		"-A POLICIES -j FWD_public\n-A POLICIES -j RETURN\n",
		"FORWARD before 2"},
	{"firewalld, the zone has a rule that drops", "ACCEPT",
		"-A FORWARD -j POLICIES\n-A FWD_public -j FWD_public_deny\n"
		"-A FWD_public -j REJECT --reject-with icmp-x\n"
		"-A FWD_public_deny -d 192.0.2.1/32 -j DROP\n-A POLICIES -j FWD_public\n",
		"FWD_public before 2"},

	{"a chain that is gone to, and does not decide", "DROP",
		"-A FORWARD -g A\n-A FORWARD -j ACCEPT\n-A A -i a -j ACCEPT\n", "FORWARD before 1"},
	{"a chain that is gone to, and drops some", "DROP", "-A FORWARD -g A\n-A A -i a -j DROP\n",
		"A end"},
	{"a chain that is gone to, under an open policy", "ACCEPT",
		"-A FORWARD -g A\n-A FORWARD -j DROP\n-A A -i a -j DROP\n", "none"},
	{"a chain that is jumped to and goes elsewhere returns to the jump", "ACCEPT",
		"-A FORWARD -j A\n-A FORWARD -j DROP\n-A A -g B\n-A A -j ACCEPT\n"
		"-A B -i a -j ACCEPT\n",
		"FORWARD before 2"},
	{"a chain that accepts all", "DROP", "-A FORWARD -j A\n-A A -j ACCEPT\n", "none"},
	{"a jump with a condition does not close", "ACCEPT", "-A FORWARD -i a -j A\n-A A -j DROP\n",
		"none"},
	{"a chain that is jumped to twice", "DROP",
		"-A FORWARD -j A\n-A FORWARD -j A\n-A A -i a -j DROP\n", "FORWARD end"},
	{"our own jump does not count", "DROP",
		"-A FORWARD -j VPROX\n-A FORWARD -j DROP\n-A VPROX -i vprox0 -j ACCEPT\n",
		"FORWARD before 2"},
	{"a loop, which the kernel refuses, ends", "DROP",
		"-A FORWARD -j A\n-A A -j B\n-A B -j A\n", "FORWARD end"},
};

static bool is_built_in(const char *name)
{
	return strncmp(name, "INPUT ", 6) == 0 || strncmp(name, "FORWARD ", 8) == 0;
}

/* Declares every chain that has a rule. (A rule without a target does nothing.) */
static void declare_chains(FILE *out, const char *rules)
{
	const char *previous = "";

	for (; *rules; rules = strchr(rules, '\n') + 1) {
		const char *name = rules + 3;
		size_t length = strcspn(name, " ");

		if (strncmp(name, previous, length + 1) != 0 && !is_built_in(name))
			fprintf(out, ":%.*s - [0:0]\n", (int)length, name);
		previous = name;
	}
}

static void parse(const char *policy, const char *rules, struct legacy_ruleset *ruleset)
{
	char saved[4096];
	FILE *out = fmemopen(saved, sizeof saved, "w");

	fprintf(out, "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD %s [0:0]\n:OUTPUT ACCEPT [0:0]\n",
		policy);
	declare_chains(out, rules);
	fprintf(out, "%sCOMMIT\n", rules);
	fclose(out);
	assert_int_equal(legacy_ruleset_parse(saved, ruleset), 0);
}

static void write_place(const struct ruleset_place *place, char *text, size_t size)
{
	if (place->kind == RULESET_PLACE_NONE)
		snprintf(text, size, "none");
	else if (place->kind == RULESET_PLACE_SHARED)
		snprintf(text, size, "shared");
	else if (place->before)
		snprintf(text, size, "%s before %u", place->chain, (unsigned int)place->before);
	else
		snprintf(text, size, "%s end", place->chain);
}

static void the_place_is_where_what_is_undecided_is_dropped(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof examples / sizeof *examples; i++) {
		const struct example *example = &examples[i];
		struct legacy_ruleset ruleset;
		struct ruleset_place place;
		char text[128];

		parse(example->forward_policy, example->rules, &ruleset);
		assert_int_equal(
			ruleset_find_place(&ruleset.table,
				legacy_ruleset_chain(&ruleset, "FORWARD"), "VPROX", &place),
			0);
		write_place(&place, text, sizeof text);
		if (strcmp(text, example->place) != 0)
			fail_msg("%s: %s, not %s", example->what, text, example->place);
		legacy_ruleset_free(&ruleset);
	}
}

static void a_chain_is_closed_by_its_policy_or_by_its_rules(void **state)
{
	struct legacy_ruleset ruleset;
	bool is_closed;

	(void)state;
	parse("DROP", "-A INPUT -j RH\n-A RH -i lo -j ACCEPT\n-A RH -j REJECT --reject-with x\n",
		&ruleset);
	assert_int_equal(ruleset_is_closed(&ruleset.table, legacy_ruleset_chain(&ruleset, "INPUT"),
				 &is_closed),
		0);
	assert_true(is_closed);
	assert_int_equal(ruleset_is_closed(&ruleset.table,
				 legacy_ruleset_chain(&ruleset, "FORWARD"), &is_closed),
		0);
	assert_true(is_closed);
	assert_int_equal(ruleset_is_closed(&ruleset.table, legacy_ruleset_chain(&ruleset, "OUTPUT"),
				 &is_closed),
		0);
	assert_false(is_closed);
	legacy_ruleset_free(&ruleset);
}

static void a_jump_is_in_its_place_only_before_the_rule(void **state)
{
	const struct ruleset_place last = {.chain = "FORWARD"};
	const struct ruleset_place before = {.chain = "FORWARD", .before = 3};
	struct legacy_ruleset ruleset;

	(void)state;
	parse("DROP",
		"-A FORWARD -i a -j DROP\n-A FORWARD -j VPROX\n-A FORWARD -j DROP\n"
		"-A VPROX -i vprox0 -j ACCEPT\n",
		&ruleset);
	assert_true(ruleset_has_jump_at(&ruleset.table, &before, "VPROX"));
	assert_false(ruleset_has_jump_at(&ruleset.table, &last, "VPROX"));
	legacy_ruleset_free(&ruleset);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_place_is_where_what_is_undecided_is_dropped),
		cmocka_unit_test(a_chain_is_closed_by_its_policy_or_by_its_rules),
		cmocka_unit_test(a_jump_is_in_its_place_only_before_the_rule),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

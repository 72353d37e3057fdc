/* Keeps the addresses of etcd's members. Runs in the store's process. */
#include "store/etcd_members.h"

#include <errno.h>
#include <netinet/in.h>
#include <arpa/inet.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "ipc/names.h"

enum {
	/* For all first answers: members that are known by then are asked. */
	FIRST_MS = 5000,
	MEMBER_SIZE = NAMES_HOST_SIZE + 8,
	LINE_SIZE = MEMBER_SIZE + NAMES_ADDRESSES_SIZE,
};

struct member {
	char text[MEMBER_SIZE]; /* HOST:PORT */
	char host[NAMES_HOST_SIZE];
	const char *port; /* in text */
	bool is_address; /* which curl knows by itself */
	bool is_asked;
	bool is_missed; /* that it has no address was said */
	char addresses[NAMES_ADDRESSES_SIZE]; /* "": none is known */
};

struct etcd_members {
	struct member members[ETCD_MEMBERS_MAX];
	size_t n;
	struct names *names;
	bool is_changed; /* and curl does not know it */
	const struct libcurl *curl; /* whose list it is */
	struct curl_slist *told; /* curl reads it as long as it has it; NULL: none */
};

static bool is_address(const char *host)
{
	struct in_addr ipv4;

	return *host == '[' || inet_pton(AF_INET, host, &ipv4) == 1;
}

static int read_member(struct member *member, const char *text)
{
	const char *colon = strrchr(text, ':');

	if (!colon || strlen(text) >= sizeof member->text ||
		(size_t)(colon - text) >= sizeof member->host)
		return -EINVAL;
	strcpy(member->text, text);
	memcpy(member->host, text, (size_t)(colon - text));
	member->port = member->text + (colon - text) + 1;
	member->is_address = is_address(member->host);
	return 0;
}

static int read_all(struct etcd_members *members, const char *text)
{
	auto_free char *copy = strdup(text);
	char *rest = NULL;
	int error = copy ? 0 : -ENOMEM;

	for (char *member = copy ? strtok_r(copy, ",", &rest) : NULL; member && error == 0;
		member = strtok_r(NULL, ",", &rest)) {
		if (members->n == ETCD_MEMBERS_MAX)
			return -E2BIG;
		error = read_member(&members->members[members->n], member);
		members->n += error == 0;
	}
	return error;
}

bool etcd_members_have_names(const char *text)
{
	struct etcd_members members = {.n = 0};

	if (read_all(&members, text) < 0)
		return false;
	for (size_t i = 0; i < members.n; i++)
		if (!members.members[i].is_address)
			return true;
	return false;
}

void etcd_members_look_up(struct etcd_members *members, size_t i)
{
	struct member *member = &members->members[i];

	if (member->is_address || member->is_asked || !members->names)
		return;
	/* One that is behind, or has ended, has nothing to say yet. */
	member->is_asked = names_ask(members->names, member->host) == 0;
}

/* What cannot be found now may be found again: it is where it was, as far as anybody knows. */
static void take_answer(
	struct etcd_members *members, struct member *member, const struct names_answer *answer)
{
	member->is_asked = false;
	if (answer->addresses[0] == '\0' && member->addresses[0] == '\0' && !member->is_missed) {
		member->is_missed = true;
		log_error("etcd's %s has no address, and is left out as long: %s", member->text,
			answer->reason);
	}
	if (answer->addresses[0] == '\0' || strcmp(answer->addresses, member->addresses) == 0)
		return;
	if (member->addresses[0] != '\0' || member->is_missed)
		log_info("etcd's %s is at %s now", member->text, answer->addresses);
	strcpy(member->addresses, answer->addresses);
	members->is_changed = true;
}

/* Of all members of that name. */
static void take(struct etcd_members *members, const struct names_answer *answer)
{
	for (size_t i = 0; i < members->n; i++)
		if (strcmp(members->members[i].host, answer->host) == 0)
			take_answer(members, &members->members[i], answer);
}

static bool is_waiting(const struct etcd_members *members)
{
	for (size_t i = 0; i < members->n; i++)
		if (members->members[i].is_asked)
			return true;
	return false;
}

static void look_up_all(struct etcd_members *members)
{
	const uint64_t deadline_ms = clock_now_ms(&system_clock) + FIRST_MS;
	struct names_answer answer;
	uint64_t now_ms;
	int error = 0;

	for (size_t i = 0; i < members->n; i++)
		etcd_members_look_up(members, i);
	while ((error == 0 || error == -EAGAIN) && is_waiting(members) &&
		(now_ms = clock_now_ms(&system_clock)) < deadline_ms) {
		error = names_receive(members->names, (int)(deadline_ms - now_ms), &answer);
		if (error == 0)
			take(members, &answer);
	}
}

int etcd_members_new(const char *text, struct names *names, struct etcd_members **result)
{
	struct etcd_members *members = calloc(1, sizeof *members);
	int error = members ? read_all(members, text) : -ENOMEM;

	if (error < 0) {
		free(members);
		return error;
	}
	members->names = names;
	look_up_all(members);
	*result = members;
	return 0;
}

void etcd_members_free(struct etcd_members *members)
{
	if (!members)
		return;
	if (members->told)
		members->curl->slist_free_all(members->told);
	free(members);
}

size_t etcd_members_count(const struct etcd_members *members)
{
	return members->n;
}

const char *etcd_members_get(const struct etcd_members *members, size_t i)
{
	const struct member *member = &members->members[i];

	return member->is_address || member->addresses[0] != '\0' ? member->text : NULL;
}

static void take_answers(struct etcd_members *members)
{
	struct names_answer answer;
	int error = 0;

	while (members->names && error == 0) {
		error = names_receive(members->names, 0, &answer);
		if (error == 0)
			take(members, &answer);
	}
	if (error == 0 || error == -EAGAIN)
		return;
	/* Nor can another be started by now: what is known holds until the store is started again.
	 */
	log_error("names of etcd's members are looked up no more: %s", strerror(-error));
	members->names = NULL;
}

/* curl would look a name up itself that it finds nothing about here. */
static struct curl_slist *make_list(const struct etcd_members *members, const struct libcurl *curl)
{
	struct curl_slist *list = NULL;
	char line[LINE_SIZE];

	for (size_t i = 0; i < members->n; i++) {
		const struct member *member = &members->members[i];
		struct curl_slist *longer;

		if (member->addresses[0] == '\0')
			continue;
		snprintf(line, sizeof line, "%s:%s:%s", member->host, member->port,
			member->addresses);
		longer = curl->slist_append(list, line);
		if (!longer) {
			curl->slist_free_all(list);
			return NULL;
		}
		list = longer;
	}
	return list;
}

void etcd_members_tell(struct etcd_members *members, const struct libcurl *curl, CURL *easy)
{
	struct curl_slist *list;

	take_answers(members);
	if (!members->is_changed)
		return;
	list = make_list(members, curl);
	if (!list)
		return;
	curl->easy_setopt(easy, CURLOPT_RESOLVE, list);
	if (members->told)
		curl->slist_free_all(members->told);
	members->curl = curl;
	members->told = list;
	members->is_changed = false;
}

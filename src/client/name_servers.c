/* Has this host ask other name servers while there is a tunnel. Runs in the client. */
#include "client/name_servers.h"

#include <errno.h>
#include <linux/netlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "base/process.h"
#include "client/resolv_conf.h"
#include "netlink/route.h"
#include "netlink/socket.h"

enum {
	RUN_TIME_MS = 3000, /* of resolvectl */
	WORDS = 3 + RESOLVERS_MAX + 1,
};

static const struct prefix loopback = {{0x7f000000}, 8};

struct name_servers {
	const struct client_config *config;
	struct netlink *netlink;
	struct resolvers announced; /* what was chosen from */
	struct resolvers set;
	unsigned int ifindex; /* of the interface for which they were set; 0: not yet */
	bool has_said; /* which ones are asked, as none are set */
	bool has_put; /* a resolv.conf of ours is there */
};

int name_servers_open(const struct client_config *config, struct name_servers **result)
{
	struct name_servers *servers = calloc(1, sizeof *servers);
	int error = servers ? netlink_open(NETLINK_ROUTE, &servers->netlink) : -ENOMEM;

	if (error < 0) {
		free(servers);
		return error;
	}
	servers->config = config;
	error = resolv_conf_take_back(config->interface, false);
	if (error > 0)
		log_info("put back " RESOLV_CONF ", which an earlier client had replaced");
	else if (error < 0)
		log_warning("cannot put back " RESOLV_CONF ": %s", strerror(-error));
	*result = servers;
	return 0;
}

static bool routes_everything(const struct client_config *config)
{
	for (size_t i = 0; i < config->n_routes; i++)
		if (config->routes[i].length == 0)
			return true;
	return false;
}

static bool is_reached_by(
	const struct name_servers *servers, struct ipv4 address, unsigned int ifindex)
{
	struct route route;

	return route_lookup(servers->netlink, address, (struct ipv4){0}, &route) == 0 &&
	       route.oif == ifindex;
}

/* A server must not have us ask a machine of our own network, nor anybody past the tunnel. */
static struct resolvers choose_announced(
	const struct name_servers *servers, unsigned int ifindex, const struct resolvers *announced)
{
	struct resolvers chosen = {0};

	for (uint32_t i = 0; i < announced->n; i++) {
		struct ipv4 address = announced->addresses[i];

		if (is_reached_by(servers, address, ifindex))
			resolvers_add(&chosen, address);
		else
			log_warning("the server announces the name server %s, which is not reached "
				    "through the tunnel: it is not asked",
				ipv4_text(address).s);
	}
	return chosen;
}

static struct resolvers choose(
	const struct name_servers *servers, unsigned int ifindex, const struct resolvers *announced)
{
	if (servers->config->dns.n > 0)
		return servers->config->dns;
	if (routes_everything(servers->config))
		return choose_announced(servers, ifindex, announced);
	return (struct resolvers){0};
}

static void say_one(const struct name_servers *servers, struct ipv4 address, unsigned int ifindex)
{
	if (prefix_contains(loopback, address))
		log_info("names are asked of %s, a program of this host, which asks as it was set "
			 "up; --dns ADDRESS asks through the tunnel",
			ipv4_text(address).s);
	else if (is_reached_by(servers, address, ifindex))
		log_info("names are asked of %s, through the tunnel", ipv4_text(address).s);
	else
		log_warning("names are asked of %s, past the tunnel; --dns ADDRESS asks through it",
			ipv4_text(address).s);
}

static void say_as_it_is(struct name_servers *servers, unsigned int ifindex)
{
	struct ipv4 addresses[RESOLVERS_MAX];
	unsigned int n = servers->has_said ? 0 : resolv_conf_read(addresses);

	servers->has_said = true;
	for (unsigned int i = 0; i < n; i++)
		say_one(servers, addresses[i], ifindex);
}

static int run(char *const words[])
{
	int status, error;
	pid_t pid = fork();

	if (pid < 0)
		return -errno;
	if (pid == 0) {
		close_range(STDERR_FILENO + 1, ~0u, 0);
		execvp(words[0], words);
		_exit(EXIT_FAILURE);
	}
	error = process_finish(pid, RUN_TIME_MS, &status);
	if (error < 0)
		return error;
	return WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SUCCESS ? 0 : -EIO;
}

/* Of the interface, and for all names: what other interfaces have is not asked then. With the
 * interface it goes by itself. */
static int set_of_link(const char *interface, const struct resolvers *resolvers)
{
	char *const domain[] = {"resolvectl", "domain", (char *)interface, "~.", NULL};
	struct ipv4_text texts[RESOLVERS_MAX];
	char *dns[WORDS] = {"resolvectl", "dns", (char *)interface};
	int error;

	for (uint32_t i = 0; i < resolvers->n; i++) {
		texts[i] = ipv4_text(resolvers->addresses[i]);
		dns[3 + i] = texts[i].s;
	}
	error = run(dns);
	return error < 0 ? error : run(domain);
}

static void log_failure(int error)
{
	if (error == -EBUSY)
		log_error("cannot put a " RESOLV_CONF
			  " in place: another client has, or it is a mount "
			  "of its own; names are asked as before");
	else if (error == -EROFS)
		log_error(
			"cannot put a " RESOLV_CONF " in place: /etc is read-only; a service needs "
			"ReadWritePaths=/etc for it; names are asked as before");
	else
		log_error(
			"cannot have names asked through the tunnel: %s; they are asked as before",
			strerror(-error));
}

static void apply(struct name_servers *servers)
{
	const char *interface = servers->config->interface;
	bool by_link = !servers->has_put && resolv_conf_asks_resolved();
	int error = by_link ? set_of_link(interface, &servers->set)
			    : resolv_conf_put(interface, &servers->set);

	if (error < 0)
		return log_failure(error);
	servers->has_put = !by_link;
	log_info("names are asked of %s, by %s", resolvers_text(&servers->set).s,
		by_link ? "systemd-resolved" : RESOLV_CONF);
	for (uint32_t i = 0; i < servers->set.n && !by_link; i++)
		if (!is_reached_by(servers, servers->set.addresses[i], servers->ifindex))
			log_warning("%s is asked past the tunnel, as no --route leads there",
				ipv4_text(servers->set.addresses[i]).s);
}

static bool same(const struct resolvers *a, const struct resolvers *b)
{
	return a->n == b->n && memcmp(a->addresses, b->addresses, a->n * sizeof *a->addresses) == 0;
}

void name_servers_set(
	struct name_servers *servers, unsigned int ifindex, const struct resolvers *announced)
{
	if (servers->ifindex == ifindex && same(&servers->announced, announced) &&
		(!servers->has_put || resolv_conf_is_put(servers->config->interface)))
		return;
	servers->announced = *announced;
	servers->ifindex = ifindex;
	servers->set = choose(servers, ifindex, announced);
	if (servers->set.n > 0)
		apply(servers);
	else if (routes_everything(servers->config))
		say_as_it_is(servers, ifindex);
}

void name_servers_close(struct name_servers *servers, bool keep)
{
	int error;

	if (!servers)
		return;
	error = keep || !servers->has_put
			? 0
			: resolv_conf_take_back(servers->config->interface, false);
	if (error < 0)
		log_error("cannot put back " RESOLV_CONF ": %s", strerror(-error));
	netlink_close(servers->netlink);
	free(servers);
}

/* Tries a tunnel of each kind, by a client in a process of its own. Runs in `vprox check`. */
#include "client/reach.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/lock.h"
#include "base/log.h"
#include "client/client_run.h"
#include "client/client_state.h"
#include "client/full_packet.h"
#include "client/instance.h"
#include "client/mark.h"
#include "client/reach_server.h"
#include "netlink/genetlink.h"
#include "netlink/link.h"
#include "netlink/socket.h"

/* With a number behind it: several may check at once. */
#define CHECK_INTERFACE "vprox-check"

enum {
	MOST_AT_ONCE = 64,
	TUNNEL_MS = 12000, /* for a tunnel of one kind: two rounds of echoes, and requests */
	POLL_MS = 100,
	N_POLLS = (TUNNEL_MS + 10000) / POLL_MS,
};

/* This machine */

static const char *const kind_names[] = {[TUNNEL_WIREGUARD] = "WireGuard", [TUNNEL_IPIP] = "IPIP"};

/* What can carry tunnels here. */
struct machine {
	bool has_tun;
	bool has_kernel[2]; /* by enum tunnel_kind */
};

static struct machine inspect_machine(void)
{
	struct machine machine = {.has_tun = access("/dev/net/tun", R_OK | W_OK) == 0};
	struct netlink *generic = NULL, *route = NULL;
	uint16_t family;

	if (netlink_open(NETLINK_GENERIC, &generic) == 0)
		machine.has_kernel[TUNNEL_WIREGUARD] =
			genetlink_family(generic, "wireguard", &family) == 0;
	if (netlink_open(NETLINK_ROUTE, &route) == 0)
		machine.has_kernel[TUNNEL_IPIP] = link_probe_ipip(route) == 0;
	netlink_close(generic);
	netlink_close(route);
	return machine;
}

static bool is_by_kernel(
	const struct machine *machine, enum plane_choice plane, enum tunnel_kind kind)
{
	return plane != PLANE_EMBEDDED && machine->has_kernel[kind];
}

static bool can_carry(const struct machine *machine, enum plane_choice plane, enum tunnel_kind kind)
{
	return is_by_kernel(machine, plane, kind) || (plane != PLANE_KERNEL && machine->has_tun);
}

/* missing: the kinds of tunnel that there cannot be. */
static void report_lack(struct reach_result *result, enum plane_choice plane, const char *missing,
	enum reach_verdict verdict)
{
	static const char tun[] = "load the module tun, or in a container give --device "
				  "/dev/net/tun";

	if (plane == PLANE_KERNEL)
		reach_add(result, "machine", verdict,
			"this kernel has no %s, which --plane=kernel asks for: load the modules "
			"(modprobe -a wireguard ipip), or leave --plane=kernel out, for a "
			"userspace device",
			missing);
	else if (plane == PLANE_EMBEDDED)
		reach_add(result, "machine", verdict,
			"/dev/net/tun is not there, which --plane=embedded needs: %s", tun);
	else
		reach_add(result, "machine", verdict,
			"/dev/net/tun is not there, and this kernel has no %s: %s", missing, tun);
}

static void report_machine(
	const struct machine *machine, enum plane_choice plane, struct reach_result *result)
{
	static const char by_kernel[] = "the kernel", by_device[] = "a userspace device";
	const bool wireguard = can_carry(machine, plane, TUNNEL_WIREGUARD);
	const bool ipip = can_carry(machine, plane, TUNNEL_IPIP);

	if (wireguard && ipip)
		reach_add(result, "machine", REACH_GOOD, "WireGuard by %s, IPIP by %s",
			is_by_kernel(machine, plane, TUNNEL_WIREGUARD) ? by_kernel : by_device,
			is_by_kernel(machine, plane, TUNNEL_IPIP) ? by_kernel : by_device);
	else
		report_lack(result, plane,
			wireguard ? "IPIP"
			: ipip    ? "WireGuard"
				  : "WireGuard and no IPIP",
			wireguard || ipip ? REACH_NOTE : REACH_BAD);
}

/* Of this host, to whatever server: two of one pair of addresses are not possible, and asking for
 * its end would end the one that works. */
static bool has_ipip_client(void)
{
	char names[CLIENT_STATE_MAX][IF_NAMESIZE];
	ssize_t n = client_state_list(names);
	bool found = false;

	for (ssize_t i = 0; i < n; i++) {
		json_t *state = client_state_read(names[i]);
		const char *tunnel = json_string_value(json_object_get(state, "tunnel"));

		found |= tunnel && strcmp(tunnel, "ipip") == 0;
		json_decref(state);
	}
	return found;
}

/* A tunnel */

/* Whoever ends `vprox check` meanwhile ends the client too, which removes its tunnel. */
static void be_client(const struct client_config *config, pid_t parent)
{
	int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);

	if (prctl(PR_SET_PDEATHSIG, SIGTERM) < 0 || getppid() != parent)
		_exit((int)CLIENT_FAILED);
	if (nowhere >= 0)
		dup2(nowhere, STDERR_FILENO);
	log_setup(LOG_LEVEL_ERROR, LOG_FORMAT_PLAIN, "check");
	_exit((int)client_run(config));
}

static bool is_up(const json_t *state)
{
	const char *text = json_string_value(json_object_get(state, "state"));

	return text && strcmp(text, "up") == 0;
}

/* Waits until the tunnel is up, or the client has ended; then *pid is 0. *state: the last that it
 * has told of itself, NULL if nothing. Returns the client's end, CLIENT_DONE if it is up. */
static enum client_end wait_for_client(const char *interface, pid_t *pid, json_t **state)
{
	int status = 0;

	for (int i = 0; i < N_POLLS; i++) {
		json_t *now;

		if (waitpid(*pid, &status, WNOHANG) == *pid) {
			*pid = 0;
			return WIFEXITED(status) ? (enum client_end)WEXITSTATUS(status)
						 : CLIENT_FAILED;
		}
		now = client_state_read(interface);
		if (now) {
			json_decref(*state);
			*state = now;
		}
		if (now && is_up(now))
			return CLIENT_DONE;
		usleep(POLL_MS * 1000);
	}
	return CLIENT_NO_HANDSHAKE;
}

static unsigned int read_mtu(const char *interface)
{
	struct netlink *netlink = NULL;
	struct link link = {0};

	if (netlink_open(NETLINK_ROUTE, &netlink) < 0)
		return 0;
	if (link_get(netlink, interface, &link) < 0)
		link.mtu = 0;
	netlink_close(netlink);
	return link.mtu;
}

/* The MTU, and what passes of it. The client lowers it by itself where the path tells, at the next
 * round of its health check: then that is what counts. */
static int find_passing(const char *interface, struct ipv4 gateway, uint32_t *mtu, uint32_t *passes)
{
	int error;

	*mtu = read_mtu(interface);
	*passes = 0;
	error = *mtu == 0 ? -ENODEV : full_packet_find(interface, gateway, *mtu, passes);
	if (error == 0 && *passes < *mtu && read_mtu(interface) < *mtu) {
		*mtu = read_mtu(interface);
		error = full_packet_find(interface, gateway, *mtu, passes);
	}
	return error;
}

static void report_mtu(
	struct reach_result *result, const char *kind, const char *interface, struct ipv4 gateway)
{
	uint32_t mtu, passes;
	int error = find_passing(interface, gateway, &mtu, &passes);

	if (error < 0 || passes == 0)
		reach_add(result, kind, REACH_NOTE,
			"the tunnel works, with an MTU of %u; whether packets of that size pass "
			"could not be tried: %s",
			mtu, error < 0 ? strerror(-error) : "echoes are not answered any more");
	else if (passes < mtu)
		reach_add(result, kind, REACH_BAD,
			"the tunnel works, but of its MTU of %u bytes only packets of up to %u "
			"pass, and longer ones are lost without a word: give `vprox connect` "
			"--mtu %u, or let ICMP \"fragmentation needed\" through on the way",
			mtu, passes, passes);
	else
		reach_add(result, kind, REACH_GOOD,
			"the tunnel works, with an MTU of %u, and packets of that size pass", mtu);
	reach_set_mtu(result, passes);
}

static void report_mute(struct reach_result *result, const char *kind, const char *interface)
{
	reach_add(result, kind, REACH_GOOD, "the tunnel works, with an MTU of %u",
		read_mtu(interface));
	reach_add(result, "echo", REACH_NOTE,
		"none comes back through the tunnel: ICMP echo is filtered at the server, "
		"which delays clients by a second, and whether packets of the MTU pass could not "
		"be tried");
}

static struct ipv4 gateway_of(const json_t *state)
{
	const char *text = json_string_value(json_object_get(state, "gateway"));
	struct ipv4 gateway = {0};

	if (text)
		ipv4_parse(text, &gateway);
	return gateway;
}

static void report_tunnel(struct reach_result *result, const char *kind, const char *interface,
	enum client_end end, const json_t *state)
{
	const char *fault = json_string_value(json_object_get(state, "fault"));

	if (end != CLIENT_DONE) {
		reach_add(result, kind, REACH_BAD, "%s",
			fault && *fault ? fault
			: end == CLIENT_FAILED
				? "the tunnel cannot be set up here: `vprox connect` says why"
			: end == CLIENT_NO_HANDSHAKE ? "nothing has come through the tunnel in time"
						     : "the server grants none");
		return;
	}
	if (json_is_false(json_object_get(state, "echoes")))
		report_mute(result, kind, interface);
	else
		report_mtu(result, kind, interface, gateway_of(state));
}

/* What a client keeps in /run for its next start. The lock goes last: from then on the name is
 * another's. */
static void remove_files(const char *interface)
{
	static const char *const kinds[] = {"key", "id", "state", "creating", "lock"};
	char path[128];

	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
		snprintf(path, sizeof path, RUN_FOLDER "/client-%s-%s", kinds[i], interface);
		unlink(path);
	}
}

static void end_client(pid_t pid)
{
	if (pid == 0)
		return;
	kill(pid, SIGTERM);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		continue;
}

static void try_interface(
	const struct client_config *config, const char *what, struct reach_result *result)
{
	json_t *state = NULL;
	enum client_end end;
	pid_t pid, parent = getpid();

	client_state_remove(config->interface); /* of one that was killed: not this one's */
	pid = fork();
	if (pid == 0)
		be_client(config, parent);
	if (pid < 0) {
		reach_add(
			result, what, REACH_BAD, "no process can be started: %s", strerror(errno));
		return;
	}
	end = wait_for_client(config->interface, &pid, &state);
	report_tunnel(result, what, config->interface, end, state);
	json_decref(state);
	end_client(pid);
}

static void try_tunnel(const struct client_config *server, enum tunnel_kind kind, const char *what,
	struct reach_result *result)
{
	struct client_config config = *server;
	char name[INSTANCE_NAME_SIZE];

	config.interface = name;
	config.tunnel = kind;
	config.timeout_ms = TUNNEL_MS;
	config.echo_mark = CLIENT_FWMARK;
	config.lock = instance_lock_any(CHECK_INTERFACE, MOST_AT_ONCE, name);
	if (config.lock < 0) {
		reach_add(result, what, REACH_BAD, "no lock for an interface: %s",
			strerror(-config.lock));
		return;
	}
	try_interface(&config, what, result);
	remove_files(name);
	close(config.lock);
}

static void try_kind(const struct client_config *config, const struct machine *machine,
	enum tunnel_kind kind, struct reach_result *result)
{
	const char *what = kind == TUNNEL_IPIP ? "ipip" : "wireguard";

	if (!can_carry(machine, config->plane, kind))
		reach_add(result, what, REACH_BAD,
			"not tried: nothing here carries %s, see the line of this machine",
			kind_names[kind]);
	else if (kind == TUNNEL_IPIP && has_ipip_client())
		reach_add(result, what, REACH_NOTE,
			"not tried: a client of this host has a tunnel of IPIP, see `vprox "
			"status`");
	else
		try_tunnel(config, kind, what, result);
}

void reach_check(
	const struct client_config *config, enum reach_tunnels tunnels, struct reach_result *result)
{
	const struct machine machine = inspect_machine();
	struct client_config known = *config;

	*result = (struct reach_result){0};
	report_machine(&machine, config->plane, result);
	if (!reach_ask_server(config, &known.pins[0], result))
		return;
	known.n_pins = 1;
	known.insecure = false;
	if (tunnels != REACH_IPIP)
		try_kind(&known, &machine, TUNNEL_WIREGUARD, result);
	if (tunnels != REACH_WIREGUARD)
		try_kind(&known, &machine, TUNNEL_IPIP, result);
}

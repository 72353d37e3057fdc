/* `vprox disconnect`: ends a client of this host, or takes down what one has left. One process,
 * which root starts. */
#include <errno.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <unistd.h>

#include "base/log.h"
#include "base/rights.h"
#include "client/client_state.h"
#include "client/take_down.h"
#include "cmd/command.h"
#include "cmd/usage.h"

/* A client tells its server, for 2 s at the most, and removes its routes. */
enum { END_MS = 20000 };

static const struct command_option options[] = {{0}};

/* Whom to ask, if it is certain that the process is a client still: it holds its lock. Returns a
 * pidfd, -ESRCH if no client runs, or -errno. */
static int open_client(const char *interface)
{
	json_t *state = client_state_read(interface);
	int pid, fd;

	if (!state)
		return errno == ENOENT ? -ESRCH : -errno;
	pid = (int)json_integer_value(json_object_get(state, "pid"));
	fd = pid > 0 ? pidfd_open(pid, 0) : -1;
	if (fd < 0)
		fd = -ESRCH;
	json_decref(state);
	/* Once more: by now the pid cannot become another process's. */
	state = client_state_read(interface);
	if (fd >= 0 && (!state || !json_is_true(json_object_get(state, "running")) ||
			       (int)json_integer_value(json_object_get(state, "pid")) != pid)) {
		close(fd);
		fd = -ESRCH;
	}
	json_decref(state);
	return fd;
}

static int wait_for_end(int fd)
{
	struct pollfd end = {.fd = fd, .events = POLLIN};
	int n;

	while ((n = poll(&end, 1, END_MS)) < 0 && errno == EINTR)
		continue;
	return n < 0 ? -errno : n == 0 ? -ETIMEDOUT : 0;
}

static int stop_client(int fd)
{
	return pidfd_send_signal(fd, SIGTERM, NULL, 0) < 0 ? -errno : wait_for_end(fd);
}

static int disconnect(const char *interface)
{
	int fd = open_client(interface), error;

	if (fd == -ESRCH)
		return client_take_down(interface);
	if (fd < 0)
		return fd;
	error = stop_client(fd);
	close(fd);
	return error;
}

/* The one that there is. Returns 0, or an exit status with the fault written. */
static int choose(char interface[IF_NAMESIZE])
{
	char names[CLIENT_STATE_MAX][IF_NAMESIZE];
	ssize_t n = client_state_list(names);

	if (n == 1) {
		memcpy(interface, names[0], IF_NAMESIZE);
		return 0;
	}
	if (n <= 0) {
		log_error("no client runs on this host; `vprox connect` starts one");
		return STATUS_FAILED;
	}
	usage_error(&command_disconnect, "there are %zd clients: name the interface, such as %s", n,
		names[0]);
	return STATUS_USAGE;
}

static int check_name(const char *operand, char interface[IF_NAMESIZE])
{
	json_t *state;
	bool is_there;

	if (strlen(operand) >= IF_NAMESIZE || strchr(operand, '/')) {
		usage_error(&command_disconnect, "%s: not an interface's name", operand);
		return STATUS_USAGE;
	}
	snprintf(interface, IF_NAMESIZE, "%s", operand);
	state = client_state_read(interface);
	is_there = state != NULL;
	json_decref(state);
	if (!is_there)
		log_error("%s: there is no client of that interface; `vprox status` "
			  "lists those that there are",
			operand);
	return is_there ? 0 : STATUS_FAILED;
}

static int run_disconnect(void *configuration, const char *operand)
{
	char interface[IF_NAMESIZE];
	int status, error;

	(void)configuration;
	log_setup(LOG_LEVEL_WARNING, LOG_FORMAT_PLAIN, "disconnect");
	if (rights_check(false) < 0)
		return STATUS_FAILED;
	status = operand ? check_name(operand, interface) : choose(interface);
	if (status != 0)
		return status;
	error = disconnect(interface);
	if (error < 0) {
		log_error("%s: cannot end its client: %s", interface, strerror(-error));
		return STATUS_FAILED;
	}
	printf("%s is disconnected\n", interface);
	return STATUS_OK;
}

const struct command command_disconnect = {
	.name = "disconnect",
	.summary = "end a tunnel of this host to a server",
	.synopsis = "vprox disconnect [INTERFACE]",
	.description = "Stops the `vprox connect` of the interface, as SIGTERM does, and waits "
		       "until it has "
		       "removed everything. Where none runs, as after --once or a kill, removes "
		       "the interface "
		       "and its routes. INTERFACE may be left out if there is one client.",
	.options = options,
	.operand = "INTERFACE",
	.is_operand_optional = true,
	.run = run_disconnect,
};

/* Starts a process that asks a cloud's services, confines it, and has it do what it is for: the
 * main file of such a process, which has one thread. */
#include "cloud/cloud.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/sandbox.h"
#include "base/signals.h"
#include "cloud/liveness.h"
#include "cloud/metadata.h"
#include "ipc/cloud.h"
#include "ipc/names.h"
#include "ipc/packet.h"

static int read_config(struct cloud_config *config)
{
	struct pollfd broker = {.fd = CLOUD_FD_BROKER, .events = POLLIN};
	int error =
		poll(&broker, 1, -1) < 0 ? -errno : cloud_receive_config(CLOUD_FD_BROKER, config);

	if (error < 0) {
		log_error("cannot read the configuration: %s; this process is started by the "
			  "server",
			strerror(-error));
		return error;
	}
	log_setup((enum log_level)config->log_level, (enum log_format)config->log_format, "cloud");
	tzset();
	return close_range(CLOUD_FD_BROKER + 1, ~0U, 0) < 0 ? -errno : 0;
}

static int lock_up(const struct cloud_config *config)
{
	int error = sandbox_drop_privileges(config->user, config->group);

	if (error < 0)
		return error;
	error = sandbox_filter_calls_of_asker();
	if (error < 0)
		log_error("cannot filter system calls: %s", strerror(-error));
	return error < 0 ? error : cloud_send_ready(CLOUD_FD_BROKER);
}

static int watch(const struct cloud_config *config)
{
	int error = lock_up(config);

	return error < 0 ? error : metadata_serve();
}

/* Who looks names up is made before anything is known that it must not know. */
static int report(const struct cloud_config *config)
{
	struct names *names = NULL;
	struct liveness *liveness = NULL;
	int error = names_new(config->user, config->group, CLOUD_FD_BROKER, &names);

	if (error == 0)
		error = liveness_new(config, names, &liveness);
	if (error == 0)
		error = lock_up(config);
	if (error == 0)
		error = liveness_serve(liveness);
	liveness_free(liveness);
	names_free(names);
	return error;
}

int cloud_main(void)
{
	struct cloud_config config;
	int error;

	prctl(PR_SET_NAME, "vprox-cloud");
	log_open();
	signals_leave_to_parent();
	error = read_config(&config);
	if (error == 0)
		error = config.task == CLOUD_WATCHES ? watch(&config) : report(&config);
	if (!packet_is_hung_up(error))
		log_debug("ends: %s", strerror(-error));
	return packet_is_hung_up(error) ? EXIT_SUCCESS : EXIT_FAILURE;
}

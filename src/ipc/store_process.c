/* Starts a store that tells what is stored, or forgets a part of it. Runs in `vprox check` and
 * `vprox fleet`. */
#include "ipc/store_process.h"

#include <errno.h>
#include <limits.h>
#include <spawn.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/process.h"
#include "base/program.h"

enum {
	END_MS = 1000,
};

/* As the one who made the file, so that what SQLite makes beside it is the server's store's. */
static int describe(struct store_config *config, enum store_task task)
{
	struct stat file;

	if (lstat(STORE_FOLDER "/" STORE_FILE, &file) < 0)
		return -errno;
	*config = (struct store_config){
		.version = STORING_VERSION,
		.user = file.st_uid,
		.group = file.st_gid,
		.log_level = LOG_LEVEL_WARNING,
		.log_format = LOG_FORMAT_PLAIN,
		.task = task,
		.folder = STORE_FOLDER,
	};
	return 0;
}

static int spawn(int its_end, pid_t *pid)
{
	char path[PATH_MAX];
	char *const arguments[] = {path, NULL};
	char *environment[PROGRAM_ENVIRONMENT_SIZE];
	posix_spawn_file_actions_t actions;
	int error = program_find("vprox-store", path);

	if (error < 0) {
		log_error("cannot start %s: %s", path, strerror(-error));
		return error;
	}
	program_pick_environment(environment);
	if (posix_spawn_file_actions_init(&actions) != 0)
		return -ENOMEM;
	error = posix_spawn_file_actions_adddup2(&actions, its_end, STORE_FD_BROKER);
	if (error == 0)
		error = posix_spawn(pid, path, &actions, NULL, arguments, environment);
	posix_spawn_file_actions_destroy(&actions);
	if (error != 0)
		log_error("cannot start %s: %s", path, strerror(error));
	return -error;
}

int store_process_start(enum store_task task, struct store_process *process)
{
	struct store_config config;
	auto_close int its = -1;
	int ends[2], error = describe(&config, task);

	*process = (struct store_process){.fd = -1};
	if (error < 0)
		return error;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) < 0)
		return -errno;
	process->fd = ends[0];
	its = ends[1];
	error = spawn(its, &process->pid);
	return error < 0 ? error : storing_send_config(process->fd, &config);
}

void store_process_end(struct store_process *process)
{
	int status;

	if (process->fd >= 0)
		close(process->fd);
	if (process->pid > 0)
		process_finish(process->pid, END_MS, &status);
	*process = (struct store_process){.fd = -1};
}

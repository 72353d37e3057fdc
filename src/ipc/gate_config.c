/* Writes a gate's configuration into a sealed memfd, in the broker, and reads it, in the gate. */
#include "ipc/gate_config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"

int gate_config_write(const struct gate_settings *settings)
{
	const struct gate_config *config = &settings->config;
	const struct {
		const void *data;
		size_t length;
	} parts[] = {
		{config, sizeof *config},
		{settings->endpoints, config->n_endpoints * sizeof(*settings->endpoints)},
		{settings->certificate, config->certificate_length},
	};
	int error = 0;
	int fd = memfd_create("vprox-gate", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0)
		return -errno;
	for (size_t i = 0; i < sizeof parts / sizeof *parts && error == 0; i++)
		error = file_write_all(fd, parts[i].data, parts[i].length);
	if (error == 0 && fcntl(fd, F_ADD_SEALS,
				  F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) < 0)
		error = -errno;
	if (error < 0) {
		close(fd);
		return error;
	}
	return fd;
}

static int read_part(int fd, off_t *offset, void *data, size_t length)
{
	ssize_t n = pread(fd, data, length, *offset);

	if (n < 0)
		return -errno;
	*offset += n;
	return (size_t)n == length ? 0 : -EPROTO;
}

static int read_text(int fd, off_t *offset, char **text, size_t length)
{
	*text = calloc(1, length + 1);
	return *text ? read_part(fd, offset, *text, length) : -ENOMEM;
}

int gate_config_read(int fd, struct gate_settings *settings)
{
	struct gate_config *config = &settings->config;
	struct stat stat;
	off_t offset = 0;
	int error;

	*settings = (struct gate_settings){0};
	if (fstat(fd, &stat) < 0)
		return -errno;
	error = read_part(fd, &offset, config, sizeof *config);
	if (error < 0)
		return error;

	uint64_t size = sizeof *config + config->n_endpoints * sizeof(*settings->endpoints) +
			(uint64_t)config->certificate_length;
	if (config->version != GATE_CONFIG_VERSION || config->n_gates == 0 ||
		config->n_gates > GATE_MAX_GATES || config->n_endpoints > config->max_endpoints ||
		config->max_endpoints > GATE_MAX_ENDPOINTS || config->announced.n > RESOLVERS_MAX ||
		config->has_issuers > 1 || size > GATE_CONFIG_MAX_SIZE ||
		(uint64_t)stat.st_size != size) {
		*settings = (struct gate_settings){0};
		return -EPROTO;
	}
	settings->endpoints = calloc(config->n_endpoints + 1, sizeof(*settings->endpoints));
	error = settings->endpoints ? read_part(fd, &offset, settings->endpoints,
					      config->n_endpoints * sizeof(*settings->endpoints))
				    : -ENOMEM;
	if (error == 0)
		error = read_text(fd, &offset, &settings->certificate, config->certificate_length);
	if (error < 0)
		gate_settings_free(settings);
	return error;
}

void gate_settings_free(struct gate_settings *settings)
{
	free(settings->endpoints);
	free(settings->certificate);
	explicit_bzero(settings, sizeof *settings);
}

/* Puts in force what has changed in the configuration. Runs in the broker's event loop, when it is
 * told to by a signal. */
#include "server/reload.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/notify.h"
#include "server/config.h"
#include "server/config_source.h"
#include "server/gate_setup.h"
#include "server/gate_supervisor.h"

static void tell_gates(const struct reload *reload)
{
	struct live_settings live = gate_setup_describe_live(reload->config);

	if (gate_supervisor_change(reload->supervisor, &live) < 0)
		log_error("cannot tell the gates of the configuration: %s", strerror(ENOMEM));
	explicit_bzero(&live, sizeof live);
}

static int read_again(const struct reload *reload, struct server_config *config)
{
	int error;

	*config = *reload->config;
	error = reload->source->read(reload->source->context, config);
	if (error < 0 && error != -EALREADY)
		log_error("the configuration cannot be used, and stays as it was");
	return error;
}

static void apply(const struct reload *reload, const struct server_config *config)
{
	*reload->config = *config;
	tell_gates(reload);
}

int reload_configuration(const struct reload *reload)
{
	struct server_config *config = malloc(sizeof *config);
	int error = config ? read_again(reload, config) : -ENOMEM;

	if (error == 0)
		apply(reload, config);
	if (config)
		explicit_bzero(config, sizeof *config);
	free(config);
	return error == -EALREADY ? error : 0;
}

/* The dispositions of signals. Sets them in gates and signers, at their start and before they are
 * one; reads them in the client, the broker and the device, at theirs. */
#include "base/signals.h"

#include <signal.h>
#include <stddef.h>

void signals_leave_to_parent(void)
{
	static const int signals[] = {SIGPIPE, SIGINT, SIGTERM, SIGHUP};

	for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
		signal(signals[i], SIG_IGN);
}

bool signals_is_ignored(int signal)
{
	struct sigaction action;

	return sigaction(signal, NULL, &action) == 0 && action.sa_handler == SIG_IGN;
}

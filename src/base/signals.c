/* Sets the dispositions of signals. Runs in gates and signers, at their start, and before they are
 * one. */
#include "base/signals.h"

#include <signal.h>
#include <stddef.h>

void signals_leave_to_parent(void)
{
	static const int signals[] = {SIGPIPE, SIGINT, SIGTERM, SIGHUP};

	for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
		signal(signals[i], SIG_IGN);
}

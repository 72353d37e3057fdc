/* Has the kernel account for connections. Runs in the broker: at its start, and every 5 s, where
 * there is a flow log. */
#include "host/accounting.h"

#include <string.h>

#include "base/log.h"
#include "base/sysctl.h"
#include "host/setting.h"

static const char group[] = "net/netfilter";

/* Of the last one, kernels since 5.19 have 2: the end is told of those connections alone that began
 * while somebody listened. Those that begin between two servers are to be told of too. */
enum { ALWAYS = 1 };

static const char *const names[] = {
	"nf_conntrack_acct", "nf_conntrack_timestamp", "nf_conntrack_events"};

static void report_failure(struct accounting *accounting, const char *name, int error)
{
	if (!accounting->has_failed)
		log_error("cannot switch %s/%s on: %s; the flow log lacks what it is for", group,
			name, strerror(-error));
	accounting->has_failed = true;
}

static void switch_one_on(struct accounting *accounting, const char *name)
{
	struct setting setting;
	int error = setting_read(NULL, group, name, &setting);

	if (error == 0 && setting.value == ALWAYS)
		return;
	if (error == 0)
		error = sysctl_write(setting.path, ALWAYS);
	if (error < 0) {
		report_failure(accounting, name, error);
		return;
	}
	accounting->was_changed = true;
	log_info("changed %s/%s from %d to %d", group, name, setting.value, ALWAYS);
}

void accounting_switch_on(struct accounting *accounting)
{
	accounting->was_changed = false;
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		switch_one_on(accounting, names[i]);
}

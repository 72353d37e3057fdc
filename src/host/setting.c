/* Reads and changes settings of the kernel. Runs in the broker: at its start, and every second to
 * read. */
#include "host/setting.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/sysctl.h"

int setting_read(const char *folder, const char *group, const char *name, struct setting *setting)
{
	setting->group = group;
	setting->name = name;
	if (folder)
		snprintf(setting->path, sizeof setting->path, "%s/%s", folder, name);
	else
		snprintf(setting->path, sizeof setting->path, "/proc/sys/%s/%s", group, name);
	return sysctl_read(setting->path, &setting->value);
}

void setting_change(const struct setting *setting, int value)
{
	int error = sysctl_write(setting->path, value);

	if (error < 0)
		log_warning("cannot change %s/%s from %d to %d: %s", setting->group, setting->name,
			setting->value, value, strerror(-error));
	else
		log_info("changed %s/%s from %d to %d", setting->group, setting->name,
			setting->value, value);
}

void setting_leave(const struct setting *setting)
{
	log_info("%s is %d, which somebody has chosen: it stays", setting->name, setting->value);
}

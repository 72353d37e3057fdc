/*
 * A device's state, read from records (handover_messages.h), into a device that has its tables and
 * no peers. Nothing is sent, whatever is read. The control thread's of the new process, before its
 * workers begin.
 */
#pragma once

#include "device/device.h"
#include "device/handover_channel.h"

/* Zeroed but for device and shift_ms. */
struct handover_restore {
	struct device *device;
	/* What is added to the old process's times: as much as makes nothing look younger than it
	 * is. */
	int64_t shift_ms;
	struct wg_peer *peer; /* the last one: to which records belong */
	struct target *target; /* whose state came last, in the device's list; NULL: none has */
	uint32_t n_states; /* that have come: the number of the next */
	struct keypair *spare; /* made before they are needed, linked by retired.next */
	uint32_t at_worker; /* to which the next handshake message goes */
};

void handover_restore_free(struct handover_restore *restore);

/* A record between ALL_FILES and CONFIGURED, or between READY and END. Return 0, -EPROTO (it cannot
 * be right, or has no place there) or -ENOMEM. */
int handover_restore_peer(struct handover_restore *restore, const struct handover_record *record);
int handover_restore_session(
	struct handover_restore *restore, const struct handover_record *record);
/* After the last one. */
void handover_restore_end(struct handover_restore *restore);

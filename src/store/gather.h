/* How long the store waits for more orders before it writes those that it has. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	GATHER_MAX_US = 4000,
	GATHER_BUSY_US = 1200,
};

/*
 * Where the last transaction had several orders, more are on their way: so long as it took, but not
 * longer than GATHER_MAX_US, they are waited for. A transaction costs a processor more than what is
 * in it, one of etcd's those of all its members, and the clients that wait have other work for the
 * processors. On a fast disk that would be no time, and each order have its own transaction: where
 * more_come says that the processors have work (ipc/storing.h), it is at least GATHER_BUSY_US. One
 * that is alone waits for nobody.
 *
 * n_last: orders of the last transaction, which took took_us microseconds, etcd's included. Returns
 * microseconds.
 */
uint64_t gather_us(size_t n_last, uint64_t took_us, bool more_come);

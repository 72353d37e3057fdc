/*
 * SANITIZER is 1 in a build with AddressSanitizer or ThreadSanitizer, a build for tests. Its leak
 * check at the end starts a task that traces the process and reads /proc, its reports read the
 * program's symbols, and its allocator asks for memory in ways of its own; so such a build stays
 * traceable, may have children, and its list of system calls is longer (sandbox_calls.c) or there
 * is none (harden.c, device/confine.c). The builds that people run have none of this.
 */
#pragma once

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZER 1
#endif
#endif

#ifndef SANITIZER
#define SANITIZER 0
#endif

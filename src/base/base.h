/* src/base/base.h: the few macros everything else stands on.
 *
 * Two kinds of wrong (HACKING.md): what the world does wrong is returned, what we do wrong is
 * asserted. ASSERT stays on in every build. ASSERT_SLOW runs whole-structure checkers and is on in
 * test, san and fuzz builds (-DBERTH_SLOW_CHECKS=1).
 */
#ifndef BERTH_BASE_BASE_H
#define BERTH_BASE_BASE_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MUST_CHECK __attribute__((warn_unused_result))
#define FALLTHROUGH __attribute__((fallthrough))
#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))
#define COUNT_OF(a) (sizeof(a) / sizeof((a)[0]))
#define NEVER_US UINT64_MAX

/* Prints the expression and the last trace events, then aborts. Never for a peer's bytes. */
_Noreturn void base_assert_failed(const char *expr, const char *file, int line);

#define ASSERT(e) ((e) ? (void)0 : base_assert_failed(#e, __FILE__, __LINE__))
#ifdef BERTH_SLOW_CHECKS
#define ASSERT_SLOW(e) ASSERT(e)
#else
#define ASSERT_SLOW(e) ((void)0)
#endif

#endif

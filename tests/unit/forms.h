/* tests/unit/forms.h: the same tests of the heart over each form of its table: the full one, and the lean one of a stack. */
#ifndef BERTH_TESTS_FORMS_H
#define BERTH_TESTS_FORMS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "port/table.h"

static bool form_lean;

static inline int form_is_full(void **state)
{
	(void)state;
	form_lean = false;
	return 0;
}

static inline int form_is_lean(void **state)
{
	(void)state;
	form_lean = true;
	return 0;
}

/* In memory for a full table of n_claims. */
static inline int form_init(struct port_table *t, void *mem, uint32_t n_claims, const uint8_t secret[16])
{
	const struct port_table_form f = {.n_claims = n_claims, .lean = true};

	if (form_lean)
		return port_table_form_init(t, mem, port_table_form_size(&f), &f, secret);
	return port_table_init(t, mem, port_table_size(n_claims), n_claims, secret);
}

static inline int forms_run(const char *group, const struct CMUnitTest *tests, struct CMUnitTest *both,
			    char (*names)[120], size_t n)
{
	for (size_t i = 0; i < 2 * n; i++) {
		both[i] = tests[i % n];
		snprintf(names[i], sizeof(names[i]), "%s%s", i < n ? "" : "lean: ", tests[i % n].name);
		both[i].name = names[i];
		both[i].setup_func = i < n ? form_is_full : form_is_lean;
	}
	return _cmocka_run_group_tests(group, both, 2 * n, NULL, NULL);
}

#define FORMS_RUN(group, tests)                                              \
	__extension__({                                                      \
		struct CMUnitTest both_[2 * COUNT_OF(tests)];                \
		static char names_[2 * COUNT_OF(tests)][120];                \
		forms_run((group), (tests), both_, names_, COUNT_OF(tests)); \
	})

#endif

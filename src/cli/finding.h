/* src/cli/finding.h: what `berth doctor` found: one thing that was measured, what it means, and the line that mends it. */
#ifndef BERTH_CLI_FINDING_H
#define BERTH_CLI_FINDING_H

#include "base/base.h"

enum finding_state {
	FINDING_GOOD,	 /* as it should be, or of no matter here */
	FINDING_NOTE,	 /* works, with a limit that is said */
	FINDING_TROUBLE, /* something does not work, or will not when it matters */
	FINDING_UNSEEN,	 /* could not be looked at */
};
#define FINDING_NSTATES 4
extern const char *const finding_state_name[FINDING_NSTATES]; /* "good", "note", "trouble", "unseen" */

enum finding_part { FINDING_BERTH, FINDING_PORTS };
extern const char *const finding_part_name[2]; /* "berth", "ports" */

struct finding {
	const char *code; /* stable: docs/doctor.md */
	enum finding_part part;
	enum finding_state state;
	bool root_helps; /* UNSEEN: root would see it */
	char value[400]; /* what was measured, as words */
	char means[700]; /* one sentence; "" when the value says all */
	char now[4096];	 /* the line that mends it at once; "" */
	char keep[4096]; /* the line that keeps it so across a restart of the machine; "" */
};

#define FINDINGS_MAX 64
struct findings {
	struct finding rows[FINDINGS_MAX];
	size_t n;
};

/* The next one, empty and GOOD. Never NULL: more than FINDINGS_MAX is a mistake of ours. */
struct finding *finding_new(struct findings *all, enum finding_part part, const char *code);
/* Each sets a part of it, as printf would. */
void finding_value(struct finding *f, const char *fmt, ...) PRINTF_LIKE(2, 3);
void finding_means(struct finding *f, enum finding_state state, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* The lines: `sysctl -w NAME=VALUE`, and the file that systemd and procps read at boot. Called again for one finding it adds a
 * setting to both. A value that is too long for a line leaves both empty. */
void finding_sysctl(struct finding *f, const char *name, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* Other lines; either may be "". */
void finding_lines(struct finding *f, const char *now, const char *keep);
/* It could not be looked at. */
void finding_unseen(struct finding *f, bool root_helps, const char *fmt, ...) PRINTF_LIKE(3, 4);

#endif

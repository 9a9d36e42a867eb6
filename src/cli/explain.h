/* src/cli/explain.h: an explanation, as lines for a person and as JSON for a program. */
#ifndef BERTH_CLI_EXPLAIN_H
#define BERTH_CLI_EXPLAIN_H

#include "cli/cli.h"

/* Explain with everything that can be looked up: the holder from /proc, a free port near by.
 * Fills ret_holder and *ret_near too. */
void explain_refusal(struct cli *cli, uint32_t host, const struct port_want *want, const struct port_refusal *r,
		     struct port_explanation *ret, struct port_holder *ret_holder, uint16_t *ret_near);

/* The indented lines: who, why, try; broken at columns (0: never). */
void explain_lines(FILE *out, const struct port_explanation *e, unsigned columns);

/* {"reason", "rule", "errno", "what", "why", "try", "holder", "nearest_free"}: docs/json.md. */
json_t *explain_json(const struct port_explanation *e, const struct port_refusal *r, const struct port_holder *h,
		     uint16_t near);
/* {"program", "pid", "command", "user", "uid", "age_s"} */
json_t *explain_holder_json(const struct port_holder *h, const struct port_claim *c);

/* Columns of the terminal behind f; 0 when it is none. */
unsigned explain_columns(FILE *f);
/* text after "  label  ", further lines under its beginning, broken at columns (0: never). */
void explain_wrap(FILE *out, const char *label, const char *text, unsigned columns);
/* The same, the text beginning in column at. label NULL: no indent at all, and at is 0. */
void explain_wrap_at(FILE *out, const char *label, unsigned at, const char *text, unsigned columns);

#endif

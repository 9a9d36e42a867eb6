/* src/cli/explain.c: from a refusal in the table to what a person reads.
 *
 * The heart says which claim was in the way and by which rule (port/explain.c); here the claim
 * becomes a process, and the nearest free port is looked up. Somebody reads this at night, so the
 * shape is always the same: who has it, why that stops you, what to try instead.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cli/explain.h"
#include "cli/proc.h"

enum { LABEL_COLUMNS = 7 }; /* "  who  " */

/* Advice says NETWORK where the heart does not know the name. */
static void put_network(char s[160], const char *name)
{
	char whole[160];
	char *at = strstr(s, "NETWORK ");

	if (!at)
		return;
	snprintf(whole, sizeof(whole), "%.*s%s%s", (int)(at - s), s, name, at + strlen("NETWORK"));
	memcpy(s, whole, sizeof(whole));
}

void explain_refusal(struct cli *cli, uint32_t host, const struct port_want *want, const struct port_refusal *r,
		     struct port_explanation *ret, struct port_holder *ret_holder, uint16_t *ret_near)
{
	struct network_lock lock;
	int32_t pids[PROC_PIDS_MAX];
	uint16_t near = 0;

	*ret_holder = (struct port_holder){.age_us = NEVER_US};
	if (r->by_valid)
		(void)proc_holder(NULL, NULL, &r->by, network_now_us(), ret_holder, pids);
	if ((r->err == -EADDRINUSE || r->err == -EACCES) && network_lock(&cli->net, host, &lock) == 0) {
		if (port_table_nearest_free(&lock.table, want, &near) < 0)
			near = 0;
		network_unlock(&lock);
	}
	port_explain(want, r, r->by_valid ? ret_holder : NULL, near, ret);
	for (size_t i = 0; ret->reason == PORT_REASON_POLICY_DENIED && i < COUNT_OF(ret->try_); i++)
		put_network(ret->try_[i], cli->net.name);
	cli_clean(ret->who);
	*ret_near = near;
}

unsigned explain_columns(FILE *f)
{
	struct winsize w;

	if (!isatty(fileno(f)) || ioctl(fileno(f), TIOCGWINSZ, &w) < 0)
		return 0;
	return w.ws_col;
}

void explain_wrap(FILE *out, const char *label, const char *text, unsigned columns)
{
	explain_wrap_at(out, label, LABEL_COLUMNS, text, columns);
}

void explain_wrap_at(FILE *out, const char *label, unsigned at, const char *text, unsigned columns)
{
	size_t room = columns > at + 20 ? columns - at : 0;

	for (;;) {
		size_t len = strlen(text), cut = len;

		if (room && len > room) {
			cut = room;
			while (cut > 0 && text[cut] != ' ')
				cut--;
			if (cut == 0) /* one long word: let the terminal break it */
				cut = strcspn(text, " ");
		}
		if (label)
			fprintf(out, "  %-*s", (int)at - 2, label);
		fprintf(out, "%.*s\n", (int)cut, text);
		text += cut + strspn(text + cut, " ");
		if (*text == '\0')
			return;
		label = label ? "" : NULL;
	}
}

void explain_lines(FILE *out, const struct port_explanation *e, unsigned columns)
{
	const char *label = "try";

	if (e->who[0])
		explain_wrap(out, "who", e->who, columns);
	if (e->why[0])
		explain_wrap(out, "why", e->why, columns);
	for (size_t i = 0; i < COUNT_OF(e->try_); i++) {
		if (!e->try_[i][0])
			continue;
		explain_wrap(out, label, e->try_[i], columns);
		label = "";
	}
}

/* Stable names of the rules, as docs/linux-bind.md numbers them. */
static const char *rule_name(enum port_rule rule)
{
	static const char *const names[] = {
		[PORT_RULE_NONE] = "NONE",
		[PORT_RULE_ARGUMENT] = "ARGUMENT",
		[PORT_RULE_NOT_LOCAL] = "NOT_LOCAL",
		[PORT_RULE_PRIVILEGED] = "PRIVILEGED",
		[PORT_RULE_R1_OVERLAP] = "R1_OVERLAP",
		[PORT_RULE_R2_COLLAPSE] = "R2_COLLAPSE",
		[PORT_RULE_R4_SHARING] = "R4_SHARING",
		[PORT_RULE_R4_UID] = "R4_UID",
		[PORT_RULE_R5_LISTEN] = "R5_LISTEN",
		[PORT_RULE_R6_UDP] = "R6_UDP",
		[PORT_RULE_RANGE_FULL] = "RANGE_FULL",
		[PORT_RULE_TUPLE] = "TUPLE",
		[PORT_RULE_TABLE_FULL] = "TABLE_FULL",
		[PORT_RULE_POLICY] = "POLICY",
	};
	static_assert(COUNT_OF(names) == PORT_NRULES, "a new rule needs a name");

	return (unsigned)rule < PORT_NRULES && names[rule] ? names[rule] : "NONE";
}

json_t *explain_holder_json(const struct port_holder *h, const struct port_claim *c)
{
	json_t *age = h->age_us == NEVER_US ? json_null() : json_real((double)(h->age_us / 1000) / 1000.0);
	json_t *pid = h->pid > 0 ? json_integer(h->pid) : json_null();

	return json_pack("{s:o, s:o, s:o, s:o, s:I, s:o}", "program", cli_json_text(h->program), "pid", pid, "command",
			 cli_json_text(h->command), "user", cli_json_text(h->user), "uid", (json_int_t)c->uid, "age_s",
			 age);
}

json_t *explain_json(const struct port_explanation *e, const struct port_refusal *r, const struct port_holder *h,
		     uint16_t near)
{
	const char *err = e->err < 0 ? strerrorname_np(-e->err) : NULL;
	json_t *try_ = json_array();

	for (size_t i = 0; i < COUNT_OF(e->try_); i++)
		if (e->try_[i][0])
			json_array_append_new(try_, cli_json_text(e->try_[i]));
	return json_pack("{s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:o}", "reason",
			 (unsigned)e->reason < PORT_NREASONS ? port_reason_name[e->reason] : "OK", "rule",
			 rule_name(e->rule), "errno", err ? json_string(err) : json_null(), "what",
			 cli_json_text(e->what), "why", cli_json_text(e->why), "try", try_, "holder",
			 r->by_valid ? explain_holder_json(h, &r->by) : json_null(), "nearest_free",
			 near ? json_integer(near) : json_null());
}

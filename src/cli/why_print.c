/* src/cli/why_print.c: the machine's answer, for a person at night and for a program. */
#include <string.h>

#include "cli/why.h"

static void print_free(FILE *out, const struct why *w, const char *endpoint)
{
	char port[16];

	fprintf(out, "%s is free on the machine: a bind%s to %s %s\n", cli_port(w->q.want.port, w->q.want.proto, port),
		w->q.listen ? " and listen" : "", endpoint, w->a.proved ? "works (tried)" : "would work");
}

static void print_refused(FILE *out, const struct why *w, const char *endpoint, unsigned columns)
{
	const char *name = strerrorname_np(-w->a.refusal.err);
	struct port_explanation rest = w->x;

	fprintf(out, "%s\n", w->x.what);
	fprintf(out, "  a bind%s to %s on the machine %s fail: %s%s\n", w->q.listen ? " and listen" : "", endpoint,
		w->a.certain ? "would" : "would most likely", name ? name : "error",
		w->a.certain ? "" : " (it depends on options that cannot be seen)");
	if (w->x.who[0])
		explain_wrap(out, "who", w->x.who, columns);
	if (w->is[0])
		explain_wrap(out, "is", w->is, columns);
	if (w->unit[0])
		explain_wrap(out, "unit", w->unit, columns);
	rest.who[0] = '\0';
	memset(rest.try_, 0, sizeof(rest.try_));
	explain_lines(out, &rest, columns);
	if (w->ends[0])
		explain_wrap(out, "ends", w->ends, columns);
	memcpy(rest.try_, w->x.try_, sizeof(rest.try_));
	rest.why[0] = '\0';
	explain_lines(out, &rest, columns);
}

void why_print(FILE *out, struct cli *cli, struct why *w)
{
	char endpoint[PORT_ENDPOINT_STR_MAX], note[MACHINE_NOTE_MAX];
	unsigned columns = explain_columns(out), at = 0;

	port_endpoint_print(&w->q.want.addr, w->q.want.port, endpoint);
	if (w->a.refusal.err == 0)
		print_free(out, w, endpoint);
	else
		print_refused(out, w, endpoint, columns);
	for (size_t i = 0; i < w->n_notes; i++) {
		explain_wrap(out, "note", w->notes[i].text, columns);
		if (w->notes[i].fix[0])
			explain_wrap(out, "", w->notes[i].fix, columns);
	}
	while (machine_note(&w->m, w->any_unseen, &at, note))
		cli_warn(cli, "%s", note);
}

/* --- JSON --- */

static json_t *notes_json(const struct why *w)
{
	json_t *list = json_array();

	for (size_t i = 0; i < w->n_notes; i++)
		json_array_append_new(list,
				      json_pack("{s:s, s:o, s:o}", "code", w->notes[i].code, "text",
						cli_json_text(w->notes[i].text), "fix",
						w->notes[i].fix[0] ? cli_json_text(w->notes[i].fix) : json_null()));
	return list;
}

static json_t *text_or_null(const char *s)
{
	return s[0] ? cli_json_text(s) : json_null();
}

static json_t *ends_in(const struct why *w)
{
	const struct host_bind_row *r = w->a.row;

	if (!r || r->claim.expires_us == NEVER_US)
		return json_null();
	return json_real((double)((r->claim.expires_us - w->m.now_us) / 1000) / 1000.0);
}

json_t *why_json(struct why *w)
{
	struct port_refusal r = w->a.refusal;
	char endpoint[PORT_ENDPOINT_STR_MAX];
	const struct host_bind_row *row = w->a.row;
	json_t *j;

	r.by_valid = row != NULL;
	j = explain_json(&w->x, &r, &w->holder, w->near);
	json_object_set_new(j, "world", json_string("machine"));
	json_object_set_new(j, "port", json_integer(w->q.want.port));
	json_object_set_new(j, "proto", json_string(port_proto_name[w->q.want.proto]));
	json_object_set_new(j, "address", json_string(port_addr_print(&w->q.want.addr, endpoint)));
	json_object_set_new(j, "free", json_boolean(r.err == 0));
	json_object_set_new(j, "certain", json_boolean(w->a.certain));
	json_object_set_new(j, "proved", json_boolean(w->a.proved));
	json_object_set_new(j, "how", row ? json_string(host_how_name[row->how]) : json_null());
	json_object_set_new(j, "is", text_or_null(w->is));
	json_object_set_new(j, "unit", text_or_null(w->unit));
	json_object_set_new(j, "ends", text_or_null(w->ends));
	json_object_set_new(j, "ends_in_s", ends_in(w));
	json_object_set_new(j, "held_at",
			    row ? json_string(port_endpoint_print(&row->claim.addr, row->claim.port, endpoint))
				: json_null());
	json_object_set_new(j, "notes", notes_json(w));
	return j;
}

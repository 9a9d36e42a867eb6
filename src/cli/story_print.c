/* src/cli/story_print.c: a holder on one screen, and as JSON. */
#include <stdarg.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/explain.h"
#include "cli/story.h"

enum { LINE_TEXT_MAX = 1280, OPTIONS_TEXT_MAX = 160 };

static void line(const char *label, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void line(const char *label, const char *fmt, ...)
{
	char text[LINE_TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	explain_wrap_at(stdout, label, 11, text, explain_columns(stdout));
}

char *story_parents(const struct story *s, char *text, size_t room)
{
	size_t at = 0;

	text[0] = '\0';
	for (size_t i = 0; i < s->n_parents && at < room - 80; i++)
		at += (size_t)snprintf(text + at, room - at, "%s%s (%d)", i ? ", " : "", s->parents[i].comm,
				       s->parents[i].pid);
	return cli_clean(text);
}

static char *when(uint64_t unix_s, char s[40])
{
	time_t t = (time_t)unix_s;
	struct tm tm;

	s[0] = '\0';
	if (unix_s && localtime_r(&t, &tm))
		strftime(s, 40, "%Y-%m-%d %H:%M:%S", &tm);
	return s;
}

static void print_headline(struct cli *cli, const struct story *s)
{
	const struct row *row = &s->door.row;

	cli_say(cli, "%u/%s%s%s%s on the machine is held by ", row->claim.port, s->door.proto,
		row->service[0] ? " (" : "", row->service, row->service[0] ? ")" : "");
	if (row->holder.pid <= 0) {
		cli_say(cli, "%s\n", s->what);
		return;
	}
	cli_say(cli, "%s (pid %d)", row->holder.program[0] ? row->holder.program : "a program", row->holder.pid);
	if (s->has_process)
		cli_say(cli, " of user %s", proc_user(s->process.euid, (char[32]){0}));
	else
		cli_say(cli, ", which has just ended");
	cli_say(cli, "\n");
}

static void print_doors(struct doors *d, const struct story *s)
{
	struct door door;
	char e[ROWS_ADDRESS_MAX];

	for (size_t i = 0; i < s->n_doors && i < STORY_DOORS_MAX; i++) {
		const struct host_socket *k;

		doors_get(d, s->doors[i], &door);
		k = door.socket;
		rows_address(&door.row.claim, e);
		if (k->state == HOST_LISTEN && !(k->have & HOST_HAS_BACKLOG))
			line(i ? "" : "address",
			     "%s, listening; %u callers wait to be accepted, how many may is not told", e, k->rqueue);
		else if (k->state == HOST_LISTEN)
			line(i ? "" : "address", "%s, listening; %u of at most %u callers wait to be accepted%s", e,
			     k->rqueue, k->wqueue, k->rqueue > k->wqueue ? ": the queue is full" : "");
		else if (door.row.claim.proto == PORT_TCP)
			line(i ? "" : "address", "%s, bound and not listening: callers are refused", e);
		else
			line(i ? "" : "address", "%s, bound%s", e, k->rqueue ? "; datagrams wait to be read" : "");
	}
	if (s->n_doors == 0)
		line("address", "%s, %s", rows_address(&s->door.row.claim, e), s->door.state);
	if (s->n_doors > STORY_DOORS_MAX)
		line("", "and %zu more sockets", s->n_doors - STORY_DOORS_MAX);
}

static void print_program(struct doors *d, const struct story *s)
{
	const struct row *row = &s->door.row;
	char text[1024], others[400] = "", age[24], start[40];
	size_t at = 0;

	if (row->holder.pid <= 0)
		return;
	if (s->what[0])
		line("what", "%s", s->what);
	if (s->has_process && host_process_command(&s->process, text, sizeof(text))[0])
		line("command", "%s", cli_clean(text));
	if (s->has_process)
		line("started", "%s (%s ago)", when(s->started_unix_s, start), port_age_print(s->process.age_us, age));
	if (s->has_process && s->process.cwd[0]) {
		snprintf(text, sizeof(text), "%.500s", s->process.cwd);
		line("folder", "%s%s", cli_clean(text), s->process.is_cwd_deleted ? " (removed since)" : "");
	}
	if (s->has_process && s->process.is_exe_deleted)
		line("program", "its file was replaced or removed since it was started");
	if (s->door.container[0])
		line("unit", "%s", s->door.container);
	else if (s->door.unit[0])
		line("unit", "%s%s", s->door.unit,
		     s->door.place.manager == HOST_MANAGER_USER ? " (the user's own systemd)" : "");
	if (s->n_parents)
		line("parents", "%s", story_parents(s, text, sizeof(text)));
	for (uint32_t i = 1; i < row->n_pids && i < PROC_PIDS_MAX && at < sizeof(others) - 64; i++) {
		const struct machine_process *p = machine_process(&d->machine, row->pids[i]);

		at += (size_t)snprintf(others + at, sizeof(others) - at, "%s%s (pid %d)", i > 1 ? ", " : "",
				       p && p->program[0] ? p->program : "?", row->pids[i]);
	}
	if (row->n_pids > 1)
		line("shared", "with %s%s: the same socket is open there, too", others,
		     row->n_pids > PROC_PIDS_MAX ? " and more" : "");
}

static char *options_of(const struct host_flags *f, char s[OPTIONS_TEXT_MAX])
{
	snprintf(s, OPTIONS_TEXT_MAX, "%s%s%s%s%s%s%s%s", f->reuseaddr ? " SO_REUSEADDR" : "",
		 f->reuseport ? " SO_REUSEPORT" : "", f->v6only ? " IPV6_V6ONLY" : "",
		 f->freebind ? " IP_FREEBIND" : "", f->transparent ? " IP_TRANSPARENT" : "",
		 f->keepalive ? " SO_KEEPALIVE" : "", f->nodelay ? " TCP_NODELAY" : "",
		 f->fastopen ? " TCP_FASTOPEN" : "");
	return s[0] ? s + 1 : strcpy(s, "none");
}

/* What binds told. "" when they told nothing. */
static char *tried_of(enum story_tried reuseaddr, enum story_tried reuseport, char s[OPTIONS_TEXT_MAX])
{
	static const char *const says[][3] = {{"", "no SO_REUSEADDR", "SO_REUSEADDR"},
					      {"", "no SO_REUSEPORT", "SO_REUSEPORT"}};
	const char *a = says[0][reuseaddr], *b = says[1][reuseport];

	snprintf(s, OPTIONS_TEXT_MAX, *a || *b ? "%s%s%s (found by binds beside it); others not known" : "%s%s%s", a,
		 *a && *b ? ", " : "", b);
	return s;
}

static char *options_of_door(const struct story *s, size_t i, char text[OPTIONS_TEXT_MAX])
{
	if (s->flags[i].known)
		return options_of(&s->flags[i].f, text);
	if (!*tried_of(s->flags[i].reuseaddr, s->flags[i].reuseport, text))
		snprintf(text, OPTIONS_TEXT_MAX, "not known");
	return text;
}

/* One line when all its doors have the same. Of who was not seen: if there is anything to say. */
static void print_options(struct doors *d, const struct story *s)
{
	char text[OPTIONS_TEXT_MAX], other[OPTIONS_TEXT_MAX], address[ROWS_ADDRESS_MAX];
	size_t n = s->n_doors < STORY_DOORS_MAX ? s->n_doors : STORY_DOORS_MAX;
	const char *hint = geteuid() == 0 ? "" : "; root could read them";
	bool same = true, any = s->door.row.holder.pid > 0;
	struct door door;

	for (size_t i = 0; i < n; i++) {
		same &= strcmp(options_of_door(s, 0, text), options_of_door(s, i, other)) == 0;
		any |= s->flags[i].known || s->flags[i].reuseaddr || s->flags[i].reuseport;
	}
	if (any && same)
		line("options", "%s%s", options_of_door(s, 0, text), s->flags[0].known ? "" : hint);
	for (size_t i = 0; i < n && any && !same; i++) {
		doors_get(d, s->doors[i], &door);
		line(i ? "" : "options", "%s on %s", options_of_door(s, i, text),
		     rows_address(&door.row.claim, address));
	}
}

static void print_connections(const struct story *s)
{
	char text[512], a[PORT_ADDR_STR_MAX];
	size_t at;
	bool first = true;

	if (s->n_connections == 0)
		return;
	at = (size_t)snprintf(text, sizeof(text), "%u connection%s: ", s->n_connections,
			      s->n_connections == 1 ? "" : "s");
	for (size_t i = 1; i < HOST_NSTATES; i++)
		if (s->n_state[i]) {
			at += (size_t)snprintf(text + at, sizeof(text) - at, "%s%u %s", first ? "" : ", ",
					       s->n_state[i], host_state_name[i]);
			first = false;
			if (i == HOST_TIME_WAIT && at < sizeof(text))
				at += (size_t)snprintf(text + at, sizeof(text) - at, " (the last ends in %u s)",
						       (unsigned)((s->ends_in_ms + 999) / 1000));
		}
	for (size_t i = 0; i < STORY_PEERS_MAX && s->peers[i].n && at < sizeof(text); i++)
		at += (size_t)snprintf(text + at, sizeof(text) - at, "%s%s (%u)", i ? ", " : "; with ",
				       port_addr_print(&s->peers[i].addr, a), s->peers[i].n);
	line("talks", "%s", text);
}

void story_print(struct cli *cli, struct doors *d, const struct story *s)
{
	print_headline(cli, s);
	print_doors(d, s);
	print_program(d, s);
	if (s->door.row.holder.pid <= 0 && (s->door.unit[0] || s->door.container[0]))
		line("unit", "%s", s->door.container[0] ? s->door.container : s->door.unit);
	print_options(d, s);
	print_connections(s);
	if (s->is_split)
		line("split", "the other family's half of this number is another program's: 'localhost' may be either");
	if (s->shares_address)
		line("group", "another program has the same address: callers are spread over both, or the last to bind "
			      "gets the datagrams");
	if (s->stop[0])
		line("stop", "%s", s->stop);
}

/* --- JSON --- */

/* known NULL: what binds told. */
static void put_option(struct json_out *o, const char *key, const bool *known, enum story_tried tried)
{
	json_out_key(o, key);
	if (known)
		json_out_bool(o, *known);
	else if (tried == STORY_TRIED_NOTHING)
		json_out_null(o);
	else
		json_out_bool(o, tried == STORY_TRIED_YES);
}

static void put_options(struct json_out *o, const struct story *s, size_t row)
{
	size_t i = 0, n = !s ? 0 : s->n_doors < STORY_DOORS_MAX ? s->n_doors : STORY_DOORS_MAX;
	const struct host_flags *f;

	while (i < n && s->doors[i] != row)
		i++;
	json_out_key(o, "options");
	if (i == n || !(s->flags[i].known || s->flags[i].reuseaddr || s->flags[i].reuseport)) {
		json_out_null(o);
		return;
	}
	f = s->flags[i].known ? &s->flags[i].f : NULL;
	json_out_begin(o, '{');
	put_option(o, "reuseaddr", f ? &f->reuseaddr : NULL, s->flags[i].reuseaddr);
	put_option(o, "reuseport", f ? &f->reuseport : NULL, s->flags[i].reuseport);
	put_option(o, "v6only", f ? &f->v6only : NULL, STORY_TRIED_NOTHING);
	put_option(o, "freebind", f ? &f->freebind : NULL, STORY_TRIED_NOTHING);
	put_option(o, "transparent", f ? &f->transparent : NULL, STORY_TRIED_NOTHING);
	put_option(o, "keepalive", f ? &f->keepalive : NULL, STORY_TRIED_NOTHING);
	put_option(o, "nodelay", f ? &f->nodelay : NULL, STORY_TRIED_NOTHING);
	json_out_end(o);
}

void story_put(struct json_out *o, const struct story *s, size_t i, const char *stop)
{
	json_out_key(o, "started_unix_s");
	if (s && s->started_unix_s)
		json_out_number(o, s->started_unix_s);
	else
		json_out_null(o);
	json_out_key(o, "folder");
	json_out_text_or_null(o, s && s->has_process ? s->process.cwd : NULL);
	json_out_key(o, "parents");
	json_out_begin(o, '[');
	for (size_t k = 0; s && k < s->n_parents; k++) {
		json_out_begin(o, '{');
		json_out_key(o, "pid");
		json_out_number(o, (uint64_t)s->parents[k].pid);
		json_out_key(o, "program");
		json_out_text(o, s->parents[k].comm);
		json_out_end(o);
	}
	json_out_end(o);
	put_options(o, s, i);
	json_out_key(o, "what");
	json_out_text_or_null(o, s ? s->what : NULL);
	json_out_key(o, "socket_unit");
	json_out_text_or_null(o, s ? s->socket_unit : NULL);
	json_out_key(o, "stop");
	json_out_text_or_null(o, s ? s->stop : stop);
}

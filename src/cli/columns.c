/* src/cli/columns.c: what can be told of a door, as a table of columns; each as a cell for people, a JSON value, and a
 * number or text to sort by. Their names stay: they are the keys of docs/json.md. What is shown only when it is named: columns_info.c.
 */
#include "cli/columns.h"

#include <stdlib.h>
#include <string.h>

/* --- cells --- */

static void say(char *s, const char *text)
{
	size_t n = text ? strlen(text) : 0;

	if (n == 0) {
		text = "-";
		n = 1;
	} else if (n > COLUMN_CELL_MAX - 1) {
		n = COLUMN_CELL_MAX - 1;
	}
	memcpy(s, text, n);
	s[n] = '\0';
}

static void say_number(char *s, uint64_t v)
{
	char digits[24], *p = digits + sizeof(digits) - 1;
	size_t n;

	*p = '\0';
	do
		*--p = (char)('0' + v % 10);
	while ((v /= 10) != 0);
	n = (size_t)(digits + sizeof(digits) - p);
	memcpy(s, p, n);
}

static void cell_port(const struct door *d, char *s)
{
	say_number(s, d->row.claim.port);
}

static void cell_service(const struct door *d, char *s)
{
	say(s, d->row.service);
}

static void cell_proto(const struct door *d, char *s)
{
	say(s, d->proto);
}

static void cell_addresses(const struct door *d, char *s)
{
	char a[PORT_ADDR_STR_MAX];
	size_t n;

	rows_address(&d->row.claim, s);
	if (!d->has_other)
		return;
	n = strlen(s);
	snprintf(s + n, COLUMN_CELL_MAX - n, " [%s]", port_addr_print(&d->other, a));
}

static void cell_state(const struct door *d, char *s)
{
	if (d->split)
		snprintf(s, COLUMN_CELL_MAX, "SPLIT IPv%d", d->split);
	else
		say(s, d->state);
}

static void cell_delivery(const struct door *d, char *s)
{
	say(s, d->is_machine ? NULL : rows_delivery(&d->row.claim));
}

static void cell_peer(const struct door *d, char *s)
{
	char e[PORT_ENDPOINT_STR_MAX];

	say(s, d->row.claim.peer_port ? port_endpoint_print(&d->row.claim.peer, d->row.claim.peer_port, e) : NULL);
}

static void cell_host(const struct door *d, char *s)
{
	if (d->is_machine)
		say(s, "machine");
	else if (strcmp(d->network, "default") == 0 || !*d->network)
		say(s, d->row.host);
	else
		snprintf(s, COLUMN_CELL_MAX, "%s/%s", d->network, d->row.host);
}

static void cell_program(const struct door *d, char *s)
{
	say(s, d->row.holder.program);
}

static void cell_pid(const struct door *d, char *s)
{
	if (d->row.holder.pid > 0)
		snprintf(s, COLUMN_CELL_MAX, d->n_more ? "%d+%u" : "%d", d->row.holder.pid, d->n_more);
	else
		say(s, NULL);
}

static void cell_pids(const struct door *d, char *s)
{
	size_t at = 0;

	say(s, NULL);
	for (uint32_t i = 0; i < d->row.n_pids && i < PROC_PIDS_MAX; i++)
		at += (size_t)snprintf(s + at, COLUMN_CELL_MAX - at, i ? ",%d" : "%d", d->row.pids[i]);
}

static void cell_command(const struct door *d, char *s)
{
	say(s, d->row.holder.command);
}

static void cell_user(const struct door *d, char *s)
{
	say(s, d->row.holder.user);
}

static void cell_uid(const struct door *d, char *s)
{
	if (d->has_uid)
		say_number(s, d->row.claim.uid);
	else
		say(s, NULL);
}

static void cell_age(const struct door *d, char *s)
{
	char age[24];

	say(s, d->row.holder.age_us == NEVER_US ? NULL : port_age_print(d->row.holder.age_us, age));
}

static int flag(const struct door *d, uint16_t f)
{
	if (!d->is_machine || (f == PORT_V6ONLY && d->socket && d->socket->have & HOST_HAS_V6ONLY))
		return (d->row.claim.flags & f) != 0;
	return -1; /* not known */
}

static void say_flag(char *s, int known)
{
	say(s, known < 0 ? NULL : known ? "yes" : "no");
}

static void cell_reuseaddr(const struct door *d, char *s)
{
	say_flag(s, flag(d, PORT_REUSEADDR));
}

static void cell_reuseport(const struct door *d, char *s)
{
	say_flag(s, flag(d, PORT_REUSEPORT));
}

static void cell_v6only(const struct door *d, char *s)
{
	say_flag(s, flag(d, PORT_V6ONLY));
}

static void cell_world(const struct door *d, char *s)
{
	say(s, d->is_machine ? "machine" : "network");
}

static void cell_network(const struct door *d, char *s)
{
	say(s, d->network);
}

static void cell_family(const struct door *d, char *s)
{
	say_number(s, d->row.claim.family);
}

static const char *holder_of(const struct door *d)
{
	static const char *const names[] = {
		[HOST_HELD_BY_PROCESS] = "process", [HOST_HELD_TIME_WAIT] = "time-wait",
		[HOST_HELD_ORPHAN] = "orphan",	    [HOST_HELD_UNACCEPTED] = "unaccepted",
		[HOST_HELD_UNSEEN] = "unseen",	    [HOST_HELD_NOBODY] = "kernel",
	};

	return names[d->held];
}

static void cell_holder(const struct door *d, char *s)
{
	say(s, holder_of(d));
}

static void cell_split(const struct door *d, char *s)
{
	say(s, d->split ? "yes" : "no");
}

static void cell_unit(const struct door *d, char *s)
{
	say(s, d->container[0] ? d->container : d->unit);
}

static void cell_container(const struct door *d, char *s)
{
	say(s, d->container);
}

/* --- of the machine's sockets alone --- */

static bool has_queues(const struct door *d)
{
	return d->socket && d->socket->have & HOST_HAS_QUEUES;
}

static void say_if(char *s, bool known, uint64_t v)
{
	if (known)
		say_number(s, v);
	else
		say(s, NULL);
}

static uint64_t number_received(const struct door *d)
{
	return has_queues(d) ? d->socket->rqueue : 0;
}

static bool has_sent(const struct door *d)
{
	return has_queues(d) && (d->socket->state != HOST_LISTEN || d->socket->have & HOST_HAS_BACKLOG);
}

static uint64_t number_sent(const struct door *d)
{
	return has_sent(d) ? d->socket->wqueue : 0;
}

static void cell_received(const struct door *d, char *s)
{
	say_if(s, has_queues(d), number_received(d));
}

static void cell_sent(const struct door *d, char *s)
{
	say_if(s, has_sent(d), number_sent(d));
}

static uint64_t number_inode(const struct door *d)
{
	return d->row.claim.owner.inode;
}

static void cell_inode(const struct door *d, char *s)
{
	say_if(s, number_inode(d) != 0, number_inode(d));
}

static uint64_t number_cookie(const struct door *d)
{
	return d->row.claim.owner.cookie;
}

static void cell_cookie(const struct door *d, char *s)
{
	say_if(s, number_cookie(d) != 0, number_cookie(d));
}

static uint64_t number_device(const struct door *d)
{
	return d->row.claim.dev;
}

static void cell_device(const struct door *d, char *s)
{
	say_if(s, d->row.claim.dev != 0, d->row.claim.dev);
}

static bool ends(const struct door *d)
{
	return d->socket && d->socket->state == HOST_TIME_WAIT;
}

static uint64_t number_ends(const struct door *d)
{
	return ends(d) ? d->socket->timer_ms : 0;
}

static void cell_ends(const struct door *d, char *s)
{
	if (ends(d))
		snprintf(s, COLUMN_CELL_MAX, "%u s", (d->socket->timer_ms + 999) / 1000);
	else
		say(s, NULL);
}

/* --- JSON --- */

static void json_port(const struct door *d, struct json_out *o)
{
	json_out_number(o, d->row.claim.port);
}

static void json_service(const struct door *d, struct json_out *o)
{
	json_out_text_or_null(o, d->row.service);
}

static void json_proto(const struct door *d, struct json_out *o)
{
	json_out_text(o, d->proto);
}

static void json_addresses(const struct door *d, struct json_out *o)
{
	char a[PORT_ADDR_STR_MAX];

	json_out_begin(o, '[');
	if (rows_is_dual(&d->row.claim))
		json_out_text(o, "0.0.0.0");
	json_out_text(o, port_addr_print(&d->row.claim.addr, a));
	json_out_end(o);
}

static void json_state(const struct door *d, struct json_out *o)
{
	json_out_text(o, d->state);
}

static void json_delivery(const struct door *d, struct json_out *o)
{
	json_out_text(o, d->is_machine ? NULL : rows_delivery(&d->row.claim));
}

static void json_peer(const struct door *d, struct json_out *o)
{
	char e[PORT_ENDPOINT_STR_MAX];

	json_out_text(o, d->row.claim.peer_port ? port_endpoint_print(&d->row.claim.peer, d->row.claim.peer_port, e)
						: NULL);
}

static void json_host(const struct door *d, struct json_out *o)
{
	json_out_text_or_null(o, d->row.host);
}

static void json_program(const struct door *d, struct json_out *o)
{
	json_out_text(o, d->held == HOST_HELD_BY_PROCESS || !d->is_machine ? d->row.holder.program : NULL);
}

static void json_pid(const struct door *d, struct json_out *o)
{
	if (d->row.holder.pid > 0)
		json_out_number(o, (uint64_t)d->row.holder.pid);
	else
		json_out_null(o);
}

static void json_pids(const struct door *d, struct json_out *o)
{
	json_out_begin(o, '[');
	for (uint32_t i = 0; i < d->row.n_pids && i < PROC_PIDS_MAX; i++)
		json_out_number(o, (uint64_t)d->row.pids[i]);
	json_out_end(o);
}

static void json_command(const struct door *d, struct json_out *o)
{
	json_out_text(o, d->is_machine && d->row.holder.pid == 0 ? NULL : d->row.holder.command);
}

static void json_user(const struct door *d, struct json_out *o)
{
	json_out_text_or_null(o, d->row.holder.user);
}

static void json_uid(const struct door *d, struct json_out *o)
{
	if (d->has_uid)
		json_out_number(o, d->row.claim.uid);
	else
		json_out_null(o);
}

/* Since it was bound, which the kernel does not tell of the machine's own. */
static void json_age(const struct door *d, struct json_out *o)
{
	if (d->is_machine || d->row.holder.age_us == NEVER_US)
		json_out_null(o);
	else
		json_out_seconds(o, d->row.holder.age_us);
}

static void json_process_age(const struct door *d, struct json_out *o)
{
	if (!d->is_machine || d->row.holder.age_us == NEVER_US)
		json_out_null(o);
	else
		json_out_seconds(o, d->row.holder.age_us);
}

static void cell_process_age(const struct door *d, char *s)
{
	if (d->is_machine)
		cell_age(d, s);
	else
		say(s, NULL);
}

static void put_flag(struct json_out *o, int known)
{
	if (known < 0)
		json_out_null(o);
	else
		json_out_bool(o, known);
}

static void json_reuseaddr(const struct door *d, struct json_out *o)
{
	put_flag(o, flag(d, PORT_REUSEADDR));
}

static void json_reuseport(const struct door *d, struct json_out *o)
{
	put_flag(o, flag(d, PORT_REUSEPORT));
}

static void json_v6only(const struct door *d, struct json_out *o)
{
	put_flag(o, flag(d, PORT_V6ONLY));
}

static void json_world(const struct door *d, struct json_out *o)
{
	json_out_text(o, d->is_machine ? "machine" : "network");
}

static void json_network(const struct door *d, struct json_out *o)
{
	json_out_text_or_null(o, d->network);
}

static void json_family(const struct door *d, struct json_out *o)
{
	json_out_number(o, d->row.claim.family);
}

static void json_holder(const struct door *d, struct json_out *o)
{
	json_out_text(o, holder_of(d));
}

static void json_split(const struct door *d, struct json_out *o)
{
	json_out_bool(o, d->split);
}

static void json_unit(const struct door *d, struct json_out *o)
{
	json_out_text_or_null(o, d->unit);
}

static void json_container(const struct door *d, struct json_out *o)
{
	json_out_text_or_null(o, d->container);
}

static void number_if(struct json_out *o, bool known, uint64_t v)
{
	if (known)
		json_out_number(o, v);
	else
		json_out_null(o);
}

static void json_received(const struct door *d, struct json_out *o)
{
	number_if(o, has_queues(d), number_received(d));
}

static void json_sent(const struct door *d, struct json_out *o)
{
	number_if(o, has_sent(d), number_sent(d));
}

static void json_inode(const struct door *d, struct json_out *o)
{
	number_if(o, number_inode(d) != 0, number_inode(d));
}

static void json_cookie(const struct door *d, struct json_out *o)
{
	number_if(o, number_cookie(d) != 0, number_cookie(d));
}

static void json_device(const struct door *d, struct json_out *o)
{
	number_if(o, d->row.claim.dev != 0, d->row.claim.dev);
}

static void json_ends(const struct door *d, struct json_out *o)
{
	if (ends(d))
		json_out_seconds(o, number_ends(d) * 1000);
	else
		json_out_null(o);
}

static void cell_leads_to(const struct door *d, char *s)
{
	say(s, d->leads_to);
}

static void json_leads_to(const struct door *d, struct json_out *o)
{
	json_out_text_or_null(o, d->leads_to);
}

/* --- numbers to sort by --- */

static uint64_t number_port(const struct door *d)
{
	return d->row.claim.port;
}

static uint64_t number_pid(const struct door *d)
{
	return d->row.holder.pid > 0 ? (uint64_t)d->row.holder.pid : 0;
}

static uint64_t number_uid(const struct door *d)
{
	return d->has_uid ? d->row.claim.uid : UINT64_MAX;
}

static uint64_t number_age(const struct door *d)
{
	return d->row.holder.age_us;
}

static uint64_t number_family(const struct door *d)
{
	return d->row.claim.family;
}

#define TEXT(column) false, cell_##column, json_##column, NULL
#define NUMBER(column) true, cell_##column, json_##column, number_##column

const struct column columns_all[] = {
	{"port", NULL, "PORT", true, 0, 0, NUMBER(port)},
	{"service", "name", "NAME", false, 3, 6, TEXT(service)},
	{"proto", "protocol", "PROTO", false, 0, 0, TEXT(proto)},
	{"addresses", "address", "ADDRESS", false, 1, 9, TEXT(addresses)},
	{"state", NULL, "STATE", false, 4, 0, TEXT(state)},
	{"delivery", NULL, "DELIVERY", false, 6, 0, TEXT(delivery)},
	{"peer", NULL, "PEER", false, 1, 9, TEXT(peer)},
	{"host", NULL, "HOST", false, 0, 0, TEXT(host)},
	{"program", NULL, "PROGRAM", false, 0, 7, TEXT(program)},
	{"pid", NULL, "PID", true, 2, 0, NUMBER(pid)},
	{"pids", NULL, "PIDS", false, 2, 8, TEXT(pids)},
	{"command", NULL, "COMMAND", false, 8, 24, TEXT(command)},
	{"user", NULL, "USER", false, 5, 0, TEXT(user)},
	{"uid", NULL, "UID", true, 5, 0, NUMBER(uid)},
	{"age_s", "age", "AGE", true, 6, 0, true, cell_age, json_age, number_age},
	{"reuseaddr", NULL, "REUSEADDR", false, 6, 0, TEXT(reuseaddr)},
	{"reuseport", NULL, "REUSEPORT", false, 6, 0, TEXT(reuseport)},
	{"v6only", NULL, "V6ONLY", false, 6, 0, TEXT(v6only)},
	{"world", NULL, "WORLD", false, 5, 0, TEXT(world)},
	{"network", NULL, "NETWORK", false, 2, 0, TEXT(network)},
	{"family", NULL, "FAMILY", true, 5, 0, NUMBER(family)},
	{"holder", NULL, "HOLDER", false, 5, 0, TEXT(holder)},
	{"split", NULL, "SPLIT", false, 5, 0, TEXT(split)},
	{"unit", NULL, "UNIT", false, 7, 8, TEXT(unit)},
	{"container", NULL, "CONTAINER", false, 7, 12, TEXT(container)},
	{"leads_to", NULL, "LEADS TO", false, 7, 12, TEXT(leads_to)},
	{"process_age_s", "process_age", "RUNS", true, 6, 0, true, cell_process_age, json_process_age, number_age},
	{"receive_queue", "recv-q", "RECV-Q", true, 6, 0, NUMBER(received)},
	{"send_queue", "send-q", "SEND-Q", true, 6, 0, NUMBER(sent)},
	{"ends_in_s", "ends", "ENDS IN", true, 6, 0, NUMBER(ends)},
	{"interface", "device", "INTERFACE", true, 6, 0, NUMBER(device)},
	{"inode", NULL, "INODE", true, 6, 0, NUMBER(inode)},
	{"cookie", NULL, "COOKIE", true, 6, 0, NUMBER(cookie)},
};
const size_t columns_n = COUNT_OF(columns_all);
static_assert(COUNT_OF(columns_all) <= COLUMNS_MAX - COLUMNS_INFO_MAX, "room for all");

/* --- lists of them --- */

static bool is_called(const struct column *c, const char *name)
{
	return strcmp(c->name, name) == 0 || (c->alias && strcmp(c->alias, name) == 0);
}

const struct column *column_find(const char *name)
{
	for (size_t i = 0; i < columns_n; i++)
		if (is_called(&columns_all[i], name))
			return &columns_all[i];
	for (size_t i = 0; i < columns_info_n; i++)
		if (is_called(&columns_info[i], name))
			return &columns_info[i];
	return NULL;
}

bool columns_ask_more(const struct columns *c)
{
	for (size_t i = 0; i < c->n; i++)
		if (c->c[i]->group)
			return true;
	return false;
}

static int no_such_column(struct cli *cli, const char *option, const char *typed)
{
	const char *names[COLUMNS_MAX + COLUMNS_INFO_MAX], *near, *group = "";
	char shown[64], all[512] = "";
	size_t n = 0, at = 0;

	for (size_t i = 0; i < columns_n; i++) {
		names[n++] = columns_all[i].name;
		at += (size_t)snprintf(all + at, sizeof(all) - at, "%s, ", columns_all[i].name);
	}
	for (size_t i = 0; i < columns_info_n; i++) {
		names[n++] = columns_info[i].name;
		if (strcmp(columns_info[i].group, group) == 0)
			continue;
		names[n++] = group = columns_info[i].group;
		at += (size_t)snprintf(all + at, sizeof(all) - at, "%s, ", group);
	}
	near = cli_nearest(typed, names, n, sizeof(names[0]));
	snprintf(shown, sizeof(shown), "%s", typed);
	cli_clean(shown);
	if (near)
		return cli_usage(cli, "%s: there is no column '%s'; did you mean '%s'?", option, shown, near);
	return cli_usage(cli, "%s: there is no column '%s'; there are %sand those of docs/json.md", option, shown, all);
}

/* One more. Return: 0; an exit code, said. */
static int add(struct cli *cli, const char *option, const struct column *c, bool down, struct columns *ret,
	       bool *ret_down)
{
	for (size_t i = 0; i < ret->n; i++)
		if (ret->c[i] == c)
			return cli_usage(cli, "%s: '%s' is there twice", option, c->name);
	if (ret_down)
		ret_down[ret->n] = down;
	ret->c[ret->n++] = c;
	return 0;
}

/* All of a group. False: it is none. */
static bool add_group(struct cli *cli, const char *option, const char *name, bool down, struct columns *ret,
		      bool *ret_down, int *ret_r)
{
	bool any = false;

	for (size_t i = 0; i < columns_info_n && *ret_r == 0; i++)
		if (strcmp(columns_info[i].group, name) == 0) {
			any = true;
			*ret_r = add(cli, option, &columns_info[i], down, ret, ret_down);
		}
	return any;
}

int columns_parse(struct cli *cli, const char *option, const char *list, bool signs, struct columns *ret,
		  bool ret_down[COLUMNS_MAX])
{
	int r = 0;

	ret->n = 0;
	for (const char *p = list;; p++) {
		size_t len = strcspn(p, ",");
		const struct column *c;
		char name[64];
		bool down = signs && *p == '-';

		snprintf(name, sizeof(name), "%.*s", (int)(len - down), p + down);
		c = column_find(name);
		if (c)
			r = add(cli, option, c, down, ret, ret_down);
		else if (!add_group(cli, option, name, down, ret, ret_down, &r))
			r = no_such_column(cli, option, name);
		if (r != 0)
			return r;
		p += len;
		if (*p == '\0')
			return 0;
	}
}

void columns_by_name(struct columns *ret, const char *const *names)
{
	ret->n = 0;
	for (; *names; names++) {
		ret->c[ret->n] = column_find(*names);
		ASSERT(ret->c[ret->n]);
		ret->n++;
	}
}

void columns_put(struct json_out *o, const struct columns *c, const struct door *d)
{
	for (size_t i = 0; i < c->n; i++) {
		json_out_key(o, c->c[i]->name);
		c->c[i]->json(d, o);
	}
}

int columns_print_json(struct cli *cli, struct doors *d, const struct columns *c, bool lines)
{
	struct json_out *o = json_out_new(stdout, lines);
	struct door door;

	if (!o)
		return cli_fail(cli, 0, "no memory for the JSON");
	if (!lines)
		json_out_begin(o, '[');
	for (size_t i = 0; i < d->n; i++) {
		doors_get(d, i, &door);
		json_out_begin(o, '{');
		columns_put(o, c, &door);
		json_out_end(o);
	}
	if (!lines)
		json_out_end(o);
	json_out_free(o);
	return CLI_OK;
}

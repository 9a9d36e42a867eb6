/* src/cli/free_reserve.c: holding what was asked for, and saying why it cannot be.
 *
 * The library answers "fewer than n are free, this many". A person wants to know what became of the rest: which numbers
 * of the range nobody is given (privileged, reserved, blocked by browsers, somebody's by name), and who has the others.
 * So after a refusal the range is gone through once more, number by number; what changed meanwhile only makes the
 * words less exact, nothing is decided by them.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/free.h"
#include "cli/kernel_port.h"
#include "door/door.h"

#define LOOK_MAX 1024 /* numbers that are tried one by one, to name who has them */
#define NAMED_MAX 3
#define SPARE_FDS 64

const char *free_host(void)
{
	const char *dir = getenv("BERTH_NETWORK_DIR"), *host = getenv("BERTH_HOST");

	return dir && *dir && host && *host ? host : NULL;
}

/* The soft limit is 1,024 on many machines, for programs that use select(); we do not. */
static void allow_files(struct free_order *o)
{
	rlim_t need = SPARE_FDS + (rlim_t)o->n * 4;
	struct rlimit more;

	if (getrlimit(RLIMIT_NOFILE, &o->files) < 0)
		o->files = (struct rlimit){.rlim_cur = 1024, .rlim_max = 1024};
	if (o->files.rlim_cur >= need)
		return;
	more = o->files;
	more.rlim_cur = need < more.rlim_max ? need : more.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &more);
}

struct tally {
	unsigned places[DOOR_NPLACES], n_taken;
	char who[512]; /* of some that are taken */
};

static bool is_taken(const struct free_order *o, uint16_t port, enum port_proto *ret)
{
	static const unsigned flags[PORT_NPROTOS] = {[PORT_TCP] = BERTH_PORT_TCP, [PORT_UDP] = BERTH_PORT_UDP};

	for (unsigned i = 0; i < PORT_NPROTOS; i++) {
		int fd;

		if (!(o->flags & flags[i]))
			continue;
		fd = door_hold(i == PORT_UDP ? SOCK_DGRAM : SOCK_STREAM, port);
		if (fd < 0) {
			*ret = (enum port_proto)i;
			return true;
		}
		close(fd);
	}
	return false;
}

static void count(const struct free_order *o, struct tally *t)
{
	uint32_t last = o->range.last ? o->range.last : UINT16_MAX, size = last - o->range.first + 1;
	bool named = o->flags & BERTH_PORT_REGISTERED;
	struct port_addr any = port_addr_from4((const uint8_t[4]){0});
	struct door_settings s;
	unsigned n_said = 0;
	enum port_proto proto;

	*t = (struct tally){0};
	door_settings_read(&s);
	for (uint32_t p = o->range.first; p <= last; p++) {
		enum door_place place = door_place(&s, (uint16_t)p, named);
		char who[KERNEL_PORT_WHO_MAX], port[16];

		t->places[place]++;
		if (place >= DOOR_NGIVEN || size > LOOK_MAX || !is_taken(o, (uint16_t)p, &proto))
			continue;
		t->n_taken++;
		if (free_host() || n_said++ >= NAMED_MAX) /* in a network the berth run we are in explains */
			continue;
		kernel_port_who(&any, (uint16_t)p, proto, who);
		snprintf(t->who + strlen(t->who), sizeof(t->who) - strlen(t->who), "%s%s: %s", n_said > 1 ? "; " : "",
			 cli_port((uint16_t)p, proto, port), cli_clean(who));
	}
}

static const char *plural(unsigned n)
{
	return n == 1 ? "" : "s";
}

static const char *const words[DOOR_NPLACES] = {
	[DOOR_PRIVILEGED] = "privileged",
	[DOOR_RESERVED] = "reserved (net.ipv4.ip_local_reserved_ports)",
	[DOOR_BLOCKED] = "refused by browsers",
	[DOOR_NAMED] = "somebody's by name (--registered gives those, too)",
};

static int say_one(struct cli *cli, const struct free_order *o, const struct tally *t)
{
	for (unsigned i = DOOR_NGIVEN; i < DOOR_NPLACES; i++)
		if (t->places[i])
			return cli_fail(cli, 0, "port %u is given to nobody: it is %s", o->range.first, words[i]);
	return cli_fail(cli, 0, "port %u is taken%s%s%s", o->range.first, *t->who ? " (" : "", t->who,
			*t->who ? ")" : "");
}

static int say_shortage(struct cli *cli, const struct free_order *o, size_t n_free)
{
	char range[24] = "the machine", rest[1200] = "", sep[3] = ": ";
	struct tally t;
	size_t at = 0;

	count(o, &t);
	if (o->range.last && o->range.first == o->range.last)
		return say_one(cli, o, &t);
	if (o->range.last)
		snprintf(range, sizeof(range), "%u-%u", o->range.first, o->range.last);
	for (unsigned i = DOOR_NGIVEN; i < DOOR_NPLACES; i++)
		if (t.places[i]) {
			at += (size_t)snprintf(rest + at, sizeof(rest) - at, "%s%u %s %s", sep, t.places[i],
					       t.places[i] == 1 ? "is" : "are", words[i]);
			strcpy(sep, ", ");
		}
	if (t.n_taken)
		snprintf(rest + at, sizeof(rest) - at, "%s%u %s taken%s%s%s", sep, t.n_taken,
			 t.n_taken == 1 ? "is" : "are", *t.who ? " (" : "", t.who, *t.who ? ")" : "");
	if (o->flags & BERTH_PORT_CONSECUTIVE && n_free >= o->n)
		return cli_fail(cli, 0, "%s has %zu free ports, but no %u of them in a row%s", range, n_free, o->n,
				rest);
	return cli_fail(cli, 0, "%s has %zu free port%s, and %u %s asked for%s", range, n_free,
			plural((unsigned)n_free), o->n, o->n == 1 ? "was" : "were", rest);
}

int free_reserve(struct cli *cli, struct free_order *o)
{
	unsigned size = (unsigned)(o->range.last - o->range.first) + 1;
	struct rlimit now = {0};
	size_t n_free = 0;
	int r;

	if (o->range.last && o->n > size)
		return cli_usage(cli, "%u-%u has %u port%s, and %u were asked for", o->range.first, o->range.last, size,
				 plural(size), o->n);
	allow_files(o);
	o->ports = calloc(o->n, sizeof(*o->ports));
	if (!o->ports)
		return cli_fail(cli, -ENOMEM, "cannot hold %u ports", o->n);
	r = berth_port_reserve(o->flags, o->range.first, o->range.last, o->ports, o->n, &n_free);
	if (r == 0)
		return 0;
	free(o->ports);
	o->ports = NULL;
	if (r == -EADDRINUSE)
		return say_shortage(cli, o, n_free);
	if (r == -EMFILE && getrlimit(RLIMIT_NOFILE, &now) == 0)
		return cli_fail(cli, r, "%u port%s cannot be held by a process that may have %lu descriptors", o->n,
				plural(o->n), (unsigned long)now.rlim_cur);
	return cli_fail(cli, r, "cannot hold %u port%s", o->n, plural(o->n));
}

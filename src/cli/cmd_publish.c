/* src/cli/cmd_publish.c: `berth publish` and `berth unpublish`: a port of the machine that leads to a host's, by hand.
 *
 * What `berth run -p` does as it starts a program, for a host whose programs run already. The publisher that is
 * started here ends with the host's last program; so there must be one.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "cli/published.h"
#include "cli/publisher.h"
#include "cli/worlds.h"
#include "network/raw.h"

#define END_S 5
#define SPEC_MAX 256

/* --- publish --- */

/* [ADDR:]OUTER and the host's ports, as one text of the form that -p has. */
static int read_spec(struct cli *cli, const char *outer, const struct port_endpoint *e, struct publish_spec *ret)
{
	char text[128], own[16];
	struct port_parse_error where;

	if (e->ports.first == e->ports.last)
		snprintf(own, sizeof(own), "%u", e->ports.first);
	else
		snprintf(own, sizeof(own), "%u-%u", e->ports.first, e->ports.last);
	if (outer && strchr(outer, '/'))
		return cli_usage(cli, "the protocol goes with the host's port: %s:%s%s", e->host, own,
				 strchr(outer, '/'));
	if (snprintf(text, sizeof(text), "%s:%s%s", outer ? outer : own, own, e->proto == PORT_UDP ? "/udp" : "") >=
	    (int)sizeof(text))
		return cli_usage(cli, "that is too long for a port: '%s'", outer);
	return publish_spec_parse(text, ret, &where) < 0 ? cli_usage_at(cli, text, &where) : 0;
}

static int say_published(struct cli *cli, pid_t pid)
{
	char where[PUBLISHED_WHERE_MAX], to[PUBLISHED_TO_MAX];
	struct published_list list;
	int r = published_read(cli, &list);

	for (size_t i = 0; r == 0 && i < list.n; i++)
		if (list.r[i].p.pid == pid)
			r = cli_say(cli, "%s leads to %s\n", published_where(&list.r[i].p, where),
				    published_to(&list.r[i], to));
	published_free(&list);
	return r;
}

/* Its programs are runs: one of them holds it. */
static int check_alive(struct cli *cli, const struct network_host *host)
{
	int file = network_publish_open(&cli->net, true), r;

	if (file < 0)
		return cli_fail(cli, file, "cannot publish anything in network '%s'", cli->network_name);
	r = network_publish_host_is_held(file, host->index);
	raw_close(file);
	if (r < 0)
		return cli_fail(cli, r, "cannot tell whether host '%s' has programs", host->name);
	if (r == 0)
		return cli_fail(
			cli, 0,
			"no program runs on host '%s'; to publish with one: berth run -H %s -p OUTER:INNER -- COMMAND",
			host->name, host->name);
	return 0;
}

/* HOST:PORT without "+splice" behind it. Return: it was there. */
static bool take_splice(const char *what, char plain[SPEC_MAX])
{
	size_t len = strlen(what), tail = sizeof(PUBLISH_SPLICE) - 1;
	bool is = len >= tail && strcmp(what + len - tail, PUBLISH_SPLICE) == 0;

	snprintf(plain, SPEC_MAX, "%.*s", (int)(is ? len - tail : len), what);
	return is;
}

static int publish(struct cli *cli)
{
	struct publisher_order o = {.n_specs = 1, .quiet = true};
	const char *what = NULL, *outer = NULL;
	struct publish_spec spec;
	struct publisher p;
	struct port_endpoint e;
	struct network_host host;
	char plain[SPEC_MAX];
	bool splice;
	int c, r;

	while ((c = cli_next(cli)) != CLI_END) {
		if (c != CLI_ARG)
			return cli->status;
		if (outer)
			return cli_usage(cli, "too many arguments: '%s'", cli->value);
		*(what ? &outer : &what) = cli->value;
	}
	if (!what)
		return cli_usage(cli, "which port? berth publish HOST:PORT [ADDR:]OUTER");
	(void)worlds_be_inside(cli); /* within a run, the run's network */
	splice = take_splice(what, plain);
	r = cli_endpoint(cli, plain, &e);
	if (r != 0)
		return r;
	if (splice && e.has_proto && e.proto == PORT_UDP)
		return cli_usage(cli, "datagrams are always carried: only TCP can be spliced, not '%s'", what);
	if (e.has_addr || !e.ports.first)
		return cli_usage(cli, "a host's name and a port are expected, as web:80, not '%s'", what);
	if (e.host[0] && strcmp(e.host, "localhost") != 0) {
		cli->host_name = e.host;
		cli->host_given = true;
	}
	r = read_spec(cli, outer, &e, &spec);
	spec.splice = splice;
	if (r == 0)
		r = cli_network(cli, NULL, NULL);
	if (r == 0)
		r = cli_host(cli, false, &host, NULL);
	if (r == 0)
		r = check_alive(cli, &host);
	if (r != 0)
		return r;
	o.host = &host;
	o.specs = &spec;
	r = publisher_start(cli, &o, &p);
	if (r != 0)
		return r;
	close(p.life);
	close(p.news);
	return say_published(cli, p.pid);
}

const struct cmd cmd_publish = {
	"publish",
	"[options] HOST:PORT [[ADDR:]OUTER]",
	"let a port of the machine lead to a host's",
	"Who connects to port OUTER of the machine reaches the program that listens on PORT of the host, at the\n"
	"kernel's speed and with his own address. Without OUTER it is the same number; 0 is any free port. Without\n"
	"ADDR it is 127.0.0.1 and ::1: only this machine. Nobody listens: the caller is refused, as he should be.\n"
	"Lasts until 'berth unpublish', or until the host's last program has ended.\n"
	"\n"
	"Examples:\n"
	"  berth publish web:80 8080              http://127.0.0.1:8080/ is web's port 80\n"
	"  berth publish web:80 0.0.0.0:8080      for other machines, too\n"
	"  berth publish web:3000-3010 9000-9010  a range\n"
	"  berth publish dns:53/udp 5353          a UDP port\n"
	"  berth publish web:80 0                 any free port; it says which\n"
	"  berth publish dns:53/tcp+splice 5353   carry the octets, pass no socket on\n",
	CMD_NETWORK | CMD_HOST,
	NULL,
	publish,
};

/* --- unpublish --- */

struct wanted {
	struct port_endpoint e;
	bool by_host;
	uint32_t host;
};

static bool has_addr(const struct network_published *p, const struct port_addr *a)
{
	for (uint32_t i = 0; i < p->n_addrs; i++)
		if (port_addr_equal(&p->addrs[i], a))
			return true;
	return false;
}

/* Is that record meant? 1; 0; -1: it has more ports than were named. */
static int meant(const struct wanted *w, const struct published *p)
{
	uint32_t first = w->by_host ? p->p.inner : p->p.outer.first;
	uint32_t last = first + (uint32_t)(p->p.outer.last - p->p.outer.first);

	if (w->by_host && p->p.host != w->host)
		return 0;
	if (!w->by_host && w->e.has_addr && !has_addr(&p->p, &w->e.addr))
		return 0;
	if (w->e.has_proto && w->e.proto != p->p.proto)
		return 0;
	if (w->e.ports.last < first || w->e.ports.first > last)
		return 0;
	return w->e.ports.first <= first && w->e.ports.last >= last ? 1 : -1;
}

static void wake(int sig)
{
	(void)sig;
}

static int end_one(struct cli *cli, int file, const struct published *p)
{
	struct sigaction once = {.sa_handler = wake}; /* no SA_RESTART: it is to interrupt */
	char where[PUBLISHED_WHERE_MAX];
	int r;

	published_where(&p->p, where);
	if (!network_publish_is_by(&p->p))
		return cli_fail(cli, 0, "%s is published by process %d, which cannot be reached from here", where,
				p->p.pid);
	r = network_publish_ask_end(file, p->record);
	if (r == 0)
		r = kill(p->p.pid, PUBLISH_SIGNAL) < 0 ? -errno : 0;
	if (r < 0)
		return cli_fail(cli, r, "cannot ask process %d to end %s", p->p.pid, where);
	sigaction(SIGALRM, &once, NULL);
	alarm(END_S);
	r = network_publish_wait_end(file, p->record);
	alarm(0);
	if (r < 0)
		return cli_fail(cli, 0,
				"process %d does not give %s back: is it stopped? (kill -CONT %d; kill -KILL %d)",
				p->p.pid, where, p->p.pid, p->p.pid);
	return 0;
}

static int end_meant(struct cli *cli, const struct wanted *w, const char *what)
{
	int file = network_publish_open(&cli->net, true), r;
	struct published_list list = {0};
	const struct network_published *part = NULL;
	char where[PUBLISHED_WHERE_MAX];
	size_t n = 0;

	if (file < 0)
		return cli_fail(cli, file, "cannot read the published ports of network '%s'", cli->network_name);
	r = published_read(cli, &list);
	for (size_t i = 0; r == 0 && i < list.n; i++) {
		int m = meant(w, &list.r[i]);

		part = m < 0 && !part ? &list.r[i].p : part;
		if (m > 0) {
			r = end_one(cli, file, &list.r[i]);
			n++;
		}
	}
	if (r == 0 && n == 0 && part)
		r = cli_fail(cli, 0, "%s is published as a whole: end it with 'berth unpublish %u-%u'",
			     published_where(part, where), part->outer.first, part->outer.last);
	raw_close(file);
	published_free(&list);
	if (r == 0 && n == 0) {
		cli_warn(cli, "%s is not published in network '%s'; 'berth ls --published' lists what is", what,
			 cli->network_name);
		return CLI_NO;
	}
	return r;
}

static int unpublish(struct cli *cli)
{
	const char *what = NULL;
	struct wanted w = {0};
	struct network_host host;
	bool missing = false;
	int c, r;

	while ((c = cli_next(cli)) != CLI_END) {
		if (c != CLI_ARG)
			return cli->status;
		if (what)
			return cli_usage(cli, "one port or range at a time: '%s'", cli->value);
		what = cli->value;
	}
	if (!what)
		return cli_usage(cli, "which port? berth unpublish [ADDR:]OUTER, or HOST:PORT");
	(void)worlds_be_inside(cli);
	r = cli_endpoint(cli, what, &w.e);
	if (r != 0)
		return r;
	w.by_host = w.e.host[0] && strcmp(w.e.host, "localhost") != 0;
	if (w.by_host) {
		cli->host_name = w.e.host;
		cli->host_given = true;
	}
	r = cli_network(cli, NULL, &missing);
	if (r == 0 && missing) {
		cli_warn(cli, "%s is not published: there is no network '%s' yet", what, cli->network_name);
		return CLI_NO;
	}
	if (r == 0 && w.by_host)
		r = cli_host(cli, false, &host, NULL);
	if (r != 0)
		return r;
	w.host = w.by_host ? host.index : 0;
	return end_meant(cli, &w, what);
}

const struct cmd cmd_unpublish = {
	"unpublish",
	"[options] [ADDR:]OUTER | HOST:PORT",
	"end what 'publish' or 'run -p' published",
	"The port is free when the command returns. Connections that were made stay. A range is ended as a whole.\n"
	"\n"
	"Examples:\n"
	"  berth unpublish 8080           whatever leads from port 8080 of the machine\n"
	"  berth unpublish web:80         whatever leads to host web's port 80\n"
	"  berth unpublish 9000-9010      a range\n",
	CMD_NETWORK,
	NULL,
	unpublish,
};

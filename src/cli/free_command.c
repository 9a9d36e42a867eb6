/* src/cli/free_command.c: `berth free -- COMMAND`: the ports are ours while it runs.
 *
 * The command is told in its environment, and in its arguments where {} stands. The sockets that hold the ports stay in
 * this process (close-on-exec), so nothing the command starts can keep a port longer, and they go with us however we end.
 * With --listen-fds it also gets sockets of its own, beside the holding ones.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/attend.h"
#include "cli/elf.h"
#include "cli/bind_watch.h"
#include "cli/free_watch.h"
#include "cli/relay.h"

#define NAME_MAX_BYTES 256

static bool put(const char *name, uint16_t port)
{
	char text[8];

	snprintf(text, sizeof(text), "%u", port);
	return setenv(name, text, 1) == 0;
}

/* NAME is the first, and when there are more NAME_1, NAME_2... are all of them. */
static bool put_all(const char *name, const struct free_order *o)
{
	char numbered[NAME_MAX_BYTES + 16];
	bool ok = put(name, o->ports[0].port);

	for (unsigned i = 0; o->n > 1 && ok && i < o->n; i++) {
		snprintf(numbered, sizeof(numbered), "%s_%u", name, i + 1);
		ok = put(numbered, o->ports[i].port);
	}
	return ok;
}

static bool put_environment(const struct free_order *o)
{
	bool ok = put_all("PORT", o);

	if (o->n_names == 1)
		return ok && put_all(o->names[0], o);
	for (unsigned i = 0; ok && i < o->n_names; i++)
		ok = put(o->names[i], o->ports[i].port);
	return ok;
}

/* "{}" or "{12}" at s: how long it is, and the port it means; 0: it is neither, or there is no such port. */
static size_t braces(const struct free_order *o, const char *s, uint16_t *ret)
{
	char *end;
	unsigned long i;

	if (s[0] != '{')
		return 0;
	if (s[1] == '}') {
		*ret = o->ports[0].port;
		return 2;
	}
	if (s[1] < '1' || s[1] > '9')
		return 0;
	i = strtoul(s + 1, &end, 10);
	if (*end != '}' || i > o->n)
		return 0;
	*ret = o->ports[i - 1].port;
	return (size_t)(end + 1 - s);
}

/* The argument with its ports; NULL: no memory. */
static char *fill_in(const struct free_order *o, const char *arg)
{
	size_t at = 0, len;
	char *s = malloc(strlen(arg) * 3 + 1); /* two octets become five at most */
	uint16_t port;

	while (s && *arg) {
		len = braces(o, arg, &port);
		if (len)
			at += (size_t)sprintf(s + at, "%u", port);
		else
			s[at++] = *arg;
		arg += len ? len : 1;
	}
	if (s)
		s[at] = '\0';
	return s;
}

static bool fill_in_all(const struct free_order *o, char **argv)
{
	for (char **a = argv; *a; a++)
		if (strchr(*a, '{')) {
			*a = fill_in(o, *a);
			if (!*a)
				return false;
		}
	return true;
}

/* --- descriptors --- */

/* What descriptor i is called: PORT, or the name that was given; PORT_2, PORT_3... */
static void name_fd(const struct free_order *o, unsigned i, bool udp, char *s, size_t size_bytes)
{
	const char *name = o->n_names > 1 && i < o->n_names ? o->names[i] : o->n_names == 1 ? o->names[0] : "PORT";
	char number[16] = "";

	if (o->n > 1 && (o->n_names < 2 || i >= o->n_names))
		snprintf(number, sizeof(number), "_%u", i + 1);
	snprintf(s, size_bytes, "%s%s%s", name, number, udp && o->flags & BERTH_PORT_TCP ? "-udp" : "");
}

static int make_fds(struct cli *cli, const struct free_order *o, struct attend *how)
{
	size_t max = (size_t)o->n * 2, size = max * (NAME_MAX_BYTES + 24), at = 0;
	char *names = malloc(size);

	how->fds = calloc(max, sizeof(*how->fds));
	how->names = names;
	if (!names || !how->fds)
		return cli_fail(cli, -ENOMEM, "cannot make the descriptors");
	for (unsigned i = 0; i < o->n; i++)
		for (unsigned proto = BERTH_PORT_TCP; proto <= BERTH_PORT_UDP; proto <<= 1) {
			bool udp = proto == BERTH_PORT_UDP;
			int fd;

			if (!(o->flags & proto))
				continue;
			fd = berth_port_socket(&o->ports[i], proto | (o->listening && !udp ? BERTH_PORT_LISTEN : 0u),
					       o->address);
			if (fd == -EINVAL)
				return cli_usage(cli, "'%s' is no address: --address 127.0.0.1, --address ::1",
						 o->address);
			if (fd < 0)
				return cli_fail(cli, fd, "cannot have port %u on %s", o->ports[i].port,
						o->address ? o->address : "all addresses");
			how->fds[how->n_fds++] = fd;
			names[at] = '\0';
			if (at)
				names[at++] = ':';
			name_fd(o, i, udp, names + at, size - at);
			at += strlen(names + at);
		}
	return 0;
}

/* --- running --- */

static int find(struct cli *cli, char *name, char path[PATH_MAX])
{
	int r = elf_find_command(name, path, PATH_MAX);

	if (r == 0)
		return 0;
	cli_warn(cli, "%s: %s", cli_clean(name),
		 r == -ENOENT	? "no such command"
		 : r == -EACCES ? "found, but it cannot be executed"
				: strerror(-r));
	return r == -ENOENT ? CLI_NOT_FOUND : CLI_NOT_EXECUTABLE;
}

static bool hear(void *ctx, int fd)
{
	return free_watch_serve(ctx, fd);
}

static int fail(struct cli *cli, const struct free_order *o, char *name, int r)
{
	const char *what = o->any_server ? "--any-server" : "--explain";

	cli_clean(name);
	if (r > 0) {
		cli_warn(cli, "%s: %s", name, r == ENOENT ? "its interpreter or loader does not exist" : strerror(r));
		return CLI_NOT_EXECUTABLE;
	}
	if (r == -EBUSY)
		return cli_fail(
			cli, 0,
			"%s cannot be had here: this tree is watched already (a berth run does, and explains refusals itself)",
			what);
	if (o->any_server || o->explain)
		return cli_fail(cli, r, "cannot start %s, or watch it for %s", name, what);
	return cli_fail(cli, r, "cannot start %s", name);
}

int free_command(struct cli *cli, struct free_order *o, char **argv)
{
	static char path[PATH_MAX];
	struct free_watch watch = {.order = o, .help = o->any_server};
	struct attend how = {.files = &o->files, .hear = hear, .ctx = &watch};
	int status = 0, r;

	r = find(cli, argv[0], path);
	if (r == 0)
		r = free_reserve(cli, o);
	if (r == 0 && o->listen_fds)
		r = make_fds(cli, o, &how);
	if (r != 0)
		return r;
	if (!put_environment(o) || (!o->no_braces && !fill_in_all(o, argv)))
		return cli_fail(cli, -ENOMEM, "cannot tell the command its ports");
	if (o->explain || o->any_server)
		how.prepare = bind_watch_install;
	r = attend(path, argv, &how, &status);
	berth_port_drop(o->ports, o->n);
	if (r != 0)
		return fail(cli, o, argv[0], r);
	free_watch_say(cli, &watch);
	return relay_exit_code(status);
}

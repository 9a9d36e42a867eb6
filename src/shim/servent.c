/* src/shim/servent.c: names of ports, for programs that ask libc.
 *
 * The network's own file `services`, in services(5)'s form, stands before libc's answer, as it does in
 * berth's commands. The built-in registry only stands in for a machine that has no /etc/services at
 * all (a slim container): where the file is there, a name it lacks stays unknown, because programs show
 * what is unknown as a number and would otherwise show 40,000 odd names.
 *
 * The file is read at each look-up, 1 KiB at a time on the stack: it is short, and may change. A line
 * longer than that ends it.
 */
#include <netdb.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "shim/resolve.h"

#define FILE_OCTETS_MAX (1 << 16)
#define LINE_NAMES_MAX 8

struct wanted {
	const char *name; /* NULL: by port */
	uint16_t port;
	enum port_proto proto;
};

static bool is_wanted(const struct port_service *row, const struct wanted *w)
{
	if (row->proto != w->proto)
		return false;
	return w->name ? strcmp(row->name, w->name) == 0 : row->first <= w->port && w->port <= row->last;
}

/* One line. The first name of the line is the primary one. */
static bool in_line(const char *line, const struct wanted *w, struct port_service *ret)
{
	struct port_service rows[LINE_NAMES_MAX];
	int n = port_service_parse_line(line, rows, COUNT_OF(rows));

	for (int i = 0; i < n; i++)
		if (is_wanted(&rows[i], w)) {
			*ret = rows[0];
			if (!w->name)
				ret->first = w->port;
			return true;
		}
	return false;
}

static int in_file(const char *path, const struct wanted *w, struct port_service *ret)
{
	char buf[1024 + 1];
	size_t have = 0, total = 0;
	int fd = (int)sys_call(SYS_openat, AT_FDCWD, (long)path, O_RDONLY | O_CLOEXEC, 0, 0), r = -ENOENT;

	if (fd < 0)
		return -ENOENT;
	while (r < 0 && total < FILE_OCTETS_MAX) {
		long n = sys_call(SYS_read, fd, (long)(buf + have), (long)(sizeof(buf) - 1 - have), 0, 0);
		char *line = buf, *end;

		if (n < 0)
			break;
		total += (size_t)n;
		have += (size_t)n;
		if (n == 0 && have) /* a last line without its end, or one that fills the buffer */
			buf[have++] = '\n';
		while (r < 0 && (end = memchr(line, '\n', have - (size_t)(line - buf)))) {
			*end = '\0';
			r = in_line(line, w, ret) ? 0 : r;
			line = end + 1;
		}
		have -= (size_t)(line - buf);
		memmove(buf, line, have);
		if (n == 0 || have == sizeof(buf) - 1)
			break;
	}
	sys_close(fd);
	return r;
}

static int find(struct shim *s, const struct wanted *w, bool first, struct port_service *ret)
{
	char path[NETWORK_PATH_MAX + 16];
	int r;

	if (!s || s->err)
		return -ENOENT;
	if (first) {
		snprintf(path, sizeof(path), "%s/services", s->net.dir);
		return in_file(path, w, ret);
	}
	if (sys_call(SYS_faccessat, AT_FDCWD, (long)"/etc/services", 4 /* R_OK */, 0, 0) == 0)
		return -ENOENT;
	if (!w->name) {
		r = port_service_name(w->port, w->proto, NULL, ret);
		if (r == 0)
			ret->first = w->port; /* of a range: the one that was asked for */
		return r;
	}
	r = port_service_find(w->name, w->proto, NULL, ret);
	return r < 0 || ret->source == PORT_SERVICE_OBSERVED ? -ENOENT : 0;
}

int resolve_service(struct shim *s, const char *name, enum port_proto proto, bool first, struct port_service *ret)
{
	struct wanted w = {.name = name, .proto = proto};

	return find(s, &w, first, ret);
}

int resolve_port(struct shim *s, uint16_t port, enum port_proto proto, bool first, struct port_service *ret)
{
	struct wanted w = {.port = port, .proto = proto};

	return find(s, &w, first, ret);
}

/* --- the calls --- */

struct entry {
	char *aliases[1];
	char name[sizeof(((struct port_service *)0)->name)];
	char proto[8];
};

/* Return: 0; ERANGE, buf is too small. */
static int fill(const struct port_service *f, struct servent *se, char *buf, size_t len)
{
	size_t skip = -(uintptr_t)buf % _Alignof(struct entry);
	struct entry *e = (struct entry *)(void *)(buf + skip);

	if (len < skip + sizeof(*e))
		return ERANGE;
	memset(e, 0, sizeof(*e));
	memcpy(e->name, f->name, sizeof(e->name));
	strcpy(e->proto, port_proto_name[f->proto]);
	se->s_name = e->name;
	se->s_aliases = e->aliases;
	se->s_port = htons(f->first);
	se->s_proto = e->proto;
	return 0;
}

/* By name or number; proto NULL: tcp, then udp. Return: 0; -ENOENT. */
static int find_any(const char *name, int port, const char *proto, bool first, struct port_service *ret)
{
	for (int p = 0; p < PORT_NPROTOS; p++) {
		struct wanted w = {.name = name, .port = ntohs((uint16_t)port), .proto = (enum port_proto)p};

		if ((!proto || !strcmp(proto, port_proto_name[p])) && find(shim_get(), &w, first, ret) == 0)
			return 0;
	}
	return -ENOENT;
}

static struct servent static_servent;
static char static_buf[sizeof(struct entry) + _Alignof(struct entry)];

static struct servent *give_static(const struct port_service *f)
{
	return fill(f, &static_servent, static_buf, sizeof(static_buf)) == 0 ? &static_servent : NULL;
}

static int give(const struct port_service *f, struct servent *se, char *buf, size_t len, struct servent **ret)
{
	int r = fill(f, se, buf, len);

	*ret = r == 0 ? se : NULL;
	return r;
}

EXPORT(struct servent *, getservbyname, (const char *name, const char *proto))
{
	__typeof__(&shim_getservbyname) next = RESOLVE_NEXT(getservbyname);
	struct port_service f;
	struct servent *r;

	if (find_any(name, 0, proto, true, &f) == 0)
		return give_static(&f);
	r = next ? next(name, proto) : NULL;
	return r || find_any(name, 0, proto, false, &f) < 0 ? r : give_static(&f);
}

EXPORT(struct servent *, getservbyport, (int port, const char *proto))
{
	__typeof__(&shim_getservbyport) next = RESOLVE_NEXT(getservbyport);
	struct port_service f;
	struct servent *r;

	if (find_any(NULL, port, proto, true, &f) == 0)
		return give_static(&f);
	r = next ? next(port, proto) : NULL;
	return r || find_any(NULL, port, proto, false, &f) < 0 ? r : give_static(&f);
}

EXPORT(int, getservbyname_r,
       (const char *name, const char *proto, struct servent *se, char *buf, size_t len, struct servent **ret))
{
	__typeof__(&shim_getservbyname_r) next = RESOLVE_NEXT(getservbyname_r);
	struct port_service f;
	int r = ENOENT;

	*ret = NULL;
	if (find_any(name, 0, proto, true, &f) == 0)
		return give(&f, se, buf, len, ret);
	if (next)
		r = next(name, proto, se, buf, len, ret);
	if (*ret || r == ERANGE || find_any(name, 0, proto, false, &f) < 0)
		return r;
	return give(&f, se, buf, len, ret);
}

EXPORT(int, getservbyport_r,
       (int port, const char *proto, struct servent *se, char *buf, size_t len, struct servent **ret))
{
	__typeof__(&shim_getservbyport_r) next = RESOLVE_NEXT(getservbyport_r);
	struct port_service f;
	int r = ENOENT;

	*ret = NULL;
	if (find_any(NULL, port, proto, true, &f) == 0)
		return give(&f, se, buf, len, ret);
	if (next)
		r = next(port, proto, se, buf, len, ret);
	if (*ret || r == ERANGE || find_any(NULL, port, proto, false, &f) < 0)
		return r;
	return give(&f, se, buf, len, ret);
}

/* --- the list: libc's, or the registry where libc has none at all --- */

static _Atomic uint32_t list_at; /* port * PORT_NPROTOS + protocol of the next row; 0: nothing was listed yet */
enum { LIST_OF_LIBC = UINT32_MAX };

static bool next_row(struct port_service *ret)
{
	uint32_t at = atomic_load(&list_at);

	if (at == 0 && find_any("http", 0, "tcp", false, ret) < 0) {
		atomic_store(&list_at, LIST_OF_LIBC);
		return false;
	}
	for (; at < 65536 * PORT_NPROTOS; at++)
		if (port_service_name((uint16_t)(at / PORT_NPROTOS), (enum port_proto)(at % PORT_NPROTOS), NULL, ret) ==
			    0 &&
		    ret->source != PORT_SERVICE_OBSERVED) {
			atomic_store(&list_at, at + 1);
			return true;
		}
	return false;
}

EXPORT(void, setservent, (int stay_open))
{
	__typeof__(&shim_setservent) next = RESOLVE_NEXT(setservent);

	atomic_store(&list_at, 0);
	if (next)
		next(stay_open);
}

EXPORT(void, endservent, (void))
{
	__typeof__(&shim_endservent) next = RESOLVE_NEXT(endservent);

	atomic_store(&list_at, 0);
	if (next)
		next();
}

EXPORT(struct servent *, getservent, (void))
{
	__typeof__(&shim_getservent) next = RESOLVE_NEXT(getservent);
	struct port_service f;

	if (shim_get() && next_row(&f))
		return give_static(&f);
	return next ? next() : NULL;
}

EXPORT(int, getservent_r, (struct servent * se, char *buf, size_t len, struct servent **ret))
{
	__typeof__(&shim_getservent_r) next = RESOLVE_NEXT(getservent_r);
	uint32_t before = atomic_load(&list_at);
	struct port_service f;

	*ret = NULL;
	if (shim_get() && next_row(&f)) {
		int r = give(&f, se, buf, len, ret);

		if (r == ERANGE)
			atomic_store(&list_at, before);
		return r;
	}
	return next ? next(se, buf, len, ret) : ENOENT;
}

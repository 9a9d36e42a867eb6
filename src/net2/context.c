/* src/net2/context.c: for whom, and in which network, the shim's functions work in the supervisor.
 *
 * The files of src/shim that know about sockets are compiled a second time for the supervisor. There they
 * ask the functions of this page, where in a program they ask those of shim/env.c and shim/next.c:
 *
 *     shim_get()                   the network and host of the program that is served
 *     shim_owner(), shim_euid()    its process and user, for the claim
 *     shim_privileged()            its right to ports below 1024
 *     shim_event()                 an explanation, into the ring of its own `berth run`
 *
 * A supervisor serves one program at a time, so "who" is two variables. Files are made and reached with the
 * rights of the network folder's owner: a root supervisor that serves a nested run of another user must
 * not leave sockets there that this user cannot connect to.
 */
#include <errno.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <unistd.h>

#include "net2/letters.h"
#include "net2/target.h"

static struct context *first, *current;
static const struct target *who;
static struct target_state state;
static bool looked;

/* --- contexts --- */

struct context *context_first(void)
{
	return first;
}

static void owner_of(struct context *c)
{
	struct stat st;

	c->uid = geteuid();
	c->gid = getegid();
	if (stat(c->shim.net.dir, &st) == 0) {
		c->uid = st.st_uid;
		c->gid = st.st_gid;
	}
}

static struct context *fresh(const struct network_host *host, bool has_run, uint32_t run, bool allow_outside)
{
	struct context *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->shim.host = *host;
	c->shim.has_run = has_run;
	c->shim.run = run;
	c->allow_outside = allow_outside;
	c->refs = 1;
	return c;
}

static void settle(struct context *c)
{
	struct network_info info;

	network_get_info(&c->shim.net, &info);
	c->shim.privileged_deny = info.privileged_deny;
	owner_of(c);
}

void context_set_first(const struct network *n, const struct network_host *host, bool has_run, uint32_t run,
		       bool allow_outside, const struct port_policy_chain *policy)
{
	first = fresh(host, has_run, run, allow_outside);
	if (!first)
		_exit(125);
	memcpy((void *)&first->shim.net, n, sizeof(*n));
	first->shim.policy = *policy;
	settle(first);
}

struct context *context_new(const struct ask_join *j, uint32_t uid)
{
	struct network_host none = {0};
	struct network_error err;
	uint32_t self = geteuid();
	struct context *c;
	int r;

	if (!memchr(j->dir, 0, sizeof(j->dir)) || !memchr(j->host, 0, sizeof(j->host)))
		return NULL;
	c = fresh(&none, j->has_run != 0, j->run, j->allow_outside != 0);
	if (!c)
		return NULL;
	c->shim.policy = j->policy;
	c->shim.policy.garbled |= !port_policy_chain_sane(&j->policy);
	if (uid != self && seteuid(uid) < 0) {
		free(c);
		return NULL;
	}
	r = network_open_dir(&c->shim.net, j->dir, &err);
	if (uid != self && seteuid(self) < 0)
		_exit(125); /* a supervisor without its rights serves nobody */
	if (r == 0)
		r = network_host_get(&c->shim.net, j->host, false, &c->shim.host);
	if (r < 0) {
		free(c);
		return NULL;
	}
	settle(c);
	return c;
}

void context_put(struct context *c)
{
	/* The shim's code may have handed out addresses inside (the mapping stays for ever anyway): kept. */
	c->refs--;
}

/* --- who is served --- */

void context_enter(const struct target *t)
{
	who = t;
	current = t->context;
	looked = false;
	if (current->uid != geteuid()) {
		setfsgid(current->gid);
		setfsuid(current->uid);
	}
}

void context_leave(void)
{
	if (current->uid != geteuid()) {
		setfsuid(geteuid());
		setfsgid(getegid());
	}
	who = NULL;
	current = NULL;
}

static const struct target_state *look(void)
{
	if (!looked && target_look(who->tid, &state) < 0) {
		memset(&state, 0, sizeof(state));
		state.euid = UINT32_MAX;
	}
	looked = true;
	return &state;
}

const struct target *context_target(void)
{
	return who;
}

int32_t context_caller(char ret_comm[16])
{
	memcpy(ret_comm, look()->comm, sizeof(state.comm));
	return who->tgid;
}

/* --- what the shim's files ask --- */

struct shim *shim_get(void)
{
	return current ? &current->shim : NULL;
}

int shim_owner(const struct shim *s, int fd, struct port_owner *ret)
{
	int r = network_owner_of(&s->net, fd, ret);

	if (r == 0) {
		ret->pid = who->tgid;
		memcpy(ret->comm, look()->comm, sizeof(ret->comm));
	}
	return r;
}

int32_t shim_caller(const struct shim *s, char ret_comm[16])
{
	(void)s;
	return context_caller(ret_comm);
}

uint32_t shim_euid(const struct shim *s)
{
	(void)s;
	return look()->euid;
}

bool shim_privileged(const struct shim *s)
{
	return !s->privileged_deny || look()->cap_effective & (UINT64_C(1) << CAP_NET_BIND_SERVICE);
}

bool shim_pumped(int fd)
{
	return letters_pumps(fd);
}

void shim_event(struct shim *s, char call, const struct port_want *want, const struct port_refusal *r)
{
	struct network_event e = {0};

	if (!s->has_run)
		return;
	e.at_us = network_now_us();
	e.pid = who->tgid;
	memcpy(e.comm, look()->comm, sizeof(e.comm));
	e.host = s->host.index;
	e.call = (uint8_t)call;
	e.want = *want;
	e.refusal = *r;
	network_event_put(&s->net, s->run, &e);
}

static long missing(void)
{
	errno = ENOSYS;
	return -1;
}

/* Made once: the inline calls, libc's plain ones, and for what the supervisor never does an error. */
const struct shim_next *shim_next(void)
{
	static union {
		struct shim_next next;
		long (*each[sizeof(struct shim_next) / sizeof(long (*)(void))])(void);
	} all;

	if (!all.next.socket) {
		all.next = shim_inline_calls;
		all.next.recv = recv;
		all.next.send = send;
		all.next.read = read;
		all.next.write = write;
		for (size_t i = 0; i < COUNT_OF(all.each); i++)
			if (!all.each[i])
				all.each[i] = missing;
	}
	return &all.next;
}

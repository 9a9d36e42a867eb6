/* src/host/netns.c: network namespaces, by the links /proc/PID/ns/net and the names that `ip netns` and docker keep in /run.
 *
 * A namespace belongs to a thread. So a thread of its own goes there, does what it is asked, and ends; the process stays.
 * A container without root is inside a user namespace, which must be entered first, and which only a process with
 * one thread can enter: then a forked child goes, makes the netlink socket there and hands it back. A
 * socket stays in the namespace it was made in.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host/netns.h"

static const char *const name_folders[] = {"netns", "docker/netns"};

/* --- the list --- */

/* Of a link "net:[4026531840]". 0: it cannot be read. */
static uint64_t namespace_at(int dir, const char *path)
{
	char link[64];
	ssize_t n = readlinkat(dir, path, link, sizeof(link) - 1);

	if (n < 0)
		return 0;
	link[n] = '\0';
	return strncmp(link, "net:[", 5) == 0 ? strtoull(link + 5, NULL, 10) : 0;
}

/* The entry of an inode, made when there is none. NULL: no memory. */
static struct host_netns *entry(struct host_netns_list *l, uint64_t inode)
{
	for (size_t i = l->n; i-- > 0;) /* processes of one namespace come in rows */
		if (l->ns[i].inode == inode)
			return &l->ns[i];
	if (l->n == l->room) {
		size_t more = l->room ? l->room * 2 : 16;
		struct host_netns *ns = realloc(l->ns, more * sizeof(*ns));

		if (!ns)
			return NULL;
		l->ns = ns;
		l->room = more;
	}
	l->ns[l->n] = (struct host_netns){.inode = inode};
	return &l->ns[l->n++];
}

static int read_processes(int proc, struct host_netns_list *l)
{
	DIR *d = fdopendir(dup(proc));
	struct dirent *e;
	int r = 0;

	if (!d)
		return -errno;
	while (r == 0 && (e = readdir(d)) != NULL) {
		struct host_netns *ns;
		char path[300];
		uint64_t inode;
		int32_t pid;

		if (!isdigit((unsigned char)e->d_name[0]))
			continue;
		snprintf(path, sizeof(path), "%s/ns/net", e->d_name);
		errno = 0;
		inode = namespace_at(proc, path);
		if (!inode) {
			l->n_denied += errno == EACCES || errno == EPERM;
			continue;
		}
		ns = entry(l, inode);
		if (!ns) {
			r = -ENOMEM;
			break;
		}
		pid = atoi(e->d_name);
		ns->n_processes++;
		if (!ns->pid || pid < ns->pid)
			ns->pid = pid;
	}
	closedir(d);
	return r;
}

/* Files in /run/netns are mounts of namespaces: their inode is the namespace's. */
static int read_names(const struct host_root *root, size_t which, struct host_netns_list *l)
{
	char path[512];
	struct dirent *e;
	struct stat st, folder;
	int r = 0;
	DIR *d;

	snprintf(path, sizeof(path), "%s/%s", host_root_run(root), name_folders[which]);
	d = opendir(path);
	if (!d)
		return 0;
	while (r == 0 && fstat(dirfd(d), &folder) == 0 && (e = readdir(d)) != NULL) {
		struct host_netns *ns;

		if (e->d_name[0] == '.' || fstatat(dirfd(d), e->d_name, &st, 0) < 0)
			continue;
		if (!(root && root->run) &&
		    st.st_dev == folder.st_dev) /* a file that is no mount: its namespace is gone */
			continue;
		ns = entry(l, st.st_ino);
		if (!ns)
			r = -ENOMEM;
		else if (!ns->name[0]) {
			snprintf(ns->name, sizeof(ns->name), "%.63s", e->d_name);
			ns->is_docker = which == 1;
		}
	}
	closedir(d);
	return r;
}

static int in_order(const void *a, const void *b)
{
	const struct host_netns *x = a, *y = b;

	if (x->is_ours != y->is_ours)
		return x->is_ours ? -1 : 1;
	return (x->inode > y->inode) - (x->inode < y->inode);
}

int host_netns_read(const struct host_root *root, struct host_netns_list *ret)
{
	int proc = host_root_open_proc(root), r;
	uint64_t ours;

	*ret = (struct host_netns_list){0};
	if (proc < 0)
		return proc;
	ours = namespace_at(proc, root && root->proc ? "self/ns/net" : "thread-self/ns/net");
	r = ours && !entry(ret, ours) ? -ENOMEM : read_processes(proc, ret);
	for (size_t i = 0; i < COUNT_OF(name_folders) && r == 0; i++)
		r = read_names(root, i, ret);
	close(proc);
	if (r < 0) {
		host_netns_free(ret);
		return r;
	}
	for (size_t i = 0; i < ret->n; i++)
		ret->ns[i].is_ours = ret->ns[i].inode == ours;
	if (ret->n)
		qsort(ret->ns, ret->n, sizeof(ret->ns[0]), in_order);
	return 0;
}

void host_netns_free(struct host_netns_list *l)
{
	free(l->ns);
	*l = (struct host_netns_list){0};
}

/* --- inside --- */

/* The namespace, opened: by a process of it or by its name, and it is still that one. */
static int open_namespace(const struct host_root *root, const struct host_netns *ns, const char *kind)
{
	char path[600];
	struct stat st;
	int fd;

	if (ns->pid)
		snprintf(path, sizeof(path), "%s/%d/ns/%s", host_root_proc(root), ns->pid, kind);
	else
		snprintf(path, sizeof(path), "%s/%s/%s", host_root_run(root), name_folders[ns->is_docker], ns->name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == EACCES || errno == EPERM ? -EPERM : -ESRCH;
	if (strcmp(kind, "net") == 0 && (fstat(fd, &st) < 0 || st.st_ino != ns->inode)) {
		close(fd);
		return -ESRCH;
	}
	return fd;
}

struct visit {
	int fd;
	int (*run)(void *ctx);
	void *ctx;
	int ret;
};

static void *go(void *arg)
{
	struct visit *v = arg;

	v->ret = setns(v->fd, CLONE_NEWNET) < 0 ? -EPERM : v->run(v->ctx);
	return NULL;
}

int host_netns_do(const struct host_root *root, const struct host_netns *ns, int (*run)(void *ctx), void *ctx)
{
	struct visit v = {.run = run, .ctx = ctx};
	pthread_t thread;
	int r;

	v.fd = open_namespace(root, ns, "net");
	if (v.fd < 0)
		return v.fd;
	r = pthread_create(&thread, NULL, go, &v);
	if (r == 0)
		pthread_join(thread, NULL);
	close(v.fd);
	return r ? -r : v.ret;
}

static int make_diag(void *ctx)
{
	struct sockaddr_nl a = {.nl_family = AF_NETLINK};
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);

	if (fd < 0)
		return -errno;
	if (bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0) {
		int r = -errno;

		close(fd);
		return r;
	}
	*(int *)ctx = fd;
	return 0;
}

/* A descriptor through a socket pair; receive: into *fd. False: none. */
static bool pass(int through, int *fd, bool receive)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(int))];
	} u = {0};
	char octet = 0;
	struct iovec v = {&octet, 1};
	struct msghdr h = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = &u, .msg_controllen = sizeof(u)};
	struct cmsghdr *c;

	if (receive) {
		if (recvmsg(through, &h, MSG_CMSG_CLOEXEC) != 1)
			return false;
		c = CMSG_FIRSTHDR(&h);
		if (!c || c->cmsg_type != SCM_RIGHTS || c->cmsg_len != CMSG_LEN(sizeof(int)))
			return false;
		memcpy(fd, CMSG_DATA(c), sizeof(*fd));
		return true;
	}
	c = CMSG_FIRSTHDR(&h);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), fd, sizeof(*fd));
	return sendmsg(through, &h, MSG_NOSIGNAL) == 1;
}

/* Through the user namespace that the network namespace's process is in. */
static int diag_by_child(int user, int net)
{
	int pair[2], fd = -1;
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	pid = fork();
	if (pid == 0) {
		bool ok = setns(user, CLONE_NEWUSER) == 0 && setns(net, CLONE_NEWNET) == 0 && make_diag(&fd) == 0;

		_exit(ok && pass(pair[1], &fd, false) ? 0 : 1);
	}
	close(pair[1]);
	if (pid < 0 || !pass(pair[0], &fd, true))
		fd = -EPERM;
	close(pair[0]);
	while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		continue;
	return fd;
}

int host_netns_open_diag(const struct host_root *root, const struct host_netns *ns)
{
	int fd = -1, net, user, r = host_netns_do(root, ns, make_diag, &fd);

	if (r != -EPERM)
		return r < 0 ? r : fd;
	net = open_namespace(root, ns, "net");
	user = ns->pid ? open_namespace(root, ns, "user") : -EPERM;
	r = net < 0 ? net : user < 0 ? user : diag_by_child(user, net);
	if (net >= 0)
		close(net);
	if (user >= 0)
		close(user);
	return r;
}

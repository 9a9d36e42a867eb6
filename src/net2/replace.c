/* src/net2/replace.c: the program gets another socket behind its number.
 *
 * The shim's functions work on our copy of the program's descriptor. Where they put another socket in its place
 * (one that was shut down listens again; one goes outside), the program's own numbers must follow: its descriptor, copies of
 * it, and registrations in its epolls, as shim/swap.c does it inside a program.
 *
 * Numbers: the kernel installs a descriptor in the program under the number we say (SECCOMP_IOCTL_NOTIF_ADDFD).
 *
 * Epolls: an epoll tells registrations apart by open file and number, and takes the number of whoever calls
 * epoll_ctl(2). So that is done by a child of ours, where the number is free to be used: there the old socket is put at it
 * and the registration taken out, then the new one, and put in. The epoll itself comes from the program
 * (pidfd_getfd). The child's descriptors end with it; what it registered stays, as the program has the same file.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "net2/replace.h"
#include "shim/swap.h"

void replace_begin(const struct call *c, struct replace *ret)
{
	struct stat st;

	ret->cookie = sock_cookie(c->fd);
	ret->inode = fstat(c->fd, &st) == 0 ? st.st_ino : 0;
	ret->old = fcntl(c->fd, F_DUPFD_CLOEXEC, 3);
}

/* In the child. First all that is needed goes above the numbers that will be used. */
_Noreturn static void move_watches(const struct target *t, const struct swap_places *p, int old, int fresh)
{
	int epolls[SWAP_WATCHES_MAX], above = 0;

	for (unsigned i = 0; i < p->n_watches; i++)
		above = p->watches[i].fd >= above ? p->watches[i].fd + 1 : above;
	old = fcntl(old, F_DUPFD, above);
	fresh = fcntl(fresh, F_DUPFD, above);
	for (unsigned i = 0; i < p->n_watches; i++) {
		int fd = target_fd(t, p->watches[i].epoll);

		epolls[i] = fd < 0 ? fd : fcntl(fd, F_DUPFD, above);
		if (fd >= 0)
			close(fd);
	}
	for (unsigned i = 0; old >= 0 && fresh >= 0 && i < p->n_watches; i++) {
		const struct swap_watch *w = &p->watches[i];
		struct epoll_event e = {.events = w->events, .data.u64 = w->data};

		if (epolls[i] >= 0 && dup2(old, w->fd) == w->fd)
			(void)epoll_ctl(epolls[i], EPOLL_CTL_DEL, w->fd, NULL);
		if (epolls[i] >= 0 && dup2(fresh, w->fd) == w->fd)
			(void)epoll_ctl(epolls[i], EPOLL_CTL_ADD, w->fd, &e);
	}
	_exit(0);
}

void replace_end(struct call *c, struct replace *r)
{
	struct swap_places p;
	pid_t child = -1;
	int status;

	if (sock_cookie(c->fd) != r->cookie) {
		(void)swap_find(c->t->tgid, r->inode, &p);
		if (p.n_copies == 0)
			p.copies[p.n_copies++] = (int)c->n.data.args[0];
		if (p.n_watches && r->old >= 0)
			child = fork();
		if (child == 0)
			move_watches(c->t, &p, r->old, c->fd);
		if (child > 0)
			(void)waitpid(child, &status, 0);
		for (unsigned i = 0; i < p.n_copies; i++)
			(void)serve_replace_fd(c->n.id, c->fd, p.copies[i], swap_is_cloexec(c->t->tgid, p.copies[i]));
	}
	if (r->old >= 0)
		close(r->old);
	r->old = -1;
}

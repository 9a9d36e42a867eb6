/* src/host/netlink.c: a question over netlink that is no matter of sockets (those: diag.c). */
#include <errno.h>
#include <string.h>

#include "host/netlink.h"

#define REPEATS 6

struct asking {
	int (*each)(void *ctx, const struct nlmsghdr *nlh);
	void *ctx;
	int err;
};

static int call(const struct nlmsghdr *nlh, void *data)
{
	struct asking *a = data;

	a->err = a->each(a->ctx, nlh);
	return a->err < 0 ? MNL_CB_ERROR : MNL_CB_OK;
}

static int answer(struct mnl_socket *nl, unsigned seq, struct asking *a)
{
	_Alignas(struct nlmsghdr) char buf[32768];
	ssize_t n;
	int r;

	do {
		n = mnl_socket_recvfrom(nl, buf, sizeof(buf));
		if (n < 0 && errno == EINTR) {
			r = MNL_CB_OK;
			continue;
		}
		if (n < 0)
			return errno == ENOBUFS ? -EAGAIN : -errno;
		errno = 0;
		r = mnl_cb_run(buf, (size_t)n, seq, mnl_socket_get_portid(nl), call, a);
		if (r == MNL_CB_ERROR && a->err == 0)
			return errno == EINTR ? -EAGAIN : errno ? -errno : -EPROTO; /* EINTR: libmnl's for torn */
	} while (r == MNL_CB_OK);
	explicit_bzero(buf, sizeof(buf)); /* WireGuard's answers have its key in them */
	return a->err;
}

int host_netlink_ask(int family, struct nlmsghdr *question, int (*each)(void *ctx, const struct nlmsghdr *nlh),
		     void (*again)(void *ctx), void *ctx)
{
	struct mnl_socket *nl = mnl_socket_open2(family, SOCK_CLOEXEC);
	struct asking a = {.each = each, .ctx = ctx};
	int r = -EAGAIN;

	if (!nl)
		return -errno;
	if (mnl_socket_bind(nl, 0, MNL_SOCKET_AUTOPID) < 0)
		r = -errno;
	for (int i = 0; r == -EAGAIN && i < REPEATS; i++) {
		if (i > 0 && again)
			again(ctx);
		a.err = 0;
		question->nlmsg_seq++;
		r = mnl_socket_sendto(nl, question, question->nlmsg_len) < 0 ? -errno
									     : answer(nl, question->nlmsg_seq, &a);
	}
	mnl_socket_close(nl);
	return r;
}

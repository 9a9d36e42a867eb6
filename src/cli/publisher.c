/* src/cli/publisher.c: the publisher as its parent sees it: started before the program, over after it.
 *
 * It is a process of its own, in a session of its own: what the keyboard sends is not for it, and it goes on when
 * `berth run` has ended and a daemon of its tree has not. It says what it has to say over a socket; who started
 * it prints that, as it has the terminal.
 */
#include "cli/publisher.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "network/raw.h"

#define END_MS 2000

/* Past libc: under another berth run these are sockets like any other, and nobody else's business. */
static bool receive(int fd, struct publisher_news *ret, bool wait)
{
	struct iovec iov = {ret, sizeof(*ret)};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
	long r;

	do
		r = raw_pass(SYS_recvmsg, fd, (long)&m, wait ? 0 : MSG_DONTWAIT, 0, 0);
	while (r == -EINTR);
	ret->text[sizeof(ret->text) - 1] = '\0';
	if (r == (long)sizeof(*ret))
		return true;
	ret->kind = r == -EAGAIN ? PUBLISHER_READY : PUBLISHER_FAILED;
	ret->text[0] = '\0';
	return false;
}

static int above(int fd)
{
	int r = fd > 2 ? fd : fcntl(fd, F_DUPFD_CLOEXEC, 3);

	if (r != fd)
		close(fd);
	return r;
}

int publisher_start(struct cli *cli, const struct publisher_order *o, struct publisher *ret)
{
	int news[2] = {-1, -1}, life[2] = {-1, -1};
	struct publisher_news n;
	pid_t pid;

	*ret = (struct publisher){.news = -1, .life = -1};
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, news) < 0 || pipe2(life, O_CLOEXEC) < 0)
		return cli_fail(cli, -errno, "cannot start the publisher");
	for (int i = 0; i < 2; i++) {
		news[i] = above(news[i]);
		life[i] = above(life[i]);
	}
	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		struct publisher_pipes p = {.news = news[1], .life = o->with_run ? life[0] : -1};

		close(news[0]);
		close(life[1]);
		publisher_main(&cli->net, o, &p);
	}
	close(news[1]);
	close(life[0]);
	if (pid < 0) {
		close(news[0]);
		close(life[1]);
		return cli_fail(cli, -errno, "cannot start the publisher");
	}
	*ret = (struct publisher){.pid = pid, .news = news[0], .life = life[1]};
	while (receive(ret->news, &n, true)) {
		if (n.kind == PUBLISHER_READY)
			return 0;
		cli_warn(cli, "%s", cli_clean(n.text));
		if (n.kind == PUBLISHER_FAILED)
			break;
	}
	if (!n.text[0])
		cli_warn(cli, "the publisher ended before it had begun");
	publisher_end(cli, ret, true);
	return CLI_FAILED;
}

bool publisher_hear(struct cli *cli, struct publisher *p, bool quiet)
{
	struct publisher_news n;

	while (p->news >= 0 && receive(p->news, &n, false))
		if (!quiet)
			cli_warn(cli, "%s", cli_clean(n.text));
	if (p->news >= 0 && n.kind == PUBLISHER_FAILED) {
		close(p->news);
		p->news = -1;
	}
	return p->news >= 0;
}

void publisher_end(struct cli *cli, struct publisher *p, bool last)
{
	struct pollfd pfd = {.fd = p->news, .events = POLLIN};

	if (!p->pid)
		return;
	if (p->life >= 0)
		close(p->life);
	p->life = -1;
	/* Its end of the socket closes when the kernel has taken all it had. */
	for (int i = 0; last && p->news >= 0 && i < 16; i++) {
		if (poll(&pfd, 1, END_MS) <= 0) {
			kill(p->pid, SIGKILL); /* it is stopped */
			break;
		}
		(void)publisher_hear(cli, p, true);
	}
	if (last)
		while (waitpid(p->pid, NULL, 0) < 0 && errno == EINTR)
			;
	if (p->news >= 0)
		close(p->news);
	*p = (struct publisher){.news = -1, .life = -1};
}

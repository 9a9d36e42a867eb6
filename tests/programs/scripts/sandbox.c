/* sandbox.c ADDRESS PORT prctl|seccomp: connects, allows itself six system calls and is killed for any other,
 * and then talks, passes itself descriptors and says "all is well".
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define CHECK(x)                                                       \
	do {                                                           \
		if (!(x)) {                                            \
			static const char text[] = "not so: " #x "\n"; \
			(void)!write(2, text, sizeof(text) - 1);       \
			_exit(1);                                      \
		}                                                      \
	} while (0)

#define ALLOW(nr) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_##nr, 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)

static void confine(const char *how)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		ALLOW(read),
		ALLOW(write),
		ALLOW(recvmsg),
		ALLOW(sendmsg),
		ALLOW(close),
		ALLOW(exit_group),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
	};
	struct sock_fprog prog = {sizeof(code) / sizeof(code[0]), code};

	CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	if (strcmp(how, "prctl") == 0)
		CHECK(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog) == 0);
	else
		CHECK(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog) == 0);
}

static void pass(int via, int back, int fd)
{
	union {
		char octets[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = {0};
	char c = 'x';
	struct iovec iov = {&c, 1};
	struct msghdr m = {.msg_iov = &iov,
			   .msg_iovlen = 1,
			   .msg_control = &control,
			   .msg_controllen = sizeof(control)};
	struct cmsghdr *h = CMSG_FIRSTHDR(&m);

	h->cmsg_level = SOL_SOCKET;
	h->cmsg_type = SCM_RIGHTS;
	h->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(h), &fd, sizeof(fd));
	CHECK(sendmsg(via, &m, MSG_NOSIGNAL) == 1);
	CHECK(recvmsg(back, &m, 0) == 1);
	h = CMSG_FIRSTHDR(&m);
	CHECK(h && h->cmsg_type == SCM_RIGHTS);
	memcpy(&fd, CMSG_DATA(h), sizeof(fd));
	CHECK(write(fd, "over a passed one", 17) == 17);
	CHECK(close(fd) == 0);
}

int main(int argc, char **argv)
{
	struct sockaddr_in far = {.sin_family = AF_INET};
	char b[64];
	size_t got = 0;
	int fd, pair[2], other[2];

	CHECK(argc == 4 && inet_pton(AF_INET, argv[1], &far.sin_addr) == 1);
	far.sin_port = htons((unsigned short)atoi(argv[2]));
	CHECK((fd = socket(AF_INET, SOCK_STREAM, 0)) >= 0);
	CHECK(connect(fd, (struct sockaddr *)&far, sizeof(far)) == 0);
	CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
	CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, other) == 0);
	confine(argv[3]);
	pass(pair[0], pair[1], fd);
	while (got < 17) {
		ssize_t n = read(fd, b + got, sizeof(b) - got);

		CHECK(n > 0);
		got += (size_t)n;
	}
	CHECK(memcmp(b, "OVER A PASSED ONE", 17) == 0);
	pass(pair[0], pair[1], other[0]);
	CHECK(read(other[1], b, sizeof(b)) == 17);
	CHECK(write(fd, "end", 3) == 3);
	CHECK(read(fd, b, sizeof(b)) == 3);
	CHECK(read(fd, b, sizeof(b)) == 0); /* the server ends after "end" */
	CHECK(close(fd) == 0);
	CHECK(write(1, "all is well\n", 12) == 12);
	_exit(0);
}

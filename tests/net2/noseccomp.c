/* tests/net2/noseccomp.c: run a program where seccomp(2) is refused, as in a container that forbids it.
 *
 *     noseccomp [-l] PROGRAM [ARGUMENT...]     -l: only new listeners are refused, with EBUSY
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	int only_listeners = argc > 1 && !strcmp(argv[1], "-l");
	struct sock_filter f[] = {
		{BPF_LD | BPF_W | BPF_ABS, 0, 0, 0}, /* nr */
		{BPF_JMP | BPF_JEQ | BPF_K, 0, 4, SYS_seccomp},
		{BPF_LD | BPF_W | BPF_ABS, 0, 0, 16}, /* args[0] */
		{BPF_JMP | BPF_JEQ | BPF_K, 1, 0, SECCOMP_SET_MODE_FILTER},
		{BPF_RET | BPF_K, 0, 0, only_listeners ? SECCOMP_RET_ALLOW : SECCOMP_RET_ERRNO | EPERM},
		{BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ERRNO | (only_listeners ? EBUSY : EPERM)},
		{BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW},
	};
	struct sock_fprog p = {sizeof(f) / sizeof(f[0]), f};

	if (argc < 2 + only_listeners)
		return 2;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &p) < 0) {
		perror("noseccomp");
		return 77;
	}
	execvp(argv[1 + only_listeners], argv + 1 + only_listeners);
	perror(argv[1 + only_listeners]);
	return 127;
}

/* tests/shim/life_exec.c: life.c: exec in every form, spawn, and programs that go into the background. */
#include "life.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <wordexp.h>

extern char **environ;

void exec_as(enum form f, const char *a, const char *b, char *const *env)
{
	char *const argv[] = {(char *)"life", (char *)"--role", (char *)a, (char *)b, NULL};

	switch (f) {
	case EXECV:
		execv(life_self, argv);
		break;
	case EXECVE:
		execve(life_self, argv, env);
		break;
	case EXECVP:
		execvp(life_self, argv);
		break;
	case EXECVPE:
		execvpe(life_self, argv, env);
		break;
	case EXECL:
		execl(life_self, "life", "--role", a, b, (char *)NULL);
		break;
	case EXECLP:
		execlp(life_self, "life", "--role", a, b, (char *)NULL);
		break;
	case EXECLE:
		execle(life_self, "life", "--role", a, b, (char *)NULL, env);
		break;
	case FEXECVE:
		fexecve(open(life_self, O_RDONLY | O_CLOEXEC), argv, env);
		break;
	case EXECVEAT:
		execveat(AT_FDCWD, life_self, argv, env, 0);
		break;
	case N_FORMS:
		break;
	}
	_exit(127);
}

static pid_t start(bool by_vfork, enum form f, const char *a, const char *b)
{
	pid_t pid = by_vfork ? vfork() : fork();

	if (pid == 0)
		exec_as(f, a, b, environ);
	return pid;
}

static void exec_with_sockets(void)
{
	for (int f = 0; f < N_FORMS; f++)
		for (int v = 0; v < 2; v++) { /* after fork, after vfork */
			int l = listener(0), port = port_of(l);
			pid_t pid;

			WANT(l >= 0 && port > 0);
			pid = start(v, (enum form)f, "serve", number(l));
			close(l);
			WANT(answers(port));
			WANT(reap(pid) == 0);
			WANT(dial(port) < 0 && errno == ECONNREFUSED);
		}
}

static void exec_with_nothing(void)
{
	char *none[] = {NULL}, *one[] = {(char *)"A=1", NULL};
	char *const *envs[] = {NULL, none, one};
	int l = listener(0);
	pid_t pid;

	for (int f = 0; f < N_FORMS; f++)
		for (int e = 0; e < 3; e++) {
			pid = fork();
			if (pid == 0) {
				clearenv();
				exec_as((enum form)f, "dial", number(port_of(l)), envs[e]);
			}
			/* glibc's fexecve() wants an environment */
			WANT(reap(pid) == (f == FEXECVE && e == 0 ? 127 : 0));
		}
	close(l);
}

static void env_i(void)
{
	int l = listener(0);
	char command[4400];
	FILE *p;
	pid_t pid;

	snprintf(command, sizeof(command), "env -i '%s' --role dial %d", life_self, port_of(l));
	WANT(system(command) == 0);
	p = popen(command, "r");
	WANT(p && pclose(p) == 0);
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		wordexp_t w;

		clearenv();
		if (system(command) != 0)
			_exit(1);
		p = popen(command, "r");
		if (!p || pclose(p) != 0)
			_exit(2);
		snprintf(command, sizeof(command), "$('%s' --role dial %d && echo yes)", life_self, port_of(l));
		if (wordexp(command, &w, 0) != 0 || w.we_wordc != 1 || strcmp(w.we_wordv[0], "yes") != 0)
			_exit(3);
		_exit(environ && environ[0] ? 4 : 0); /* to the program it stays cleared */
	}
	WANT(reap(pid) == 0);
	close(l);
}

static void spawn_actions(void)
{
	char *const argv[] = {(char *)"life", (char *)"--role", (char *)"serve", (char *)"0", NULL};
	int l = listener(0), port = port_of(l), l2 = listener(0);
	posix_spawn_file_actions_t fa;
	posix_spawnattr_t attr;
	char *none[] = {NULL};
	sigset_t all;
	pid_t pid;

	WANT(l >= 0 && l2 >= 0);
	for (int round = 0; round < 4; round++) {
		posix_spawn_file_actions_init(&fa);
		posix_spawn_file_actions_addopen(&fa, 90, "/dev/null", O_RDWR, 0);
		posix_spawn_file_actions_adddup2(&fa, l, 0);
		posix_spawn_file_actions_addclose(&fa, l2);
		posix_spawn_file_actions_addchdir_np(&fa, "/");
		posix_spawn_file_actions_addclosefrom_np(&fa, 3);
		posix_spawnattr_init(&attr);
		sigemptyset(&all);
		posix_spawnattr_setsigmask(&attr, &all);
		sigfillset(&all);
		posix_spawnattr_setsigdefault(&attr, &all);
		posix_spawnattr_setpgroup(&attr, 0);
		posix_spawnattr_setflags(&attr,
					 (short)(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_RESETIDS |
						 (round % 2 ? POSIX_SPAWN_SETPGROUP : POSIX_SPAWN_SETSID) |
						 (round % 2 ? POSIX_SPAWN_USEVFORK : 0)));
		WANT((round < 2 ? posix_spawn : posix_spawnp)(&pid, life_self, &fa, &attr, argv,
							      round % 2 ? environ : none) == 0);
		WANT(answers(port));
		WANT(reap(pid) == 0);
		posix_spawn_file_actions_destroy(&fa);
		posix_spawnattr_destroy(&attr);
	}
	WANT(posix_spawn(&pid, "/no/such/program", NULL, NULL, argv, environ) == ENOENT);
	WANT(posix_spawn(&pid, life_self, NULL, NULL,
			 (char *const[]){(char *)"life", (char *)"--role", (char *)"dial", (char *)number(port), NULL},
			 NULL) == 0);
	WANT(reap(pid) == 0);
	close(l);
	close(l2);
}

static void exec_fails(void)
{
	char *const argv[] = {(char *)"life", NULL};
	int before = n_descriptors(), l = listener(0);

	WANT(execve("/no/such/program", argv, NULL) < 0 && errno == ENOENT);
	WANT(execvp("no-such-program", argv) < 0 && errno == ENOENT);
	WANT(execl("/etc/passwd", "x", (char *)NULL) < 0 && errno == EACCES);
	WANT(execve("/", argv, environ) < 0 && errno == EACCES);
	WANT(fexecve(-1, argv, environ) < 0 && (errno == EINVAL || errno == EBADF));
	WANT(l >= 0 && port_of(l) > 0 && cycle() == 0); /* and everything goes on */
	close(l);
	WANT(n_descriptors() == before);
}

/* --- background --- */

static void daemons(void)
{
	int l = listener(0), port = port_of(l);

	WANT(l >= 0);
	fflush(stdout);
	for (int i = 0; i < 3; i++) {
		pid_t pid = fork();

		if (pid == 0) {
			if (i == 0 && daemon(1, 1) < 0)
				_exit(1);
			if (i == 1 && (setsid() < 0 || fork() != 0))
				_exit(0);
			if (i == 2) { /* the classic: everything closed but the listener, / as folder, no terminal */
				if (fork() != 0)
					_exit(0);
				setsid();
				if (fork() != 0)
					_exit(0);
				(void)!chdir("/");
				umask(0);
				for (int fd = 0; fd < 1024; fd++)
					if (fd != l)
						close(fd);
				open("/dev/null", O_RDWR);
			}
			_exit(serve(l));
		}
		WANT(answers(port));
		WANT(reap(pid) == 0);
	}
	close(l);
	for (int i = 0; i < 100; i++) { /* the last one needs a moment to end, and may reset who comes in that moment */
		l = dial(port);
		if (l < 0 && errno == ECONNREFUSED)
			break;
		if (l >= 0)
			close(l);
		usleep(10000);
	}
	WANT(l < 0 && errno == ECONNREFUSED);
}

const struct check life_exec[] = {
	{"exec in nine forms, after fork and vfork, with a listener", exec_with_sockets},
	{"exec with an empty environment, or none", exec_with_nothing},
	{"env -i, system, popen, wordexp with a cleared environment", env_i},
	{"posix_spawn with every attribute and action", spawn_actions},
	{"an exec that fails changes nothing", exec_fails},
	{"daemon, setsid, double fork", daemons},
};
const size_t n_life_exec = sizeof(life_exec) / sizeof(life_exec[0]);

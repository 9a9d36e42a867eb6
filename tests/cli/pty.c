/* tests/cli/pty.c BERTH: berth on a terminal, typed at as a person would.
 *
 * A shell with job control runs on a pseudo-terminal; each step types something and waits for a text
 * that the echo of the typing cannot contain (a sum, a status). Bounded: a step that waits longer
 * than ten seconds fails and shows what was on the screen.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const struct step {
	const char *name, *type, *expect;
} steps[] = {
	{"the shell is there", "echo ready=$((1+1))\n", "ready=2"},
	{"a program reads from the terminal", "$B run -- cat\n", NULL},
	{"its lines come back", "hello\n", "hello\r\nhello\r\n"},
	{"Ctrl-Z stops the job", "\032", "Stopped"},
	{"the shell has the terminal meanwhile", "echo mean=$((2+2))\n", "mean=4"},
	{"fg continues it", "fg\n", NULL},
	{"and it reads on", "again\n", "again\r\nagain\r\n"},
	{"Ctrl-C ends it", "\003", NULL},
	{"by the signal", "echo code=$?\n", "code=130"},
	{"a program that stops itself stops the job", "$B run -- sh -c 'kill -TSTP $$; echo back=$((3+3))'\n",
	 "Stopped"},
	{"and goes on with it", "fg\n", "back=6"},
	{"Ctrl-C reaches a program once",
	 "$B run -- sh -c 'n=0; trap \"n=\\$((n+1))\" INT; echo go=$((4+4)); while [ $n = 0 ]; "
	 "do sleep 0.1; done; sleep 0.5; echo times=$n'\n",
	 "go=8"},
	{"and not twice", "\003", "times=1"},
	{"a program that handles Ctrl-C and goes on is not left behind",
	 "$B run -- sh -c 'trap \"exit 9\" INT; echo "
	 "w=$((5+5)); while :; do sleep 0.1; done'\n",
	 "w=10"},
	{"its own exit code counts", "\003", NULL},
	{"", "echo code=$?\n", "code=9"},
	{"Ctrl-\\ ends a program by SIGQUIT", "$B run -- sh -c 'echo q=$((6+6)); exec sleep 100'\n", "q=12"},
	{"", "\034", "Quit"},
	{"", "echo code=$?\n", "code=131"},
	{"a shell of its own inside", "$B run -- bash --norc -i\n", NULL},
	{"has job control", "echo inner=$((7+7))\n", "inner=14"},
	{"suspends", "suspend\n", "Stopped"},
	{"and comes back", "fg\n", NULL},
	{"", "echo inner=$((8+8))\n", "inner=16"},
	{"", "exit 5\n", NULL},
	{"", "echo code=$?\n", "code=5"},
	{"free: a program reads from the terminal", "$B free -- cat\n", NULL},
	{"free: its lines come back", "here\n", "here\r\nhere\r\n"},
	{"free: Ctrl-Z stops the job", "\032", "Stopped"},
	{"free: the shell has the terminal meanwhile", "echo mean=$((30+2))\n", "mean=32"},
	{"free: fg continues it", "fg\n", NULL},
	{"free: and it reads on", "more\n", "more\r\nmore\r\n"},
	{"free: Ctrl-C ends it", "\003", NULL},
	{"free: by the signal", "echo code=$?\n", "code=130"},
	{"free: a program that stops itself stops the job", "$B free -- sh -c 'kill -TSTP $$; echo back=$((30+3))'\n",
	 "Stopped"},
	{"free: and goes on with it", "fg\n", "back=33"},
	{"free: Ctrl-C reaches a program once",
	 "$B free -- sh -c 'n=0; trap \"n=\\$((n+1))\" INT; echo go=$((30+4)); while [ $n = 0 ]; "
	 "do sleep 0.1; done; sleep 0.5; echo times=$n'\n",
	 "go=34"},
	{"free: and not twice", "\003", "times=1"},
	{"free: a shell of its own inside", "$B free -- bash --norc -i\n", NULL},
	{"free: suspends", "echo inner=$((30+5)); suspend\n", "Stopped"},
	{"free: and comes back", "fg\n", NULL},
	{"free: with the port", "echo \"have=${PORT:+$((30+6))}\"\n", "have=36"},
	{"free: and ends", "exit 5\n", NULL},
	{"free: as it does", "echo code=$?\n", "code=5"},
	{"in the background it runs, too", "$B run -- sleep 0.2 & wait $!; echo bg=$?$((9+9))\n", "bg=018"},
	{"a long table on a narrow terminal",
	 "$B run -H a-rather-long-host-name -p 0:8080 -- python3 -m http.server 8080 >/dev/null 2>&1 & sleep 1.5; "
	 "echo up=$((10+10))\n",
	 "up=20"},
	{"does not wrap", "$B ls; echo shown=$((11+11))\n", "shown=22"},
	{"nor do others: ls --published", "$B ls --published; echo shown=$((12+12))\n", "shown=24"},
	{"nor do others: net show", "$B net show; echo shown=$((13+13))\n", "shown=26"},
	{"(a refusal)",
	 "$B run -q --isolated -- python3 -c 'import socket; socket.create_connection((\"203.0.113.7\", 443))' 2>/dev/null; "
	 "echo gone=$((14+14))\n",
	 "gone=28"},
	{"nor do others: ls --refused", "$B ls --refused; echo shown=$((15+15))\n", "shown=30"},
};

static char screen[1 << 16];
static size_t filled;

/* Read until text is there, at most ms. */
static int wait_for(int fd, const char *text, int ms)
{
	struct timespec now, end;

	clock_gettime(CLOCK_MONOTONIC, &end);
	end.tv_sec += ms / 1000;
	end.tv_nsec += (ms % 1000) * 1000000L;
	for (;;) {
		struct pollfd p = {.fd = fd, .events = POLLIN};
		long left;
		ssize_t n;

		if (text && strstr(screen, text))
			return 1;
		clock_gettime(CLOCK_MONOTONIC, &now);
		left = (end.tv_sec - now.tv_sec) * 1000 + (end.tv_nsec - now.tv_nsec) / 1000000;
		if (left <= 0 || filled >= sizeof(screen) - 1)
			return 0;
		if (poll(&p, 1, (int)left) <= 0)
			continue;
		n = read(fd, screen + filled, sizeof(screen) - 1 - filled);
		if (n <= 0)
			return text && strstr(screen, text);
		filled += (size_t)n;
		screen[filled] = '\0';
	}
}

static void forget(void)
{
	filled = 0;
	screen[0] = '\0';
}

/* Every line of the table (it starts with a number or PORT) has at most columns characters. */
static int fits(size_t columns)
{
	int rows = 0;

	for (char *line = screen; line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL) {
		const char *p = line + strspn(line, " ");
		size_t len = strcspn(line, "\r\n");

		if (strncmp(p, "PORT", 4) != 0 && strncmp(p, "8080", 4) != 0)
			continue;
		rows++;
		if (len > columns)
			return 0;
	}
	return rows == 2;
}

/* So has every line behind the one that was typed. */
static int all_fit(size_t columns)
{
	const char *line = strchr(screen, '\n');
	int rows = 0;

	for (; line; line = strchr(line, '\n'), rows++)
		if (strcspn(++line, "\r\n") > columns)
			return 0;
	return rows > 2;
}

/* berth is what the terminal was opened for (xterm -e, ssh -t): when it goes, so does the program. */
static int ends_with_its_terminal(const char *berth)
{
	int fd, status = 0;
	pid_t pid;

	forget();
	pid = forkpty(&fd, NULL, NULL, NULL);
	if (pid < 0)
		return 0;
	if (pid == 0) {
		for (int sig = 1; sig < 32; sig++)
			(void)signal(sig, SIG_DFL);
		execl(berth, "berth", "run", "--", "sh", "-c", "echo here=$((3+4)); exec sleep 60", (char *)NULL);
		_exit(77);
	}
	if (!wait_for(fd, "here=7", 10000)) {
		printf("not ok: a program on a terminal of its own\n%s\n", screen);
		kill(pid, SIGTERM);
	}
	close(fd);
	for (int i = 0; i < 100 && waitpid(pid, &status, WNOHANG) == 0; i++)
		(void)nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGHUP) {
		printf("ok: a program ends with its terminal\n");
		return 1;
	}
	printf("not ok: a program ends with its terminal: status %x\n", (unsigned)status);
	kill(pid, SIGTERM); /* passed on */
	return 0;
}

int main(int argc, char **argv)
{
	struct winsize size = {.ws_row = 24, .ws_col = 50};
	char dir[] = "/tmp/berth-pty-XXXXXX", command[64];
	int fd, failed = 0, status;
	pid_t shell;

	if (argc < 2 || !mkdtemp(dir))
		return 2;
	setenv("BERTH_DIR", dir, 1);
	setenv("B", argv[1], 1);
	setenv("PS1", "> ", 1);
	setenv("TERM", "dumb", 1);
	unsetenv("LD_PRELOAD");
	shell = forkpty(&fd, NULL, NULL, &size);
	if (shell < 0)
		return 77;
	if (shell == 0) {
		/* Whoever started the tests in the background had these ignored, and a shell passes that on. */
		for (int sig = 1; sig < 32; sig++)
			(void)signal(sig, SIG_DFL);
		execlp("bash", "bash", "--norc", "-i", (char *)NULL);
		_exit(77);
	}
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]) && failed == 0; i++) {
		const struct step *s = &steps[i];

		forget();
		if (write(fd, s->type, strlen(s->type)) < 0)
			failed++;
		if (!s->expect) { /* nothing to see: give it the time a person would */
			wait_for(fd, NULL, 700);
			continue;
		}
		if (!wait_for(fd, s->expect, 10000)) {
			printf("not ok: %s\n  typed    %s\n  expected %s\n  screen   %s\n", s->name, s->type, s->expect,
			       screen);
			failed++;
		} else if ((strcmp(s->name, "does not wrap") == 0 && !fits(size.ws_col)) ||
			   (strncmp(s->name, "nor do others", 13) == 0 && !all_fit(size.ws_col))) {
			printf("not ok: %s\n%s\n", s->name, screen);
			failed++;
		} else {
			printf("ok: %s\n", *s->name ? s->name : s->expect);
		}
	}
	(void)!write(fd, "kill %1; wait; exit\n", 18);
	wait_for(fd, NULL, 300);
	kill(shell, SIGHUP);
	close(fd);
	waitpid(shell, &status, 0);
	failed += !ends_with_its_terminal(argv[1]);
	snprintf(command, sizeof(command), "rm -rf '%s'", dir);
	if (system(command) != 0)
		return 1;
	printf("%s\n", failed ? "FAILED" : "passed");
	return failed ? 1 : 0;
}

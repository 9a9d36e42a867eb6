/* tests/net2/counts.c: what the supervisor of this tree has had to do: "served passed-on asked". */
#include <stdio.h>
#include <string.h>

#include "network/ask.h"

int main(void)
{
	struct ask_counts c;
	long r = ask(ASK_COUNTS, &c, sizeof(c));

	if (r < 0) {
		printf("nobody: %s\n", strerror((int)-r));
		return 1;
	}
	printf("%llu %llu %llu\n", (unsigned long long)c.n_served, (unsigned long long)c.n_passed_on,
	       (unsigned long long)c.n_asked);
	return 0;
}

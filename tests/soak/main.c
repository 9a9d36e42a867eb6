/* tests/soak/main.c: the soaks, small or whole.
 *
 *	soak [--full] [--only churn|ports|flood] [--connections N] [--rounds N] [--ports N] [--flood-ms N] [--seed S]
 *
 * Without arguments a few seconds' worth, as `make test` runs it; --full is `make soak`: a million connections, every ephemeral port twenty
 * times over, five virtual seconds of a million SYNs each. What fails is one line, and is the same with the same arguments.
 */
#include "soak.h"

#include <string.h>

static bool number(const char *name, int argc, char **argv, int *at, uint64_t *ret)
{
	if (strcmp(argv[*at], name) != 0 || *at + 1 >= argc)
		return false;
	*ret = strtoull(argv[++*at], NULL, 0);
	return true;
}

int main(int argc, char **argv)
{
	uint64_t connections = 20000, rounds = 4, ports = 500, flood_ms = 100, seed = 1;
	const char *only = NULL;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--full") == 0) {
			connections = 1000000;
			rounds = 20;
			ports = 28232;
			flood_ms = 5000;
		} else if (strcmp(argv[i], "--only") == 0 && i + 1 < argc) {
			only = argv[++i];
		} else if (!number("--connections", argc, argv, &i, &connections) &&
			   !number("--rounds", argc, argv, &i, &rounds) && !number("--ports", argc, argv, &i, &ports) &&
			   !number("--flood-ms", argc, argv, &i, &flood_ms) &&
			   !number("--seed", argc, argv, &i, &seed)) {
			fprintf(stderr, "soak: '%s'? See the head of tests/soak/main.c\n", argv[i]);
			return 2;
		}
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (!only || strcmp(only, "churn") == 0)
		soak_churn(connections, seed);
	if (!only || strcmp(only, "ports") == 0)
		soak_ports((unsigned)rounds, (uint32_t)ports);
	for (int family = 4; family <= 6 && (!only || strcmp(only, "flood") == 0); family += 2)
		soak_flood((unsigned)flood_ms, family);
	puts("all of it held");
	return 0;
}

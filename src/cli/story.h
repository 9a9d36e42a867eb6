/* src/cli/story.h: who holds a port of the machine, put together: a program with its doors, connections and past. */
#ifndef BERTH_CLI_STORY_H
#define BERTH_CLI_STORY_H

#include "cli/columns.h"
#include "cli/doors.h"

#define STORY_DOORS_MAX 8
#define STORY_PEERS_MAX 3
#define STORIES_MAX 32

/* What a bind beside it told of an option. */
enum story_tried { STORY_TRIED_NOTHING, STORY_TRIED_NO, STORY_TRIED_YES };

struct story_peer {
	struct port_addr addr;
	uint32_t n;
};

/* One holder: a program with a number over one protocol, or the kernel. */
struct story {
	struct door door;	       /* the one it is told by: a listener, if there is one */
	size_t doors[STORY_DOORS_MAX]; /* numbers of rows that are listening or bound */
	size_t n_doors;		       /* of them the first STORY_DOORS_MAX are above */
	bool has_process;
	struct host_process process;
	struct host_parent parents[HOST_PARENTS_MAX];
	size_t n_parents;
	uint64_t started_unix_s; /* 0: not known */
	struct {
		bool known;
		struct host_flags f;
		enum story_tried reuseaddr, reuseport; /* when they are not known: of doors only */
	} flags[STORY_DOORS_MAX];	/* of doors; of a story without one, [0] is its first connection's */
	uint32_t n_state[HOST_NSTATES]; /* its connections */
	uint32_t n_connections;
	struct story_peer peers[STORY_PEERS_MAX]; /* who has most of them */
	uint64_t ends_in_ms;			  /* the last of the lingering ones */
	bool is_split, shares_address, is_activation;
	char socket_unit[128]; /* the unit that systemd listens for; "" */
	char what[256];	       /* of a holder that is no process, or an unusual one: what it is */
	char stop[320];	       /* the command that ends it properly; "" */
};

struct stories {
	struct story *r;
	size_t n;
	size_t n_left_out; /* holders past STORIES_MAX */
	uint32_t *of_row;  /* number + 1 of the story that a row of doors is in; 0: a network's, or left out */
};

/* Put together the machine's rows. Return: 0; an exit code, said. */
MUST_CHECK int stories_read(struct cli *cli, struct doors *d, struct stories *ret);
void stories_free(struct stories *s);
void story_print(struct cli *cli, struct doors *d, const struct story *s);
/* Keys that row i of `who` has besides those of `ls`. s NULL: it is a network's, and stop is how that is ended. */
void story_put(struct json_out *o, const struct story *s, size_t i, const char *stop);

/* Options of doors that are not known, as far as a bind can tell (story_try.c). */
void story_try(struct doors *d, struct story *s);
/* What the holder is, when that is not plain, and how it is stopped (story_stop.c). */
void story_explain(struct cli *cli, struct doors *d, struct story *s);
/* "nginx (812), bash (800), systemd (1)" */
char *story_parents(const struct story *s, char *text, size_t room);

#endif

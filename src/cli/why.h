/* src/cli/why.h: `berth why` for the machine's own kernel: the answer, who is in the way, and what else will hurt. */
#ifndef BERTH_CLI_WHY_H
#define BERTH_CLI_WHY_H

#include "cli/explain.h"
#include "cli/kernel_answer.h"
#include "cli/machine.h"
#include "cli/proc.h"
#include "cli/published.h"

struct why_asked {
	struct port_want want;
	bool listen;
	bool has_from; /* --from: who is to reach it */
	struct port_addr from;
	const char *from_text;
};

/* Trouble that is no conflict. Codes are stable: docs/reasons.md. */
struct why_note {
	const char *code; /* "EPHEMERAL" */
	char text[320];
	char fix[320]; /* a command; "" */
};
#define WHY_NOTES_MAX 16

struct why {
	struct why_asked q;
	struct machine m;
	struct host_settings settings;
	struct host_bind bind;
	struct kernel_answer a;
	struct port_explanation x;
	struct port_holder holder;
	enum host_holder held; /* when a.row */
	uint16_t near;	       /* a free port near by; 0 */
	char is[400];	       /* what kind of holder it is, when that is not plain; "" */
	char unit[300];	       /* "nginx.service", "docker:0123456789ab (...)"; "" */
	char ends[240];	       /* when the port is free of it; "" */
	struct why_note notes[WHY_NOTES_MAX];
	size_t n_notes;
	bool any_unseen;
};

/* Ask the machine. published: berth's ports that lead into its networks; may be NULL. Return: 0; an exit code, said. */
MUST_CHECK int why_ask(struct cli *cli, const struct why_asked *q, const struct published_list *published,
		       struct why *ret);
void why_free(struct why *w);
/* To a person at that stream. */
void why_print(FILE *out, struct cli *cli, struct why *w);
/* The keys of docs/json.md. */
json_t *why_json(struct why *w);

/* Run a command, and explain the binds that fail in it (why_command.c). Returns its exit code, or another, said. */
int why_command(struct cli *cli, char **argv);

/* why_notes.c */
void why_notes(struct why *w, const struct published_list *published);
/* What is behind a container's proxy (why_proxy.c). */
void why_note_proxy(struct why *w);
void why_note(struct why *w, const char *code, const char *fix, const char *fmt, ...) PRINTF_LIKE(4, 5);
/* "nginx (pid 12)", or what else is known of it. Returns s. */
char *why_name(struct why *w, const struct host_bind_row *row, char s[160]);

#endif

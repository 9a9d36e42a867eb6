/* src/cli/kernel_answer.c: the model answers first, a bind proves "free" (SETTLED 17).
 *
 *     the address    asked of the kernel, takes no port (C3, 4 and 5)
 *     the model      host/bind.c: a low port (C3, 6), conflicts (C3, 8). "In use" and certain is the end of it
 *     a bind         where the model says free, or cannot be certain. What it says is the truth; who is in the way, the
 *                    model knows
 *
 * Of UDP sockets that share nothing is bound: such a socket would take datagrams at once. There the model's word stands, and is
 * said to be uncertain when it is. Where a sharing bind works, a listen would, too: it asks the same of the same neighbours (R5).
 */
#include "cli/kernel_answer.h"

#include <errno.h>
#include <unistd.h>

#include "cli/kernel_probe.h"

static bool shares(const struct port_want *w)
{
	return w->flags & (PORT_REUSEADDR | PORT_REUSEPORT);
}

/* A socket of that user's can be made, or whose it is makes no difference. */
static bool can_be(const struct port_want *w)
{
	return !(w->flags & PORT_REUSEPORT) || w->uid == geteuid() || geteuid() == 0;
}

static void prove(const struct port_want *want, struct kernel_answer *a)
{
	int r = kernel_probe_bind(want);

	if (want->proto == PORT_UDP && shares(want) && r == -EADDRINUSE)
		return; /* asked without the flags, as they do harm: "free" would have been a proof, this is none */
	a->proved = true;
	a->certain = true;
	if (r == a->refusal.err)
		return;
	if (r == 0 || r != -EADDRINUSE) {
		a->refusal = (struct port_refusal){
			.err = r,
			.rule = r == -EACCES ? PORT_RULE_PRIVILEGED
				: r == 0     ? PORT_RULE_NONE
					     : PORT_RULE_ARGUMENT,
		};
		a->row = NULL;
		return;
	}
	/* Refused, and nobody was seen in the way. */
	a->refusal = (struct port_refusal){.err = r, .rule = PORT_RULE_R1_OVERLAP};
	a->row = NULL;
}

int kernel_answer(const struct host_bind *b, const struct port_want *want, bool listen, uint16_t unprivileged_start,
		  bool real, struct kernel_answer *ret)
{
	struct host_verdict v;
	int r = real ? kernel_probe_address(want) : 0;

	*ret = (struct kernel_answer){.certain = true};
	if (r < 0) {
		ret->proved = true;
		ret->refusal.err = r;
		ret->refusal.rule = r == -EADDRNOTAVAIL ? PORT_RULE_NOT_LOCAL : PORT_RULE_ARGUMENT;
		return 0;
	}
	r = host_bind_ask(b, want, listen, unprivileged_start, &v);
	if (r < 0)
		return r;
	ret->refusal = v.refusal;
	ret->row = v.row;
	ret->certain = v.certain;
	if (!real || !can_be(want) || (v.certain && v.refusal.err != 0) ||
	    (!v.certain && want->proto == PORT_UDP && shares(want)))
		return 0;
	prove(want, ret);
	return 0;
}

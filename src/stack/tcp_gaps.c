/* src/stack/tcp_gaps.c: which octets beyond rcv_nxt have arrived: intervals, ascending, apart from each other, at most
 * TCP_GAPS_MAX of them.
 *
 * The octets themselves lie in the receiving ring at their places, so an interval is all there is to know, and what a peer can make
 * us hold does not depend on how small it cuts its segments (S15; CVE-2018-5390). When the array is full, a segment that would
 * make one more interval is refused; one that touches an interval is not.
 *
 * `recent` has a number out of each of the intervals that changed last, the newest first: RFC 2018, 4 wants SACK blocks in that order.
 * Intervals that merge may leave two numbers in one of them; the older goes.
 *
 * Always true (tcp_gaps_check())
 *	G1  rcv_nxt < v[0].left; v[i].left < v[i].right < v[i + 1].left;
 *	G2  each number of recent lies in an interval, no two in the same;
 *	G3  has_fin: the last interval ends with the FIN, fin_seq + 1.
 *
 * Cost: 32 comparisons at most; segments come in order mostly, so the search begins at the end.
 */
#include "stack/tcp_data.h"

#include <string.h>

const struct wire_tcp_sack *tcp_gaps_find(const struct tcp_gaps *g, uint32_t s)
{
	for (uint32_t i = 0; i < g->n; i++)
		if (seq_in(s, g->v[i].left, g->v[i].right))
			return &g->v[i];
	return NULL;
}

/* s becomes the newest; others in its interval go. */
static void touch(struct tcp_gaps *g, const struct wire_tcp_sack *in, uint32_t s)
{
	uint32_t kept[COUNT_OF(g->recent)];
	unsigned n = 0;

	kept[n++] = s;
	for (unsigned i = 0; i < g->n_recent && n < COUNT_OF(kept); i++)
		if (!seq_in(g->recent[i], in->left, in->right))
			kept[n++] = g->recent[i];
	memcpy(g->recent, kept, n * sizeof(kept[0]));
	g->n_recent = (uint8_t)n;
}

bool tcp_gaps_add(struct tcp_gaps *g, uint32_t from, uint32_t to, struct wire_tcp_sack *ret_dup)
{
	uint32_t i = g->n, j;
	struct wire_tcp_sack dup = {from, from};

	ASSERT(seq_lt(from, to));
	while (i > 0 && seq_le(from, g->v[i - 1].right)) /* v[i] is the first that ends at from or later */
		i--;
	for (j = i; j < g->n && seq_le(g->v[j].left, to); j++) /* [i, j) touch it */
		if (dup.left == dup.right) {
			dup.left = seq_max(from, g->v[j].left);
			dup.right = seq_max(dup.left, seq_min(to, g->v[j].right));
		}
	if (i == j) {
		if (g->n == TCP_GAPS_MAX)
			return false;
		memmove(&g->v[i + 1], &g->v[i], (g->n - i) * sizeof(g->v[0]));
		g->v[i] = (struct wire_tcp_sack){from, to};
		g->n++;
	} else {
		g->v[i].left = seq_min(g->v[i].left, from);
		g->v[i].right = seq_max(g->v[j - 1].right, to);
		memmove(&g->v[i + 1], &g->v[j], (g->n - j) * sizeof(g->v[0]));
		g->n -= j - i - 1;
	}
	touch(g, &g->v[i], from);
	*ret_dup = dup;
	return true;
}

uint32_t tcp_gaps_advance(struct tcp_gaps *g, uint32_t nxt)
{
	uint32_t n_done = 0, n_recent = 0;

	while (n_done < g->n && seq_le(g->v[n_done].left, nxt)) {
		nxt = seq_max(nxt, g->v[n_done].right);
		n_done++;
	}
	if (!n_done)
		return nxt;
	memmove(&g->v[0], &g->v[n_done], (g->n - n_done) * sizeof(g->v[0]));
	g->n -= n_done;
	for (unsigned i = 0; i < g->n_recent; i++)
		if (seq_le(nxt, g->recent[i]))
			g->recent[n_recent++] = g->recent[i];
	g->n_recent = (uint8_t)n_recent;
	return nxt;
}

bool tcp_gaps_check(const struct tcp_gaps *g, uint32_t nxt)
{
	if (g->n == 0 || g->n > TCP_GAPS_MAX || g->n_recent > COUNT_OF(g->recent))
		return false;
	for (uint32_t i = 0; i < g->n; i++) {
		if (!seq_lt(g->v[i].left, g->v[i].right) || !seq_lt(nxt, g->v[i].left))
			return false; /* G1 */
		nxt = g->v[i].right;
	}
	for (unsigned i = 0; i < g->n_recent; i++) {
		const struct wire_tcp_sack *in = tcp_gaps_find(g, g->recent[i]);

		if (!in)
			return false; /* G2 */
		for (unsigned j = 0; j < i; j++)
			if (seq_in(g->recent[j], in->left, in->right))
				return false;
	}
	return !g->has_fin || g->v[g->n - 1].right == g->fin_seq + 1; /* G3 */
}

/* src/net2/replace.h: the program gets another socket behind its number (replace.c). */
#ifndef BERTH_NET2_REPLACE_H
#define BERTH_NET2_REPLACE_H

#include "net2/serve.h"

/* Where the program has the socket of c->fd, kept while the shim's function works, which may put another one in its
 * place. */
struct replace {
	int old; /* a descriptor of ours that stays the old socket's, or -1 */
	uint64_t cookie, inode;
};
void replace_begin(const struct call *c, struct replace *ret);
/* If it did: the program has the new one, too, under every number and in every epoll of its that had the old one. */
void replace_end(struct call *c, struct replace *r);

#endif

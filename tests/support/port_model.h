/* tests/support/port_model.h: the port table as slowly and plainly as it can be said. */
#ifndef BERTH_TESTS_PORT_MODEL_H
#define BERTH_TESTS_PORT_MODEL_H

#include "port/table.h"

#define MODEL_MAX 48

struct model_claim {
	bool used;
	enum claim_state state;
	struct port_want w; /* addr: the one in use once connected */
	struct port_addr peer;
	uint16_t peer_port;
	bool chosen;	     /* connect() chose the port */
	int64_t order;	     /* UDP: higher is met first */
	struct port_ref ref; /* the table's name for it */
};

struct model {
	struct model_claim c[MODEL_MAX];
	int64_t clock;
	/* D3, one per TCP port of the small set the tests use */
	struct {
		int frp; /* 0 none, 1 any, 2 strict */
		struct port_want who;
	} port[16];
	uint16_t base;
};

void model_init(struct model *m, uint16_t base);
int model_bind(struct model *m, const struct port_want *w, int *ret);
int model_listen(struct model *m, int i);
/* The port is the table's choice for an unbound one: model says whether that choice was allowed. */
bool model_may_choose(const struct model *m, const struct port_want *w, bool flow, const struct port_addr *local,
		      const struct port_addr *peer, uint16_t peer_port);
int model_tuple(const struct model *m, const struct port_want *w, const struct port_addr *peer, uint16_t peer_port);
int model_add(struct model *m, const struct port_want *w, enum claim_state state, bool bound);
void model_release(struct model *m, int i);
void model_forget(struct model *m, uint16_t port);

#endif

/* src/cli/why_proxy.c: a port that a container publishes: what is behind the proxy?
 *
 * Docker holds a published port of the machine by docker-proxy, whose command line says where it leads: -container-ip and
 * -container-port. Whoever connects gets the proxy, listening or not inside. So the namespace that has that address is looked into:
 * nobody listens there, or only on its loopback, are the two mistakes that look like "it is up, and does not answer".
 */
#include <stdlib.h>
#include <string.h>

#include "cli/docker_proxy.h"
#include "cli/why.h"

struct inside {
	struct port_addr addr;
	uint16_t port;
	enum port_proto proto;
	bool is_it;	   /* the namespace has the address */
	bool any, reached; /* somebody has the port there; on an address that the proxy reaches */
	struct port_addr loopback;
};

static bool read_target(const struct why *w, struct inside *ret)
{
	struct port_parse_error e;
	struct host_process p;
	const char *ip, *port;
	char *end;
	unsigned long n;

	if (w->holder.pid <= 0 || strcmp(w->holder.program, DOCKER_PROXY) != 0 ||
	    host_process_read(w->m.root, w->holder.pid, &p) < 0 || !docker_proxy_leads(&p, &ip, &port))
		return false;
	n = strtoul(port, &end, 10);
	if (end == port || *end || n == 0 || n > UINT16_MAX || port_addr_parse(ip, &ret->addr, &e) < 0)
		return false;
	ret->port = (uint16_t)n;
	ret->proto = w->q.want.proto;
	return true;
}

static int look(void *ctx)
{
	struct inside *in = ctx;
	const struct host_filter f = {.protos = 1u << in->proto,
				      .states = in->proto == PORT_TCP ? 1u << HOST_LISTEN : 0,
				      .ports = {in->port, in->port}};
	struct host_links links;
	struct host_sockets s;

	if (host_links_read(NULL, &links) < 0)
		return 0;
	for (size_t i = 0; i < links.n_addrs; i++)
		in->is_it |= port_addr_equal(&links.addrs[i].addr, &in->addr);
	host_links_free(&links);
	if (!in->is_it || host_sockets_read(NULL, &f, &s) < 0)
		return 0;
	for (size_t i = 0; i < s.n; i++) {
		const struct port_addr *a = &s.rows[i].addr;

		in->any = true;
		if (port_addr_is_loopback(a))
			in->loopback = *a;
		in->reached |= port_addr_equal(a, &in->addr) || host_socket_is_dual(&s.rows[i]) ||
			       (port_addr_is_any(a) && port_addr_is4(a) == port_addr_is4(&in->addr));
	}
	host_sockets_free(&s);
	return 0;
}

static void tell(struct why *w, const struct inside *in)
{
	char at[PORT_ENDPOINT_STR_MAX], there[PORT_ENDPOINT_STR_MAX];

	port_endpoint_print(&in->addr, in->port, at);
	if (!in->is_it)
		why_note(w, "CONTAINER_PROXY", "",
			 "a container publishes it, at %s; who listens there cannot be seen from here", at);
	else if (in->reached)
		why_note(w, "CONTAINER_PROXY", "", "a container publishes it: somebody listens behind it, at %s", at);
	else if (in->any)
		why_note(
			w, "CONTAINER_LOOPBACK", "",
			"a container publishes it, and inside the program has %s only, which the proxy does not reach: it must "
			"bind 0.0.0.0 there",
			port_endpoint_print(&in->loopback, in->port, there));
	else
		why_note(w, "CONTAINER_SILENT", "", "a container publishes it, and nobody listens behind it, at %s",
			 at);
}

void why_note_proxy(struct why *w)
{
	struct inside in = {0};
	struct host_netns_list l;

	if (!w->a.row || w->m.root || !read_target(w, &in) || host_netns_read(NULL, &l) < 0)
		return;
	for (size_t i = 0; i < l.n && !in.is_it; i++)
		if (!l.ns[i].is_ours && host_netns_do(NULL, &l.ns[i], look, &in) < 0)
			continue; /* not allowed: it stays unseen */
	host_netns_free(&l);
	tell(w, &in);
}

/* src/network/policy.c: the network's policy, where every program reads it and nobody waits.
 *
 * There are two slots and a word. Its lowest bit says which slot is in force, all of it is that slot's
 * generation. Who changes the policy, under the network's lock, writes the hosts file, then the other slot,
 * then the word: a reader meets the old one or the new one, whole, and a writer that is killed changes nothing.
 *
 *     word 6 --> slot 0, generation 6           word 7 --> slot 1, generation 7
 *                slot 1, generation 5 (was)                slot 0, generation 6 (was)
 *
 * A slot has a keyed sum over its generation and its policy. So what somebody scribbled there is neither
 * a policy nor an older one brought back, and is made again from the hosts file; where that cannot be (another user,
 * another root, a file that is damaged itself), nothing may pass.
 *
 * Always true
 *   N1  garbage in the record refuses, and never opens anything;
 *   N2  what a process reads was in force at some moment of the call.
 */
#include "network/policy.h"

#include "base/siphash.h"
#include "network/internal.h"

#define READS 8 /* of a record that somebody is changing */

/* --- the record --- */

static uint64_t slot_sum(const uint8_t key[16], const struct map_policy_slot *s, uint32_t n_rules)
{
	struct siphash_key k = siphash_key_from(key);

	return siphash13(&k, &s->generation,
			 sizeof(s->generation) + offsetof(struct port_policy, rules) +
				 n_rules * sizeof(struct port_policy_rule));
}

static void slot_fill(const uint8_t key[16], struct map_policy_slot *s, uint64_t generation,
		      const struct port_policy *p)
{
	s->generation = generation;
	s->policy = *p;
	s->sum = slot_sum(key, s, p->n_rules);
}

void policy_first(const struct map_fixed *f, const struct port_policy *p, struct map_policy *ret)
{
	memset(ret, 0, sizeof(*ret));
	atomic_store(&ret->word, 2);
	slot_fill(f->key, &ret->slot[0], 2, p);
}

static struct map_policy *record_of(uint8_t *map)
{
	return map ? (void *)(map + MAP_POLICY_OFF) : NULL;
}

/* The policy that is in force, copied and checked. Return: 0; -EUCLEAN; -EAGAIN, it has just changed. */
static int read_record(const struct network *n, struct map_policy *m, struct port_policy *ret)
{
	uint64_t word = atomic_load(&m->word);
	const struct map_policy_slot *s = &m->slot[word & 1];
	struct map_policy_slot copy;
	uint32_t n_rules = s->policy.n_rules;
	bool sound = n_rules <= PORT_POLICY_RULES_MAX;

	if (sound) {
		memcpy(&copy, s,
		       offsetof(struct map_policy_slot, policy.rules) + n_rules * sizeof(copy.policy.rules[0]));
		atomic_thread_fence(memory_order_acquire);
		sound = copy.policy.n_rules == n_rules && copy.generation == word &&
			copy.sum == slot_sum(n->key, &copy, n_rules) && port_policy_sane(&copy.policy);
	}
	if (!sound)
		return atomic_load(&m->word) == word ? -EUCLEAN : -EAGAIN;
	memcpy(ret, &copy.policy, offsetof(struct port_policy, rules) + n_rules * sizeof(ret->rules[0]));
	return 0;
}

static int read_policy(struct network *n, struct port_policy *ret)
{
	struct map_policy *m = record_of(map_get(n, NULL));
	int r = -EAGAIN;

	for (int i = 0; m && i < READS && r == -EAGAIN; i++)
		r = read_record(n, m, ret);
	return m && r == 0 ? 0 : -EUCLEAN;
}

/* Under the network's lock, or nobody else's yet. */
static void write_record(const struct network *n, struct map_policy *m, const struct port_policy *p)
{
	uint64_t generation = atomic_load(&m->word) + 1;

	slot_fill(n->key, &m->slot[generation & 1], generation, p);
	atomic_thread_fence(memory_order_release);
	atomic_store(&m->word, generation);
}

void policy_restore(struct network *n, const struct port_policy *p)
{
	struct map_policy *m = record_of(map_base(n));
	struct port_policy have;

	memset(&have, 0, sizeof(have));
	if (read_record(n, m, &have) == 0 && memcmp(&have, p, sizeof(have)) == 0)
		return;
	write_record(n, m, p);
}

int network_policy_get(struct network *n, struct port_policy *ret)
{
	int r;

	memset(ret, 0, sizeof(*ret));
	r = read_policy(n, ret);
	if (r < 0 && map_mend(n, NULL) == 0) {
		memset(ret, 0, sizeof(*ret));
		r = read_policy(n, ret);
	}
	return r;
}

static int set_locked(struct network *n, const struct port_policy *p)
{
	struct hosts_file f;
	int dir = dir_reopen(n), r = dir;

	if (dir < 0)
		return dir;
	f.names = raw_mmap((size_t)NETWORK_HOSTS_MAX * NETWORK_NAME_MAX, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1);
	r = f.names ? hosts_read(dir, &f, NULL) : -ENOMEM;
	if (r == 0) {
		f.policy = *p;
		r = hosts_write(dir, n->name, &f);
	}
	if (r == 0)
		hosts_restore(n, &f, NETWORK_HOSTS_MAX);
	if (f.names)
		raw_munmap(f.names, (size_t)NETWORK_HOSTS_MAX * NETWORK_NAME_MAX);
	raw_close(dir);
	return r;
}

int network_policy_set(struct network *n, const struct port_policy *p)
{
	uint64_t sigmask, me;
	struct map_header *hd;
	int r;

	if (!port_policy_sane(p))
		return -EINVAL;
	sigmask = raw_sigmask_block_all();
	me = lock_me();
	hd = map_header(n);
	r = hd ? map_lock_take(&hd->lock, me, NULL) : -EUCLEAN;
	if (r >= 0) {
		r = set_locked(n, p);
		map_lock_give(&hd->lock, me);
	}
	raw_sigmask_restore(sigmask);
	return r;
}

uint64_t network_policy_generation(struct network *n)
{
	struct map_policy *m = record_of(map_get(n, NULL));

	return m ? atomic_load(&m->word) : 0;
}

/* --- asking --- */

/* The network's own address plus one: the place that host_addr() leaves free below the first host. */
static struct port_addr first_address(const struct port_addr *net)
{
	struct port_addr a = *net;

	a.b[15] |= 1; /* a subnet has at least two bits, so the network's own address is even */
	return a;
}

void network_gateway(const struct network *n, struct port_addr *ret4, struct port_addr *ret6)
{
	*ret4 = first_address(&n->net4);
	*ret6 = first_address(&n->net6);
}

bool network_is_gateway(const struct network *n, const struct port_addr *addr)
{
	struct port_addr gateway = first_address(port_addr_is4(addr) ? &n->net4 : &n->net6);

	return memcmp(gateway.b, addr->b, sizeof(addr->b)) == 0;
}

static int ask_layer(const struct port_policy *p, enum port_policy_by by, enum port_proto proto,
		     const struct port_addr *addr, uint16_t port, struct port_policy_refusal *ret)
{
	int rule, r = port_policy_ask(p, proto, addr, port, &rule);

	if (r == 0)
		return 0;
	*ret = (struct port_policy_refusal){.by = by, .closed = p->closed, .has_rule = rule >= 0};
	if (rule >= 0)
		ret->rule = p->rules[rule];
	return r;
}

int network_policy_ask(struct network *n, const struct port_policy_chain *run, enum port_proto proto,
		       const struct port_addr *addr, uint16_t port, struct port_policy_refusal *reterr)
{
	struct port_addr to = *addr;
	struct port_policy p;
	int r = network_policy_get(n, &p);

	if (port_addr_is_any(&to) || port_addr_is_loopback(&to))
		to = first_address(port_addr_is4(&to) ? &n->net4 : &n->net6);
	if (r < 0 || (run && run->garbled)) {
		*reterr = (struct port_policy_refusal){.by = PORT_POLICY_GARBLED};
		return -ENETUNREACH;
	}
	r = ask_layer(&p, PORT_POLICY_NETWORK, proto, &to, port, reterr);
	for (uint32_t i = 0; r == 0 && run && i < run->n_layers && i < PORT_POLICY_LAYERS_MAX; i++)
		r = ask_layer(&run->layer[i], PORT_POLICY_RUN, proto, &to, port, reterr);
	return r;
}

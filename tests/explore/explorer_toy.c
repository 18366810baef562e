/*
 * The protocol that the benchmarks compare checkers by, by hand behind the interface of a generated model, with faults to plant.
 *
 * A page, and a thread with its two stacks, may be padded (-DPADDING=n bytes each) to the size of a real model's state.
 */
#include <stdint.h>
#include <string.h>

#ifndef CONFIG
#define CONFIG 'A'
#endif
#ifndef PADDING
#define PADDING 0
#endif

/* What is wrong with the protocol, or added to it. */
#define PLANT_NOTHING 0
#define PLANT_BLIND_LEAF 1	/* a leaf is frozen without a look at its entry: an assertion fails */
#define PLANT_EAGER_ZAP 2	/* the zap clears the S-EPT entry first: a property is violated */
#define PLANT_KEPT_LOCK 3	/* a retry keeps the lock for read: a zap waits for ever, a fault does not */
#define PLANT_FAILING_ALLOC 4	/* an allocation may fail, by choice */
#define PLANT_COINS 5		/* a zap begins with three private coins; that all fall on heads is a failed assertion */
#define PLANT_SPIN 6		/* a zap spins for ever in its own frame */
#define PLANT_LEAK 7		/* a property of states at rest: the stacks are empty */
#define PLANT_VAGUE_NAMES 8	/* states that differ in names only have several representatives, and a leaf is frozen blindly */
#define PLANT_IGNORED 9		/* a leaf is frozen blindly, and failed assertions are ignored */
#define PLANT_IGNORED_COINS 10	/* a zap throws heads three times, always, and that this fails is ignored */
#ifndef PLANT
#define PLANT PLANT_NOTHING
#endif

#define BLIND_LEAF (PLANT == PLANT_BLIND_LEAF || PLANT == PLANT_VAGUE_NAMES || PLANT == PLANT_IGNORED)
#define COINS (PLANT == PLANT_COINS || PLANT == PLANT_IGNORED_COINS)
#define HEADS (PLANT == PLANT_IGNORED_COINS ? 1 : step->choice)

enum { NP = 12, ROOT = 1, LEAF = 2, THREADS = CONFIG == 'A' ? 2 : CONFIG == 'D' ? 4 : 3 };
enum { UNUSED = 0, MIRROR_TABLE = 2, SEPT_PAGE = 3, RESERVED = 9 };
enum { NONP = 1, FROZEN = 2, PRESENT = 3 };
enum { SEPT_FREE = 0, SEPT_MAPPED = 1, SEPT_BLOCKED = 2 };
enum { START, TOP_UP_SPT, TOP_UP_EXT, ENTER, WALK, LINK_FREEZE, LINK_MAP, LINK_PRESENT, LEAF_FREEZE, LEAF_MAP, LEAF_PRESENT,
       LEAVE, ZAP_ENTER, ZAP_BLOCK, ZAP_REMOVE, ZAP_LEAVE, END, COIN };

enum { ASSERT_FREED_TWICE, ASSERT_SEPT_FREE, ASSERT_SEPT_MAPPED, ASSERT_NOT_ALL_HEADS, AGREEMENT = 10, NOTHING_LEFT = 11 };
enum { WITNESS_RETRY = 1, WITNESS_ZAPPED = 2, WITNESS_NO_PAGE = 4 };

struct toy_thread {
	uint8_t mark, level, sp, c, x;	/* seq0, n, retry and the number of coins are in level */
	uint8_t heads;
	uint8_t stack[2][4];
	uint8_t padding[2 + PADDING];
};

struct toy_page {
	uint8_t state, ext_of, spt[2], sept[2];
	uint8_t padding[2 + PADDING];
};

struct toy {
	uint8_t writer, readers, seq, inval, padding[4];
	struct toy_page page[NP];
	struct toy_thread thread[THREADS];
};

#define STATE_SIZE sizeof(struct toy)
#define MAX_THREADS THREADS
#define WITNESSES 3
#define COVERAGE (COIN + 1)
#define EXPRESSIONS 1

typedef struct step { uint32_t choice; int32_t failure; uint64_t witnesses; } step_t;
enum { STEP_DONE, STEP_BLOCKED, STEP_FAILED, STEP_PRUNED };
static uint8_t model_covered[COVERAGE + 1];

#define ASSERT(condition, id) do { if (!(condition)) { step->failure = (id); return FAILING; } } while (0)
#define FAILING (PLANT == PLANT_IGNORED || PLANT == PLANT_IGNORED_COINS ? STEP_PRUNED : STEP_FAILED)

static int zaps(unsigned t) { return CONFIG == 'B' ? t == 2 : CONFIG == 'D' && t == 3; }
static unsigned gfn_of(unsigned t) { return CONFIG == 'A' ? 0 : CONFIG == 'B' ? t % 2 : t == 3 ? 1 : t; }
static unsigned index_of(unsigned gfn, unsigned level) { return gfn >> (LEAF - level) & 1; }

static void go(struct toy_thread *at, unsigned mark, unsigned level, unsigned sp, unsigned c, unsigned x)
{
	at->mark = mark;
	at->level = level;
	at->sp = sp;
	at->c = c;
	at->x = x;
	at->heads = 0;
}

/* A page, whatever number stands in the state: a forged checkpoint may hold one that no run had. */
#define page_at(m, number) (&(m)->page[(number) % NP])

static unsigned toy_alloc(struct toy *m, unsigned role)
{
	for (unsigned page = 0; page < NP; page++)
		if (m->page[page].state == UNUSED) {
			m->page[page].state = role;
			return page;
		}
	return 0;
}

static int toy_free(struct toy *m, unsigned page)
{
	struct toy_page *p = page_at(m, page);

	if (p->state == UNUSED)
		return 0;
	p->state = p->spt[0] = p->spt[1] = p->sept[0] = p->sept[1] = 0;
	return 1;
}

static void push(uint8_t *stack, unsigned page)
{
	for (unsigned i = 0; i < 3 && *stack; i++)
		stack++;
	*stack = page;
}

static unsigned pop(uint8_t *stack)
{
	unsigned top = 3;

	while (top && !stack[top])
		top--;
	unsigned page = stack[top];
	stack[top] = 0;
	return page;
}

static void top_up(struct toy_thread *at, unsigned seq0)
{
	go(at, !at->stack[0][1] ? TOP_UP_SPT : !at->stack[1][1] ? TOP_UP_EXT : ENTER, seq0, 0, 0, 0);
}

static int top_up_one(struct toy *m, struct toy_thread *at, int which, step_t *step)
{
	unsigned page = step->choice ? 0 : toy_alloc(m, which ? SEPT_PAGE : MIRROR_TABLE);

	if (!page) {
		step->witnesses |= WITNESS_NO_PAGE;
		go(at, END, 0, 0, 0, 0);
		return STEP_DONE;
	}
	if (!which)
		m->page[page].spt[0] = m->page[page].spt[1] = NONP;
	push(at->stack[which], page);
	top_up(at, at->level);
	return STEP_DONE;
}

static int walk(struct toy *m, struct toy_thread *at, unsigned gfn, step_t *step)
{
	unsigned level = at->level, sp = at->sp, entry = page_at(m, sp)->spt[index_of(gfn, level)];

	if (entry == FROZEN) {
		step->witnesses |= WITNESS_RETRY;
		go(at, LEAVE, 1, 0, 0, 0);
	} else if (entry >= PRESENT) {
		if (level == LEAF)
			go(at, LEAVE, 0, 0, 0, 0);
		else
			go(at, WALK, level + 1, entry - PRESENT, 0, 0);
	} else if (level == LEAF) {
		go(at, LEAF_FREEZE, 0, sp, 0, 0);
	} else {
		unsigned c = pop(at->stack[0]), x = pop(at->stack[1]);

		page_at(m, c)->ext_of = x;
		go(at, LINK_FREEZE, level, sp, c, x);
	}
	return STEP_DONE;
}

static int fault(struct toy *m, struct toy_thread *at, unsigned gfn, step_t *step)
{
	unsigned level = at->level, sp = at->sp, c = at->c;
	uint8_t *entry = &page_at(m, sp)->spt[index_of(gfn, at->mark >= LEAF_FREEZE ? LEAF : level)];
	uint8_t *sept = &page_at(m, page_at(m, sp)->ext_of)->sept[index_of(gfn, at->mark >= LEAF_FREEZE ? LEAF : level)];

	switch (at->mark) {
	case START:
		top_up(at, m->seq);
		return STEP_DONE;
	case TOP_UP_SPT:
	case TOP_UP_EXT:
		return top_up_one(m, at, at->mark == TOP_UP_EXT, step);
	case ENTER:
		if (m->writer)
			return STEP_BLOCKED;
		if (m->inval || m->seq != level) {
			top_up(at, m->seq);
		} else {
			m->readers++;
			go(at, WALK, 0, ROOT, 0, 0);
		}
		return STEP_DONE;
	case WALK:
		return walk(m, at, gfn, step);
	case LINK_FREEZE:
		if (*entry != NONP) {
			ASSERT(toy_free(m, c) && toy_free(m, at->x), ASSERT_FREED_TWICE);
			page_at(m, c)->ext_of = 0;
			go(at, LEAVE, 1, 0, 0, 0);
		} else {
			*entry = FROZEN;
			go(at, LINK_MAP, level, sp, c, 0);
		}
		return STEP_DONE;
	case LINK_MAP:
		ASSERT(*sept == SEPT_FREE, ASSERT_SEPT_FREE);
		*sept = SEPT_MAPPED;
		go(at, LINK_PRESENT, level, sp, c, 0);
		return STEP_DONE;
	case LINK_PRESENT:
		*entry = PRESENT + c;
		go(at, WALK, level + 1, c, 0, 0);
		return STEP_DONE;
	case LEAF_FREEZE:
		if (*entry != NONP && !BLIND_LEAF) {
			go(at, LEAVE, 1, 0, 0, 0);
		} else {
			*entry = FROZEN;
			go(at, LEAF_MAP, 0, sp, 0, 0);
		}
		return STEP_DONE;
	case LEAF_MAP:
		ASSERT(*sept == SEPT_FREE, ASSERT_SEPT_FREE);
		*sept = SEPT_MAPPED;
		go(at, LEAF_PRESENT, 0, sp, 0, 0);
		return STEP_DONE;
	case LEAF_PRESENT:
		*entry = PRESENT + gfn;
		go(at, LEAVE, 0, 0, 0, 0);
		return STEP_DONE;
	case LEAVE:
		if (level && PLANT == PLANT_KEPT_LOCK) {
			go(at, END, 0, 0, 0, 0);
			return STEP_DONE;
		}
		m->readers--;
		if (level)
			top_up(at, m->seq);
		else
			go(at, END, 0, 0, 0, 0);
		return STEP_DONE;
	}
	return STEP_BLOCKED;
}

static unsigned leaf_table(const struct toy *m, unsigned gfn)
{
	unsigned sp = ROOT;

	for (unsigned level = 0; level < LEAF && sp; level++) {
		unsigned entry = page_at(m, sp)->spt[index_of(gfn, level)];

		sp = entry >= PRESENT ? entry - PRESENT : 0;
	}
	return sp;
}

static int zap(struct toy *m, struct toy_thread *at, unsigned gfn, step_t *step)
{
	unsigned n = at->level, sp = at->sp, leaf = index_of(gfn, LEAF);
	uint8_t *sept = &page_at(m, page_at(m, sp)->ext_of)->sept[leaf];

	switch (at->mark) {
	case START:
		go(at, COINS || PLANT == PLANT_SPIN ? COIN : ZAP_ENTER, 0, 0, 0, 0);
		return STEP_DONE;
	case COIN:
		ASSERT(at->heads + HEADS < 3, ASSERT_NOT_ALL_HEADS);
		at->level += COINS;
		at->heads += HEADS;
		if (at->level == 3)
			go(at, ZAP_ENTER, 0, 0, 0, 0);
		return STEP_DONE;
	case ZAP_ENTER:
		if (m->writer || m->readers)
			return STEP_BLOCKED;
		m->seq++;
		sp = leaf_table(m, gfn);
		if (sp && page_at(m, sp)->spt[leaf] >= PRESENT) {
			m->writer = m->inval = PLANT != PLANT_EAGER_ZAP;
			go(at, ZAP_BLOCK, n, sp, 0, 0);
		} else {
			go(at, ZAP_LEAVE, n, 0, 0, 0);
		}
		return STEP_DONE;
	case ZAP_BLOCK:
		ASSERT(*sept == SEPT_MAPPED, ASSERT_SEPT_MAPPED);
		*sept = SEPT_BLOCKED;
		go(at, ZAP_REMOVE, n, sp, 0, 0);
		return STEP_DONE;
	case ZAP_REMOVE:
		*sept = SEPT_FREE;
		page_at(m, sp)->spt[leaf] = NONP;
		m->writer = m->inval = 0;
		step->witnesses |= WITNESS_ZAPPED;
		go(at, ZAP_LEAVE, n, 0, 0, 0);
		return STEP_DONE;
	case ZAP_LEAVE:
		go(at, n ? END : ZAP_ENTER, !n, 0, 0, 0);
		if (n)
			at->level = 0;
		return STEP_DONE;
	}
	return STEP_BLOCKED;
}

static int model_step(uint8_t *state, unsigned thread, step_t *step)
{
	struct toy *m = (struct toy *)state;
	struct toy_thread *at = &m->thread[thread];

	__atomic_store_n(&model_covered[at->mark % COVERAGE], 1, __ATOMIC_RELAXED);
	return zaps(thread) ? zap(m, at, gfn_of(thread), step) : fault(m, at, gfn_of(thread), step);
}

/* By hand nothing is noted, so every word may have been written. */
#define NOTE_WORDS ((STATE_SIZE + 511) / 512)
static int model_step_noted(uint8_t *state, unsigned thread, step_t *step, uint64_t *written)
{
	for (size_t word = 0; word < STATE_SIZE / 8; word++)
		written[word / 64] |= 1ull << word % 64;
	return model_step(state, thread, step);
}

static uint32_t model_choices(const uint8_t *state, unsigned thread)
{
	unsigned mark = ((const struct toy *)state)->thread[thread].mark;

	if (mark == END)
		return 0;
	if (PLANT == PLANT_FAILING_ALLOC && (mark == TOP_UP_SPT || mark == TOP_UP_EXT))
		return 2;
	return PLANT == PLANT_COINS && mark == COIN ? 2 : 1;
}

enum { REDUCE_LOCAL = 1, REDUCE_PARTIAL = 2 };
enum alone { NOT_ALONE, ALONE, ALONE_IN_LOOP };
typedef struct others { int nothing; } others_t;

static void model_later(const uint8_t *state, unsigned thread, others_t *later)
{
	(void)state, (void)thread, (void)later;
}

static void model_others(const others_t *later, unsigned threads, unsigned thread, others_t *others)
{
	(void)later, (void)threads, (void)thread, (void)others;
}

static enum alone model_alone(const uint8_t *state, unsigned thread, const others_t *others, uint32_t reductions)
{
	unsigned mark = ((const struct toy *)state)->thread[thread].mark;

	(void)others;
	return reductions & REDUCE_LOCAL && ((mark == START && zaps(thread)) || mark == ZAP_LEAVE || mark == COIN);
}

static uint32_t model_stuck(const uint8_t *state, unsigned threads, uint32_t waiting)
{
	(void)state, (void)threads, (void)waiting;
	return 0;
}

/* While nobody holds the lock for write, what the mirror says is present is mapped in the S-EPT. */
static int32_t model_check(const uint8_t *state, int at_rest)
{
	const struct toy *m = (const struct toy *)state;

	for (unsigned page = 0; page < NP && !m->writer; page++)
		for (unsigned i = 0; i < 2 && m->page[page].state == MIRROR_TABLE; i++)
			if (m->page[page].spt[i] >= PRESENT && page_at(m, m->page[page].ext_of)->sept[i] != SEPT_MAPPED)
				return AGREEMENT;
	for (unsigned t = 0; t < THREADS && at_rest && PLANT == PLANT_LEAK; t++)
		if (m->thread[t].stack[0][0])
			return NOTHING_LEFT;
	return -1;
}

/* Threads that do the same are interchangeable: in A both. */
static void model_canonical(const uint8_t *from, uint8_t *to)
{
	struct toy *m = (struct toy *)to;
	size_t compared = PLANT == PLANT_VAGUE_NAMES ? 1 : sizeof m->thread[0];

	memcpy(to, from, STATE_SIZE);
	if (CONFIG == 'A' && memcmp(&m->thread[0], &m->thread[1], compared) > 0) {
		struct toy_thread first = m->thread[0];

		m->thread[0] = m->thread[1];
		m->thread[1] = first;
	}
}

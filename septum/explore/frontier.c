/* What is known of the states that were found: whole, those not yet expanded; of all others, where they came from.
 *
 * Offers pack and unpack, push_batch and pop_batch, empty_batch and free_pool of what waits; append_log, read_log and link_of of
 * what is known of the others. */

/*
 * States to expand, taken by one worker at a time, packed one after the other: number and sum, then the blocks in which the state
 * differs from the one before it, the first from a state of zeros. A worker finds neighbours one after the other, so these
 * are few. Of a block, there are the words that differ. The body has room for two states that have nothing in common.
 */
struct head {
	uint64_t id, low[2], high;
	uint32_t blocks;
} __attribute__((packed));

struct block {
	uint32_t words : 8;		/* a set */
	uint32_t number : 24;
};

enum { MOST_PACKED = sizeof(struct head) + BLOCKS * sizeof(struct block) + (WORDS + 1) * 8,
       BODY_BYTES = 2 * MOST_PACKED > 8160 ? (2 * MOST_PACKED + 31) / 32 * 32 : 8160 };

struct batch {
	struct batch *next;
	uint32_t count;
	uint32_t used;			/* bytes of the body */
	uint64_t checksum;		/* while it is on disk */
	uint64_t unused;
	uint8_t body[BODY_BYTES];
};

static inline int is_full(const struct batch *batch)
{
	return batch->used + MOST_PACKED > BODY_BYTES;
}

/* Every word is written, and one that is the same is written over: no branch to guess. */
static inline uint8_t *pack_block(uint8_t *to, unsigned number, uint8_t *base, const uint8_t *state)
{
	const word_t *old = (const word_t *)base, *new = (const word_t *)state;
	struct block block = { .number = number };
	uint8_t *word = to + sizeof block;

	for (unsigned i = 0; i < 8; i++) {
		uint32_t differs = old[i] != new[i];

		memcpy(word, &new[i], 8);
		word += 8 * differs;
		block.words |= differs << i;
	}
	memcpy(base, state, 64);
	memcpy(to, &block, sizeof block);
	return word;
}

/* Adds a state. `base` is the one added before, or zero in an empty batch, and becomes this one. */
static inline void pack(struct batch *batch, uint8_t *base, const uint8_t *state, const struct sum *sum, uint64_t id)
{
	uint8_t *start = batch->body + batch->used, *end = start + sizeof(struct head);
	struct head head = { id, { (uint64_t)sum->low, (uint64_t)(sum->low >> 64) }, sum->high, 0 };

	for (unsigned number = 0; number < BLOCKS; number++, base += 64, state += 64)
		if (blocks_differ((const lanes *)base, (const lanes *)state)) {
			end = pack_block(end, number, base, state);
			head.blocks++;
		}
	memcpy(start, &head, sizeof head);
	batch->used += (uint32_t)(end - start);
	batch->count++;
}

static inline const uint8_t *unpack_block(const uint8_t *from, uint8_t *state)
{
	struct block block;

	memcpy(&block, from, sizeof block);
	from += sizeof block;
	state += 64 * (size_t)block.number;
	for (uint32_t words = block.words; words; words &= words - 1, from += 8)
		memcpy(state + 8 * __builtin_ctz(words), from, 8);
	return from;
}

/* Turns the state before it into this one; where the next one begins. */
static inline const uint8_t *unpack(const uint8_t *from, uint8_t *state, struct sum *sum, uint64_t *id)
{
	struct head head;

	memcpy(&head, from, sizeof head);
	*id = head.id;
	sum->low = (wide)head.low[1] << 64 | head.low[0];
	sum->high = head.high;
	from += sizeof head;
	while (head.blocks--)
		from = unpack_block(from, state);
	return from;
}

static void push_batch(struct batch **list, struct batch *batch)
{
	batch->next = *list;
	*list = batch;
}

static struct batch *pop_batch(struct batch **list)
{
	struct batch *batch = *list;

	if (batch)
		*list = batch->next;
	return batch;
}

/*
 * Batches are cut from slabs, by each worker from its own, and used again when they were expanded. Slabs start small, lest a
 * run of a few states pay for a large one, and double; where memory runs short, they shrink.
 */
enum { LARGE_SLAB = 1 << 23 };

struct slab {
	struct slab *next;
	size_t bytes;
	_Alignas(64) struct batch batch[];
};

struct pool {
	struct batch *spare;
	struct slab *slabs;
	size_t uncut;			/* batches of the newest slab that were never used */
};

static size_t slab_bytes(size_t batches)
{
	return sizeof(struct slab) + batches * sizeof(struct batch);
}

static struct slab *hold_slab(struct septum_run *run, size_t bytes)
{
	uint64_t held = __atomic_add_fetch(&run->frontier_bytes, bytes, __ATOMIC_RELAXED);
	struct slab *slab = run->spill_bytes && held > run->spill_bytes ? NULL : hold(run, bytes);

	if (!slab)
		__atomic_sub_fetch(&run->frontier_bytes, bytes, __ATOMIC_RELAXED);
	return slab;
}

static int add_slab(struct septum_run *run, struct pool *pool)
{
	size_t batches = pool->slabs ? 2 * (pool->slabs->bytes / sizeof(struct batch)) : 2;
	struct slab *slab = NULL;

	while (batches > 1 && slab_bytes(batches) > LARGE_SLAB)
		batches /= 2;
	for (; batches && !(slab = hold_slab(run, slab_bytes(batches))); batches /= 2)
		;
	if (!slab)
		return 0;
	slab->bytes = slab_bytes(batches);
	if (slab->bytes > LARGE_SLAB / 2)
		prefer_large_pages(slab, slab->bytes);
	slab->next = pool->slabs;
	pool->slabs = slab;
	pool->uncut = batches;
	return 1;
}

static struct batch *cut_batch(struct septum_run *run, struct pool *pool)
{
	if (!pool->uncut && !add_slab(run, pool))
		return NULL;
	return &pool->slabs->batch[--pool->uncut];
}

static struct batch *empty_batch(struct septum_run *run, struct pool *pool)
{
	struct batch *batch = pop_batch(&pool->spare);

	return batch ? batch : cut_batch(run, pool);
}

static void free_pool(struct septum_run *run, struct pool *pool)
{
	for (struct slab *slab; (slab = pool->slabs);) {
		pool->slabs = slab->next;
		let_go(run, slab, slab->bytes);
	}
}

/*
 * The log of parents has one word for every state: the parent's number, the thread that moved, and the ordinal of the state
 * among the successors by that thread. A state's number is its place in the log; a worker takes places by the chunk, so
 * that it appends without a lock. The initial state has number 0.
 */
enum { CHUNK_BITS = 16, CHUNKS_BITS = 17, ORDINAL_BITS = 19, THREAD_BITS = 5 };

#define NO_STATE UINT64_MAX
#define CHUNK_BYTES (sizeof(uint64_t) << CHUNK_BITS)
#define DIRECTORY_BYTES (sizeof(uint64_t *) << CHUNKS_BITS)

struct log {
	uint64_t **chunk;
	uint64_t chunks;
};

/* The end of the log that is one worker's own. */
struct log_tail {
	uint64_t next, end;
};

static inline uint64_t link_of(uint64_t parent, unsigned thread, uint32_t ordinal)
{
	return parent << (THREAD_BITS + ORDINAL_BITS) | (uint64_t)thread << ORDINAL_BITS | ordinal;
}

static uint64_t link_parent(uint64_t link) { return link >> (THREAD_BITS + ORDINAL_BITS); }
static unsigned link_thread(uint64_t link) { return link >> ORDINAL_BITS & ((1u << THREAD_BITS) - 1); }
static uint32_t link_ordinal(uint64_t link) { return link & ((1u << ORDINAL_BITS) - 1); }

static uint64_t read_log(const struct log *log, uint64_t id)
{
	return log->chunk[id >> CHUNK_BITS][id & ((1u << CHUNK_BITS) - 1)];
}

static int take_chunk(struct septum_run *run, struct log *log, struct log_tail *tail)
{
	uint64_t number = __atomic_fetch_add(&log->chunks, 1, __ATOMIC_RELAXED);

	if (number >> CHUNKS_BITS || !(log->chunk[number] = hold(run, CHUNK_BYTES)))
		return 0;
	tail->next = number << CHUNK_BITS;
	tail->end = (number + 1) << CHUNK_BITS;
	return 1;
}

/* The number of the state, or NO_STATE where memory ran out. */
static inline uint64_t append_log(struct septum_run *run, struct log *log, struct log_tail *tail, uint64_t link)
{
	if (tail->next == tail->end && !take_chunk(run, log, tail))
		return NO_STATE;
	uint64_t id = tail->next++;
	log->chunk[id >> CHUNK_BITS][id & ((1u << CHUNK_BITS) - 1)] = link;
	return id;
}

static void free_log(struct septum_run *run, struct log *log)
{
	uint64_t chunks = log->chunks >> CHUNKS_BITS ? 1ull << CHUNKS_BITS : log->chunks;

	for (uint64_t number = 0; log->chunk && number < chunks; number++)
		let_go(run, log->chunk[number], CHUNK_BYTES);
	let_go(run, log->chunk, DIRECTORY_BYTES);
}

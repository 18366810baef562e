/* What is known of the states that were found: whole, those not yet expanded; of all others, where they came from. */

enum { BATCH = 64 };

/* States to expand, taken by one worker at a time. */
struct batch {
	struct batch *next;
	uint32_t count;
	uint64_t id[BATCH];
	struct sum sum[BATCH];
	_Alignas(64) uint8_t state[BATCH][STRIDE];
};

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

static int add_slab(struct septum_run *run, struct pool *pool)
{
	size_t batches = pool->slabs ? 2 * (pool->slabs->bytes / sizeof(struct batch)) : 2;
	struct slab *slab = NULL;

	while (batches > 1 && slab_bytes(batches) > LARGE_SLAB)
		batches /= 2;
	for (; batches && !(slab = hold(run, slab_bytes(batches))); batches /= 2)
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

	if (batch || (batch = cut_batch(run, pool)))
		batch->count = 0;
	return batch;
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

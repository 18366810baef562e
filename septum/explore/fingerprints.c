/*
 * Fingerprints of states, and the table of those that were seen.
 *
 * A fingerprint is the upper 128 bits of a sum, modulo 2^192, of every word of the state times a key of its own. For random
 * keys two different states collide with a probability of 2^-128 whatever they are (multilinear hashing: Lemire and Kaser,
 * "Strongly universal string hashing is fast"), and the sum of a successor costs only the words that the step changed.
 *
 * Offers make_keys; copy_state; words_t, sets of words; change_sum, change_words and fingerprint of a state that changed; make_table, insert, put_back, grow,
 * draw_advance and free_table of the table.
 */
enum { STRIDE = (STATE_SIZE + 63) / 64 * 64, BLOCKS = STRIDE / 64, WORDS = STRIDE / 8 };

typedef unsigned __int128 wide;
typedef uint64_t word_t __attribute__((may_alias));
typedef uint64_t lanes __attribute__((vector_size(16), may_alias));

struct sum {
	wide low;
	uint64_t high;
};

struct key {
	wide low;
	uint64_t high;
};

struct fingerprint {
	uint64_t first, second;	/* neither is 0 */
};

static struct key keys[WORDS];

/* splitmix64: always the same keys, chosen without a look at any model. */
static uint64_t random_word(uint64_t *seed)
{
	uint64_t word = *seed += 0x9e3779b97f4a7c15;

	word = (word ^ word >> 30) * 0xbf58476d1ce4e5b9;
	word = (word ^ word >> 27) * 0x94d049bb133111eb;
	return word ^ word >> 31;
}

static void make_keys(void)
{
	uint64_t seed = 0;

	for (struct key *key = keys; key < keys + WORDS; key++) {
		key->low = random_word(&seed);
		key->low = key->low << 64 | random_word(&seed);
		key->high = random_word(&seed);
	}
}

/* sum += (after - before) * key, modulo 2^192. */
static inline void add_change(struct sum *sum, const struct key *key, uint64_t before, uint64_t after)
{
	uint64_t change = after - before;
	wide product = (wide)change * (uint64_t)key->low;
	wide upper = (wide)change * (uint64_t)(key->low >> 64) + (product >> 64);
	wide borrow = after < before ? key->low << 64 : 0;	/* the change is 2^64 too large */

	product = upper << 64 | (uint64_t)product;
	sum->high += change * key->high + (uint64_t)(upper >> 64) - (after < before ? (uint64_t)(key->low >> 64) : 0);
	sum->low += product;
	sum->high += sum->low < product;
	sum->high -= sum->low < borrow;
	sum->low -= borrow;
}

/* The compiler does not see the size, or it would copy by a string instruction, which is several times slower. */
static inline void copy_state(uint8_t *to, const uint8_t *from)
{
	size_t size = STRIDE;

	__asm__("" : "+r"(size));
	memcpy(to, from, size);
}

static inline int blocks_differ(const lanes *a, const lanes *b)
{
	lanes difference = (a[0] ^ b[0]) | (a[1] ^ b[1]) | (a[2] ^ b[2]) | (a[3] ^ b[3]);

	return (difference[0] | difference[1]) != 0;
}

/* Turns the sum of one state into the sum of another; both are padded with zeros to STRIDE and aligned. */
static inline void change_sum(struct sum *sum, const uint8_t *before, const uint8_t *after)
{
	for (unsigned block = 0; block < BLOCKS; block++) {
		uint64_t old[8], new[8];

		if (__builtin_expect(!blocks_differ((const lanes *)(before + 64 * block), (const lanes *)(after + 64 * block)), 1))
			continue;
		memcpy(old, before + 64 * block, 64);
		memcpy(new, after + 64 * block, 64);
		for (unsigned word = 0; word < 8; word++)
			if (old[word] != new[word])
				add_change(sum, &keys[8 * block + word], old[word], new[word]);
	}
}

/* A set of words of a state. */
typedef uint64_t words_t[NOTE_WORDS];

/* The first of those in one word of a set, which it leaves. */
static inline unsigned next_word(uint64_t *words)
{
	unsigned word = (unsigned)__builtin_ctzll(*words);

	*words &= *words - 1;
	return word;
}

/* The same where all words that differ are known to be among these. */
static inline void change_words(struct sum *sum, const uint64_t *words, const uint8_t *before, const uint8_t *after)
{
	const word_t *old = (const word_t *)before, *new = (const word_t *)after;

	for (unsigned i = 0; i < NOTE_WORDS; i++)
		for (uint64_t left = words[i]; left;) {
			unsigned word = 64 * i + next_word(&left);

			if (old[word] != new[word])
				add_change(sum, &keys[word], old[word], new[word]);
		}
}

static inline void copy_words(uint8_t *to, const uint64_t *words, const uint8_t *from)
{
	for (unsigned i = 0; i < NOTE_WORDS; i++)
		for (uint64_t left = words[i]; left;) {
			unsigned word = 64 * i + next_word(&left);

			((word_t *)to)[word] = ((const word_t *)from)[word];
		}
}

/* Sums of like states are alike; slots of the table should not be, so each word is scrambled, one to one. */
static inline struct fingerprint fingerprint(const struct sum *sum)
{
	uint64_t first = sum->high, second = (uint64_t)(sum->low >> 64);

	first = (first ^ first >> 32) * 0xd6e8feb86659fd93;
	first = (first ^ first >> 32) * 0xd6e8feb86659fd93;
	return (struct fingerprint){ first ? first : 1, second ? second : 1 };
}

/*
 * Open addressing with linear probing from the cache line that `first` scales to, so that a larger table has the same order and
 * is filled by streaming. An insertion claims a slot with `first` and publishes it with `second`; it takes no lock.
 *
 * The table grows when seven of eight slots are taken, and by five sixteenths: a state never has more than 24 bytes of it,
 * but for the first one. `room` is what may still be added before that. Workers draw on it in advances, so it is exact
 * whatever they do, and nobody counts on the hot path.
 */
#define MOST_STATES (1ull << 40)

enum { FIRST_SLOTS = 1 << 16, SLOTS_UNIT = 1 << 12, LINE = 4, ADVANCE = 512, PIECE = 1 << 21,
       MOST_SPARE = 1 << 20 };	/* slots beyond two for a state, which a table of few states has */

struct table {
	struct fingerprint *slots;
	uint64_t count;
	int crowded;
	int64_t room;
};

static int64_t capacity(uint64_t slots, int crowded)
{
	return (int64_t)(slots / 16 * (crowded ? 15 : 14));
}

static inline uint64_t slot_of(const struct table *table, const struct fingerprint *print)
{
	return (uint64_t)((wide)print->first * (table->count / LINE) >> 64) * LINE;
}

static inline uint64_t published(const uint64_t *second)
{
	uint64_t value;

	while (!(value = __atomic_load_n(second, __ATOMIC_RELAXED)))
		;
	return value;
}

/* Whether it was not there yet. */
static inline int insert(struct table *table, const struct fingerprint *print)
{
	for (uint64_t slot = slot_of(table, print);; slot = slot + 1 < table->count ? slot + 1 : 0) {
		struct fingerprint *there = &table->slots[slot];
		uint64_t first = __atomic_load_n(&there->first, __ATOMIC_RELAXED);

		if (!first && __atomic_compare_exchange_n(&there->first, &first, print->first, 0, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
			__atomic_store_n(&there->second, print->second, __ATOMIC_RELAXED);
			return 1;
		}
		if (first == print->first && published(&there->second) == print->second)
			return 0;
	}
}

/* What is known to be new, while nobody else looks. */
static inline void put_back(struct table *table, const struct fingerprint *print)
{
	uint64_t slot = slot_of(table, print);

	while (table->slots[slot].first)
		slot = slot + 1 < table->count ? slot + 1 : 0;
	table->slots[slot] = *print;
}

/* In the place of a table of `old` slots, if that is not 0. */
static int make_table(struct septum_run *run, struct table *table, uint64_t slots, uint64_t old)
{
	size_t bytes = sizeof(struct fingerprint) * slots;

	table->count = slots;
	table->slots = hold_instead(run, bytes, sizeof(struct fingerprint) * old);
	if (table->slots && bytes >= PIECE)
		prefer_large_pages(table->slots, bytes);
	return table->slots != NULL;
}

static void free_table(struct septum_run *run, struct table *table)
{
	let_go(run, table->slots, sizeof(struct fingerprint) * table->count);
}

/* The old table is unmapped piece by piece. */
static void pour(const struct table *from, struct table *to)
{
	const uint64_t piece = PIECE / sizeof(struct fingerprint);

	for (uint64_t start = 0; start < from->count; start += piece) {
		uint64_t end = start + piece < from->count ? start + piece : from->count;

		for (uint64_t slot = start; slot < end; slot++)
			if (from->slots[slot].first)
				put_back(to, &from->slots[slot]);
		munmap(&from->slots[start], (end - start) * sizeof(struct fingerprint));
	}
}

/*
 * One worker does it while the others wait. Where memory does not suffice, the table may fill up further, once; then it is 0. There may
 * be more memory now: who resumes a run that was crowded may have given it some.
 */
static int grow(struct septum_run *run, struct table *table)
{
	struct table larger = { .room = table->room };
	uint64_t slots = table->count;

	if (!make_table(run, &larger, (slots + slots / 16 * 5) / SLOTS_UNIT * SLOTS_UNIT, slots)) {
		if (table->crowded)
			return 0;
		table->crowded = 1;
		table->room += capacity(slots, 1) - capacity(slots, 0);
		return 1;
	}
	larger.room += capacity(larger.count, 0) - capacity(slots, table->crowded);
	pour(table, &larger);
	*table = larger;
	return 1;
}

static int draw_advance(struct table *table)
{
	if (__atomic_sub_fetch(&table->room, ADVANCE, __ATOMIC_RELAXED) >= 0)
		return ADVANCE;
	__atomic_add_fetch(&table->room, ADVANCE, __ATOMIC_RELAXED);
	return 0;
}

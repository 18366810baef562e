/*
 * Random schedules, for scopes that are too large to explore, and the shrinking of one that fails.
 *
 * PCT (Burckhardt, Kothari, Musuvathi, Nagarakatte: "A randomized scheduler with probabilistic guarantees of finding bugs",
 * ASPLOS 2010): of the threads that can run, the one with the highest priority does. The priorities are random, and at depth - 1
 * random steps the thread that ran falls below all others. With n threads and runs of at most k steps, a run meets a bug that
 * needs `depth` orderings with a probability of at least 1 / (n k^(depth-1)). The length k is not known: it is that of the
 * longest run so far, so the runs go in rounds, and k changes between rounds only. All that a run does follows from the seed
 * and its number; so does what is found, whatever the number of workers.
 *
 * Offers struct hunter; make_run, of a number; start_over, make_step, judge and judge_end to whoever plays a schedule.
 */
enum { STUCK = -3 };		/* the failure of a deadlock, beside NO_FAILURE */
enum { MOST_DEPTH = 16, STAGES = 64, FIRST_ROUND = 64, LARGEST_ROUND = 4096, FIRST_LENGTH = 128, SLACK = 8 };
enum { PASSED_BITS = 15, FIRST_MARK = 8 };

#ifdef WORLD_SIZE
enum { JUDGED = WORLD_SIZE };	/* the bytes that model_check() may look at */
#else
enum { JUDGED = STATE_SIZE };
#endif
enum { JUDGED_WORDS = (JUDGED + 7) / 8, BLOCK_WORDS = 64 };

/* The rounds in which one length was expected. */
struct septum_stage {
	uint64_t length;
	uint64_t runs;
	uint64_t plain;		/* runs to which the bound of PCT applies */
	uint64_t longer;	/* of these, how many were longer than expected */
};

struct septum_hunt {
	/* In. A limit of 0 is no limit. */
	const uint8_t *initial;
	uint64_t seed;
	uint64_t most_runs;
	uint64_t most_steps;	/* of one run, which is then cut off */
	uint64_t shrink_steps;	/* about so many to shrink a schedule */
	double most_seconds;
	uint32_t threads;
	uint32_t daemons;
	uint32_t workers;
	uint32_t depth;
	uint32_t keep_going;	/* past the round in which something is found */

	/* The caller may set it at any time. */
	volatile uint32_t stop;

	/* Out; runs and steps also while the hunt lasts. */
	uint64_t runs;
	uint64_t steps;
	uint64_t longest;
	uint64_t cut;		/* runs that were cut off */
	uint64_t witnesses;
	uint64_t first_run;	/* the first that fails, if failure says that one does */
	uint64_t first_steps;	/* its length, before it was shrunk */
	uint64_t *failing;	/* of the caller, all zero: how many runs end in a deadlock, then in each of the failures */
	double seconds;
	double hunted;		/* seconds without shrinking */
	int32_t failure;
	uint32_t stages;
	uint32_t out_of_memory;
	struct septum_stage stage[STAGES];
	uint32_t *schedule;	/* pairs (thread, choice): the first failing run, shrunk */
	uint64_t schedule_steps;
};

struct pick {
	uint32_t thread, choice;
	uint32_t choices;		/* of which it was one; known where a schedule is shrunk */
};

struct change {
	uint64_t step;
	int32_t priority;
};

/* One run after another; the memory for all of them. */
struct hunter {
	_Alignas(128) struct hunt *of;
	pthread_t thread;
	uint64_t random;
	step_t step;
	int pruned;			/* a thread could go on but for a failure that is not judged */

	/* The schedule of the run. */
	unsigned order[MAX_THREADS];	/* the threads, the highest priority first */
	int32_t priority[MAX_THREADS], lowest;
	struct change change[MOST_DEPTH];
	unsigned changed;
	int is_plain;
	uint32_t rarity;		/* one step in so many takes a random choice; 0: none does */
	struct pick *picks;
	uint64_t steps;

	/* A thread that comes back to where it was, while no other ran, spins. */
	unsigned running;
	uint64_t stretch, next_mark, marked_sum;

	/* The account of this worker. */
	uint64_t plain, longer, longest, cut;
	uint64_t first_run;
	int32_t first_failure;

	uint64_t sum;			/* a hash of what may be judged, in `known` */
	uint64_t passed[1 << PASSED_BITS];	/* hashes of what was judged and found good */
	_Alignas(64) uint8_t state[STRIDE], known[STRIDE], marked[STRIDE];
};

struct hunt {
	struct septum_hunt *run;
	double began;
	uint64_t next, end;		/* runs of the round that nobody has taken */
	uint64_t length;		/* that is expected */
	uint64_t initial_sum;
	struct hunter *hunter;
	struct pick *picks;
};

static inline uint64_t draw(struct hunter *h, uint64_t below)
{
	return (uint64_t)((wide)random_word(&h->random) * below >> 64);
}

/* -- What a state is worth -- */

static inline uint64_t mixed(unsigned index, uint64_t word)
{
	uint64_t seed = word ^ (index + 1) * 0xd1342543de82ef95;

	return random_word(&seed);
}

static void take_words(struct hunter *h, unsigned begin, unsigned end)
{
	for (unsigned i = begin; i < end; i++) {
		uint64_t now, before;

		memcpy(&now, h->state + 8 * i, 8);
		memcpy(&before, h->known + 8 * i, 8);
		if (now == before)
			continue;
		h->sum += mixed(i, now) - mixed(i, before);
		memcpy(h->known + 8 * i, &now, 8);
	}
}

/* Brings `known` and its hash up to date. A step changes a few words, so the time goes by in finding them. */
static void take_changes(struct hunter *h)
{
	for (unsigned begin = 0; begin < JUDGED_WORDS; begin += BLOCK_WORDS) {
		unsigned end = begin + BLOCK_WORDS < JUDGED_WORDS ? begin + BLOCK_WORDS : JUDGED_WORDS;

		if (memcmp(h->state + 8 * begin, h->known + 8 * begin, 8 * (end - begin)))
			take_words(h, begin, end);
	}
}

/* Random runs meet the same worlds again and again, and to judge one costs more than the step that leads there. */
static int32_t judge(struct hunter *h)
{
	take_changes(h);
	uint64_t *passed = &h->passed[h->sum >> (64 - PASSED_BITS)];
	if (*passed == h->sum)
		return NO_FAILURE;
	int32_t failure = model_check(h->state, 0);
	if (failure == NO_FAILURE)
		*passed = h->sum;
	return failure;
}

/* Nobody can move: a deadlock, or all is at rest. */
static int32_t judge_end(const struct hunter *h)
{
	const struct septum_hunt *run = h->of->run;

	if (h->pruned)
		return NO_FAILURE;
	for (unsigned thread = 0; thread < run->threads; thread++)
		if (!(run->daemons >> thread & 1) && model_choices(h->state, thread))
			return STUCK;
	return model_check(h->state, 1);
}

static int32_t start_over(struct hunter *h)
{
	memcpy(h->state, h->of->run->initial, STATE_SIZE);
	memcpy(h->known, h->state, STRIDE);
	h->sum = h->of->initial_sum;
	h->steps = 0;
	h->pruned = 0;
	return judge(h);
}

/* Makes a step, if it can be made and counts, and notes it; STEP_DONE, STEP_FAILED, or STEP_BLOCKED. */
static int make_step(struct hunter *h, unsigned thread, uint32_t choice)
{
	h->step.choice = choice;
	int rc = model_step(h->state, thread, &h->step);
	if (rc == STEP_PRUNED) {
		memcpy(h->state, h->known, JUDGED);	/* the thread's own frame is as it was */
		h->pruned = 1;
		return STEP_BLOCKED;
	}
	if (rc != STEP_BLOCKED)
		h->picks[h->steps++] = (struct pick){ thread, choice, 0 };
	return rc;
}

/* -- A random run -- */

static void lower(struct hunter *h, unsigned thread, int32_t priority)
{
	unsigned threads = h->of->run->threads, at = 0;

	while (h->order[at] != thread)
		at++;
	h->priority[thread] = priority;
	for (; at + 1 < threads && h->priority[h->order[at + 1]] > priority; at++)
		h->order[at] = h->order[at + 1];
	h->order[at] = thread;
}

static void draw_order(struct hunter *h)
{
	unsigned threads = h->of->run->threads;

	for (unsigned i = 0; i < threads; i++) {
		unsigned other = draw(h, i + 1);

		h->order[i] = h->order[other];
		h->order[other] = i;
	}
	for (unsigned i = 0; i < threads; i++)
		h->priority[h->order[i]] = MOST_DEPTH + threads - i;
	h->lowest = 0;
}

static void draw_changes(struct hunter *h, unsigned depth)
{
	for (unsigned i = 0; i + 1 < depth; i++) {
		struct change change = { 1 + draw(h, h->of->length), i + 1 };
		unsigned at = i;

		for (; at && h->change[at - 1].step > change.step; at--)
			h->change[at] = h->change[at - 1];
		h->change[at] = change;
	}
	h->change[depth - 1].step = UINT64_MAX;
	h->changed = 0;
}

/*
 * Half of the runs are plain: they have the depth that was asked for, and take the first choice everywhere. What PCT promises
 * holds for these. The others are of all kinds, and often sooner there.
 */
static int32_t begin_run(struct hunter *h, uint64_t number)
{
	static const uint32_t rarities[] = { 0, 2, 8, 32 };

	h->random = h->of->run->seed;
	h->random = random_word(&h->random) ^ number * 0x9e3779b97f4a7c15;
	h->random = random_word(&h->random);
	h->is_plain = draw(h, 2);
	h->rarity = h->is_plain ? 0 : rarities[draw(h, 4)];
	draw_order(h);
	draw_changes(h, h->is_plain ? h->of->run->depth : 1 + draw(h, MOST_DEPTH));
	h->running = UINT32_MAX;
	return start_over(h);
}

static inline uint32_t draw_choice(struct hunter *h, unsigned thread)
{
	if (!h->rarity || draw(h, h->rarity))
		return 0;
	uint32_t choices = model_choices(h->state, thread);
	return choices < 2 ? 0 : draw(h, choices);
}

/* The snapshots are taken at powers of two, so that a cycle of any length is found in the end (Brent). */
static int spins(struct hunter *h, unsigned thread)
{
	if (thread != h->running) {
		h->running = thread;
		h->stretch = 0;
		h->next_mark = FIRST_MARK;
		return 0;
	}
	h->stretch++;
	if (h->stretch > FIRST_MARK && h->sum == h->marked_sum && !memcmp(h->state, h->marked, STATE_SIZE))
		return 1;
	if (h->stretch == h->next_mark) {
		memcpy(h->marked, h->state, STATE_SIZE);
		h->marked_sum = h->sum;
		h->next_mark *= 2;
	}
	return 0;
}

static void change_priorities(struct hunter *h, unsigned thread)
{
	for (; h->change[h->changed].step == h->steps; h->changed++)
		lower(h, thread, h->change[h->changed].priority);
	if (spins(h, thread)) {
		lower(h, thread, --h->lowest);
		h->running = UINT32_MAX;
	}
}

/* The thread with the highest priority of those that can run takes a step. */
static int advance_run(struct hunter *h, unsigned *thread)
{
	unsigned threads = h->of->run->threads;

	h->pruned = 0;
	for (unsigned i = 0; i < threads; i++) {
		*thread = h->order[i];
		int rc = make_step(h, *thread, draw_choice(h, *thread));
		if (rc != STEP_BLOCKED)
			return rc;
	}
	return STEP_BLOCKED;
}

static int32_t make_run(struct hunter *h, uint64_t number)
{
	uint64_t most_steps = h->of->run->most_steps;
	int32_t failure = begin_run(h, number);
	unsigned thread;

	while (failure == NO_FAILURE && h->steps < most_steps) {
		int rc = advance_run(h, &thread);

		if (rc == STEP_BLOCKED)
			return judge_end(h);
		if (rc == STEP_FAILED)
			return h->step.failure;
		failure = judge(h);
		change_priorities(h, thread);
	}
	h->cut += failure == NO_FAILURE;
	return failure;
}

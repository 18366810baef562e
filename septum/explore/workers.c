/*
 * The workers, what they found, and how they meet: to enlarge the table, and to go from one level to the next. Everything else
 * they do without waiting for each other.
 *
 * Offers struct worker and struct explorer; meet; note and found_at for a finding, give_up for a limit.
 */

/* A violation or a deadlock. */
struct finding {
	enum outcome outcome;		/* RUN_COMPLETE: nothing found */
	int32_t failure;
	uint64_t moves;			/* in the schedule that leads there */
	struct fingerprint where;
	uint64_t state;			/* where it holds or, if `fails`, before the move that fails */
	int fails;
	unsigned thread;
	uint32_t ordinal;
};

/* A state just generated. It waits for a moment, until its slot of the table has come from memory. */
struct successor {
	_Alignas(64) uint8_t state[STRIDE];
	struct sum sum;
	struct fingerprint print;
	uint64_t link;
};

enum { WAITING = 8, RECENT_BITS = 10 };

struct worker {
	_Alignas(128) struct explorer *explorer;
	pthread_t thread;
	step_t step;
	int halted;
	int64_t advance;		/* states it may add to the table */
	struct log_tail tail;
	struct pool pool;
	struct batch *produced;		/* for the next level */
	uint64_t states, transitions, final_states;	/* since the last report */
	int64_t frontier;
	struct finding finding;
	struct path path;
	others_t later[MAX_THREADS];	/* what each may touch from the source on */
	unsigned head, waiting;
	int pruned;			/* a move from the source was */
	struct watcher *watcher;	/* NULL where races are not looked for */
	struct successor successor[WAITING];
	struct fingerprint recent[1 << RECENT_BITS];
	_Alignas(64) uint8_t source[STRIDE];	/* the state under expansion */
	_Alignas(64) uint8_t scratch[STRIDE];	/* equals it between two moves, which are made here and undone */
	_Alignas(64) uint8_t packed[STRIDE];	/* the state added last to `filling` */
	struct batch filling;
	struct batch spilled;		/* one that came back from disk */
};

struct explorer {
	struct septum_run *run;
	double began, earlier;		/* earlier: the seconds before the checkpoint that the run goes on from */
	uint32_t everyone;		/* mask of the threads in use */
	struct table table;
	struct log log;
	struct spill spill;
	double next_save, soonest_save, next_note;
	int checkpoint_file;		/* the checkpoint that the run would resume from, or -1 */
	const uint8_t *covered;		/* model_covered of the library that left the run */
	struct worker *worker;
	unsigned workers;
	int deeper;			/* something lies beyond the depth limit */
	enum outcome ending;		/* why the search is given up, if it is */
	int torn;			/* in the middle of a batch, so what is known now is not what two batches leave between them */

	/* Below: under the lock. */
	pthread_mutex_t lock;
	pthread_cond_t all_met;
	unsigned met, meetings;
	int wants_room, over;
	struct batch *level;		/* not yet taken */
};

/* The first reason counts. */
static void give_up(struct worker *w, enum outcome why)
{
	enum outcome none = RUN_COMPLETE;

	__atomic_compare_exchange_n(&w->explorer->ending, &none, why, 0, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
	w->halted = 1;
}

static int is_less(const struct finding *a, const struct finding *b)
{
	const uint64_t left[] = { !a->outcome, a->moves, a->outcome, (uint32_t)a->failure, a->where.first, a->where.second, a->thread,
				  a->ordinal };
	const uint64_t right[] = { !b->outcome, b->moves, b->outcome, (uint32_t)b->failure, b->where.first, b->where.second, b->thread,
				   b->ordinal };

	for (unsigned i = 0; i < sizeof left / sizeof *left; i++)
		if (left[i] != right[i])
			return left[i] < right[i];
	return 0;
}

static void note(struct worker *w, struct finding finding)
{
	if (is_less(&finding, &w->finding))
		w->finding = finding;
}

static struct finding found_at(enum outcome outcome, int32_t failure, uint64_t moves, const struct sum *sum, uint64_t state)
{
	return (struct finding){ .outcome = outcome, .failure = failure, .moves = moves, .where = fingerprint(sum), .state = state };
}

/* What the workers handed over is the level; whether there is anything. */
static int collect_level(struct explorer *x)
{
	for (struct worker *w = x->worker; w < x->worker + x->workers; w++)
		for (struct batch *batch; (batch = pop_batch(&w->produced));)
			push_batch(&x->level, batch);
	turn_over(x->run, &x->spill);
	return x->level || x->spill.readable;
}

static int a_race(const struct explorer *x)
{
	for (const struct worker *w = x->worker; w < x->worker + x->workers; w++)
		if (w->watcher && w->watcher->race.found)
			return 1;
	return 0;
}

static void save_if_due(struct explorer *x);
static void save_at_end(struct explorer *x);

static void next_level(struct explorer *x)
{
	struct finding *best = &x->worker[0].finding;

	for (struct worker *w = x->worker; w < x->worker + x->workers; w++)
		if (is_less(&w->finding, best))
			*best = w->finding;
	if (!collect_level(x) || best->outcome || (x->run->watch == WATCH_UNTIL_FOUND && a_race(x))) {
		x->over = 1;
		return;
	}
	x->run->progress.depth++;
	save_if_due(x);
	if (x->run->change) {
		x->run->left = x;
		x->over = 1;
	}
}

/* Who wants room is in the middle of a batch, and finishes it even where the search is given up. */
static void end_meeting(struct explorer *x)
{
	if (x->wants_room && !x->torn) {
		if (!grow(x->run, &x->table)) {
			x->ending = x->ending ? x->ending : RUN_OUT_OF_MEMORY;
			x->over = x->torn = 1;
		}
	} else if (x->ending) {
		save_at_end(x);
		x->over = 1;
	} else {
		next_level(x);
	}
	x->wants_room = 0;
	x->met = 0;
	x->meetings++;
	pthread_cond_broadcast(&x->all_met);
}

/* If anybody wants room, the table grows; else the level is done. The last one to come does it, and the others wait. */
static void meet(struct explorer *x, int wants_room)
{
	pthread_mutex_lock(&x->lock);
	x->wants_room |= wants_room;
	unsigned meeting = x->meetings;
	if (++x->met == x->workers)
		end_meeting(x);
	while (meeting == x->meetings)
		pthread_cond_wait(&x->all_met, &x->lock);
	pthread_mutex_unlock(&x->lock);
}

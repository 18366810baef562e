/*
 * Breadth-first search over all schedules, level by level, by several workers that share one table of fingerprints.
 *
 * What does not depend on timing: of a run that completes, everything. Of a run that finds something, the outcome, the failure
 * and the number of moves in the schedule, because the level in which something is found is finished and the least finding
 * taken. Which of the equally short ways leads there depends on who was first, unless there is one worker only.
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

enum { WAITING = 8, RECENT_BITS = 13 };

struct worker {
	_Alignas(128) struct explorer *explorer;
	pthread_t thread;
	step_t step;
	int halted;
	int64_t advance;		/* states it may add to the table */
	struct log_tail tail;
	struct pool pool;
	struct batch *produced;
	uint64_t states, transitions, final_states;	/* since the last report */
	int64_t frontier;
	struct finding finding;
	struct path path;
	unsigned head, waiting;
	int fresh;			/* the next scratch state still equals the source */
	struct successor successor[WAITING];
	struct fingerprint recent[1 << RECENT_BITS];
	_Alignas(64) uint8_t raw[STRIDE];
};

struct explorer {
	struct septum_run *run;
	double began;
	uint32_t everyone;		/* mask of the threads in use */
	struct table table;
	struct growth growth;
	struct log log;
	struct worker *worker;
	unsigned workers;
	int deeper;			/* something lies beyond the depth limit */
	enum outcome ending;		/* why the search is given up, if it is */

	/* Below: under the lock. */
	pthread_mutex_t lock;
	pthread_cond_t all_met;
	unsigned met, meetings;
	int wants_room, over;
	struct batch *level;		/* not yet taken */
};

static void give_up(struct worker *w, enum outcome why)
{
	__atomic_store_n(&w->explorer->ending, why, __ATOMIC_RELAXED);
	w->halted = 1;
}

/* ---- Findings ---- */

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

/* ---- Meetings: where all workers stand still ---- */

static void next_level(struct explorer *x)
{
	struct septum_run *run = x->run;
	struct finding *best = &x->worker[0].finding;

	for (struct worker *w = x->worker; w < x->worker + x->workers; w++) {
		for (struct batch *batch; (batch = pop_batch(&w->produced));)
			push_batch(&x->level, batch);
		if (is_less(&w->finding, best))
			*best = w->finding;
	}
	if (best->outcome || !x->level)
		x->over = 1;
	else
		run->progress.depth++;
}

static void end_meeting(struct explorer *x)
{
	if (x->growth.larger.slots)
		end_growth(&x->table, &x->growth);
	else if (x->ending)
		x->over = 1;
	else if (!x->wants_room)
		next_level(x);
	else if (!begin_growth(x->run, &x->table, &x->growth)) {
		x->ending = RUN_OUT_OF_MEMORY;
		x->over = 1;
	}
	x->wants_room = 0;
	x->met = 0;
	x->meetings++;
	pthread_cond_broadcast(&x->all_met);
}

static void wait_for_all(struct explorer *x, int wants_room)
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

/* If anybody wants room, all enlarge the table; else the level is done, and the last one to come opens the next. */
static void meet(struct explorer *x, int wants_room)
{
	wait_for_all(x, wants_room);
	while (x->growth.larger.slots) {
		pour(x->run, &x->table, &x->growth);
		wait_for_all(x, 0);
	}
}

/* ---- Successors ---- */

static int has_room(struct worker *w)
{
	struct explorer *x = w->explorer;

	while (!w->advance && !w->halted && !(w->advance = draw_advance(&x->table))) {
		meet(x, 1);
		w->halted = x->over;
	}
	return !w->halted;
}

/* The batch that the worker fills for the next level. */
static struct batch *batch_to_fill(struct worker *w)
{
	if (w->produced && w->produced->count < BATCH)
		return w->produced;
	struct batch *batch = empty_batch(w->explorer->run, &w->pool);
	if (batch)
		push_batch(&w->produced, batch);
	return batch;
}

/* Numbers a new state, judges it and queues it to be expanded. */
static void welcome(struct worker *w, const struct successor *s, uint64_t moves)
{
	struct explorer *x = w->explorer;
	uint64_t id = append_log(x->run, &x->log, &w->tail, s->link);
	struct batch *batch = batch_to_fill(w);

	if (id == NO_STATE || !batch) {
		give_up(w, RUN_OUT_OF_MEMORY);
		return;
	}
	w->states++;
	w->frontier++;
	int32_t failure = model_check(s->state, 0);
	if (failure != NO_FAILURE)
		note(w, found_at(RUN_VIOLATED, failure, moves, &s->sum, id));
	batch->id[batch->count] = id;
	batch->sum[batch->count] = s->sum;
	copy_state(batch->state[batch->count++], s->state);
}

static inline void settle_oldest(struct worker *w)
{
	struct successor *s = &w->successor[w->head];

	w->head = (w->head + 1) % WAITING;
	w->waiting--;
	if (!has_room(w) || !insert(&w->explorer->table, &s->print))
		return;
	w->advance--;
	welcome(w, s, w->explorer->run->progress.depth + 1);
}

static inline struct successor *next_scratch(struct worker *w)
{
	if (w->waiting == WAITING)
		settle_oldest(w);
	return &w->successor[(w->head + w->waiting) % WAITING];
}

/* A state of the batch under expansion. */
struct source {
	const uint8_t *state;
	const struct sum *sum;
	uint64_t id;
};

/*
 * Two steps that commute lead to one state from two neighbours in the level, so nine in ten states that are met again are met
 * again soon. A small cache knows these without a look at the table and, under symmetry, before they are renamed.
 */
static inline int is_recent(struct worker *w, const struct fingerprint *print)
{
	struct fingerprint *recent = &w->recent[print->first >> (64 - RECENT_BITS)];

	if (recent->first == print->first && recent->second == print->second)
		return 1;
	*recent = *print;
	return 0;
}

static inline void take_print(struct successor *s, const struct source *from, const uint8_t *state)
{
	s->sum = *from->sum;
	change_sum(&s->sum, from->state, state);
	s->print = fingerprint(&s->sum);
}

static inline void add_successor(struct worker *w, const struct source *from, struct successor *s, unsigned thread, uint32_t ordinal)
{
	const struct explorer *x = w->explorer;

	w->transitions++;
	take_print(s, from, x->run->symmetry ? w->raw : s->state);
	if (is_recent(w, &s->print))
		return;
	if (x->run->symmetry) {
		model_canonical(w->raw, s->state);
		take_print(s, from, s->state);
	}
	s->link = link_of(from->id, thread, ordinal);
	__builtin_prefetch(&x->table.slots[slot_of(&x->table, &s->print)], 1);
	w->waiting++;
}

static void add_failure(struct worker *w, const struct source *from, unsigned thread, uint32_t ordinal, int32_t failure)
{
	struct finding finding = found_at(RUN_VIOLATED, failure, w->explorer->run->progress.depth + 1, from->sum, from->id);

	finding.fails = 1;
	finding.thread = thread;
	finding.ordinal = ordinal;
	note(w, finding);
}

/* One leaf of the thread's moves; whether it could move. */
static inline int try_leaf(struct worker *w, const struct source *from, unsigned thread, uint32_t ordinal)
{
	struct septum_run *run = w->explorer->run;
	struct successor *s = next_scratch(w);
	uint8_t *state = run->symmetry ? w->raw : s->state;

	if (!w->fresh)
		copy_state(state, from->state);
	enum move move = make_move(run->fusion, state, thread, &w->path, &w->step);
	w->fresh = move == MOVE_BLOCKED;
	if (move == MOVE_BLOCKED || move == MOVE_PRUNED)
		return move == MOVE_PRUNED;
	if (run->most_depth && run->progress.depth >= run->most_depth)
		__atomic_store_n(&w->explorer->deeper, 1, __ATOMIC_RELAXED);
	else if (move == MOVE_FAILED)
		add_failure(w, from, thread, ordinal, w->step.failure);
	else
		add_successor(w, from, s, thread, ordinal);
	return 1;
}

static inline int try_thread(struct worker *w, const struct source *from, unsigned thread, uint32_t choices)
{
	int moved = 0;
	uint32_t ordinal = 0;

	first_leaf(&w->path, choices);
	do
		moved |= try_leaf(w, from, thread, ordinal++);
	while (next_leaf(&w->path) && ordinal >> ORDINAL_BITS == 0);
	if (w->path.length)
		add_failure(w, from, thread, ordinal - 1, ENDLESS);	/* more leaves than a link can name */
	return moved;
}

/* Nobody can move: a deadlock, or all is at rest. */
static void judge_rest(struct worker *w, const struct source *at, uint32_t ended)
{
	struct explorer *x = w->explorer;
	int rests = !(x->everyone & ~(ended | x->run->daemons));
	int32_t failure = rests ? model_check(at->state, 1) : NO_FAILURE;

	w->final_states += ended == x->everyone;
	if (!rests || failure != NO_FAILURE)
		note(w, found_at(rests ? RUN_VIOLATED : RUN_DEADLOCK, failure, x->run->progress.depth, at->sum, at->id));
}

/*
 * The threads to move. After a move under fusion its thread stands at no local step, so only threads that have not begun can:
 * the first of these goes alone, for nobody else can tell when it did.
 */
static uint32_t threads_to_move(const struct explorer *x, const uint8_t *state)
{
	if (x->run->fusion && x->run->progress.depth < x->run->threads)
		for (unsigned thread = 0; thread < x->run->threads; thread++)
			if (model_choices(state, thread) && model_local(state, thread))
				return 1u << thread;
	return x->everyone;
}

static void expand(struct worker *w, const struct source *from)
{
	uint32_t ended = 0, choices;
	int moved = 0;

	w->fresh = 0;
	for (uint32_t left = threads_to_move(w->explorer, from->state); left; left &= left - 1) {
		unsigned thread = __builtin_ctz(left);

		if ((choices = model_choices(from->state, thread)))
			moved |= try_thread(w, from, thread, choices);
		else
			ended |= 1u << thread;
	}
	if (!moved)
		judge_rest(w, from, ended);
}

static inline void prefetch_state(const uint8_t *state)
{
	for (unsigned block = 0; block < BLOCKS; block++)
		__builtin_prefetch(state + 64 * block);
}

static void expand_batch(struct worker *w, const struct batch *batch)
{
	for (uint32_t i = 0; i < batch->count && !w->halted; i++) {
		prefetch_state(batch->state[i + 1 < batch->count ? i + 1 : i]);
		expand(w, &(struct source){ batch->state[i], &batch->sum[i], batch->id[i] });
	}
	while (w->waiting)
		settle_oldest(w);
	w->frontier -= batch->count;
}

/* ---- Workers ---- */

static uint64_t add_up(uint64_t *total, uint64_t *part)
{
	uint64_t sum = __atomic_add_fetch(total, *part, __ATOMIC_RELAXED);

	*part = 0;
	return sum;
}

/* Tells how far it came, and whether to go on. */
static int report(struct worker *w)
{
	struct explorer *x = w->explorer;
	struct septum_run *run = x->run;
	uint64_t states = add_up(&run->progress.states, &w->states);

	add_up(&run->progress.transitions, &w->transitions);
	add_up(&run->progress.final_states, &w->final_states);
	add_up(&run->progress.frontier, (uint64_t *)&w->frontier);
	if (run->stop)
		give_up(w, RUN_STOPPED);
	else if (run->most_states && states > run->most_states)
		give_up(w, RUN_OUT_OF_STATES);
	else if (run->most_seconds > 0 && now() - x->began >= run->most_seconds)
		give_up(w, RUN_OUT_OF_TIME);
	return !w->halted && !__atomic_load_n(&x->ending, __ATOMIC_RELAXED);
}

static struct batch *take_batch(struct explorer *x)
{
	pthread_mutex_lock(&x->lock);
	struct batch *batch = pop_batch(&x->level);
	pthread_mutex_unlock(&x->lock);
	return batch;
}

static void *work(void *argument)
{
	struct worker *w = argument;
	struct explorer *x = w->explorer;
	struct batch *batch;

	do {
		while (report(w) && (batch = take_batch(x))) {
			expand_batch(w, batch);
			push_batch(&w->pool.spare, batch);
		}
		meet(x, 0);
	} while (!x->over);
	return NULL;
}

/* As many as the machine grants: a thread that cannot be had is done without. All wait for the lock until their number is known. */
static void work_together(struct explorer *x)
{
	unsigned wanted = x->workers;

	pthread_mutex_lock(&x->lock);
	for (x->workers = 1; x->workers < wanted; x->workers++)
		if (pthread_create(&x->worker[x->workers].thread, NULL, work, &x->worker[x->workers]))
			break;
	pthread_mutex_unlock(&x->lock);
	work(&x->worker[0]);
	for (unsigned i = 1; i < x->workers; i++)
		pthread_join(x->worker[i].thread, NULL);
}

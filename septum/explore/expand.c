/* One state of the frontier: the moves of its threads, the states they lead to, and what is wrong with these.
 *
 * Offers expand_batch; hand_over, by which what a worker found becomes the next level. */

#ifdef COMPARED
static uint64_t overlooked;
EXPORTED uint64_t septum_overlooked(void) { return overlooked; }
#endif

static int has_room(struct worker *w)
{
	struct explorer *x = w->explorer;

	while (!w->advance && !w->halted && !(w->advance = draw_advance(&x->table))) {
		meet(x, 1);
		w->halted = x->over;
	}
	return !w->halted;
}

/* Hands the states that the worker found over to the next level: in memory or, where that is full, on disk. */
static void hand_over(struct worker *w)
{
	struct septum_run *run = w->explorer->run;
	struct batch *batch;

	if (!w->filling.count)
		return;
	if ((batch = empty_batch(run, &w->pool))) {
		memcpy(batch, &w->filling, batch_bytes(&w->filling));
		push_batch(&w->produced, batch);
	} else if (!run->spill_bytes || !spill_batch(run, &w->explorer->spill, &w->filling)) {
		give_up(w, run->spill_bytes ? RUN_OUT_OF_DISK : RUN_OUT_OF_MEMORY);
		__atomic_store_n(&w->explorer->torn, 1, __ATOMIC_RELAXED);
	}
	w->filling.count = w->filling.used = 0;
	memset(w->packed, 0, STRIDE);
}

/* Numbers a new state, judges it and queues it to be expanded. */
static void welcome(struct worker *w, const struct successor *s, uint64_t moves)
{
	struct explorer *x = w->explorer;
	uint64_t id = append_log(x->run, &x->log, &w->tail, s->link);

	if (id == NO_STATE) {
		give_up(w, RUN_OUT_OF_MEMORY);
		return;
	}
	w->states++;
	w->frontier++;
	int32_t failure = model_check(s->state, 0);
	if (failure != NO_FAILURE)
		note(w, found_at(RUN_VIOLATED, failure, moves, &s->sum, id));
	if (is_full(&w->filling))
		hand_over(w);
	pack(&w->filling, w->packed, s->state, &s->sum, id);
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

static inline struct successor *next_place(struct worker *w)
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

/* The state after a move, which stands in the scratch. */
static inline void add_successor(struct worker *w, const struct source *from, unsigned thread, uint32_t ordinal)
{
	const struct explorer *x = w->explorer;
	struct successor *s = next_place(w);

	w->transitions++;
	s->sum = *from->sum;
	change_words(&s->sum, w->path.written, from->state, w->scratch);
	s->print = fingerprint(&s->sum);
	if (is_recent(w, &s->print))
		return;
	if (x->run->symmetry) {
		model_canonical(w->scratch, s->state);
		s->sum = *from->sum;
		change_sum(&s->sum, from->state, s->state);
		s->print = fingerprint(&s->sum);
	} else {
		copy_state(s->state, w->scratch);
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

/* What is undone is what was noted. COMPARED: whether that was all is looked at each time, and how often it was not is counted. */
static inline void undo_move(struct worker *w, const struct source *from)
{
	copy_words(w->scratch, w->path.written, from->state);
#ifdef COMPARED
	if (memcmp(w->scratch, from->state, STATE_SIZE))
		__atomic_add_fetch(&overlooked, 1, __ATOMIC_RELAXED);
#endif
}

/* One leaf of the thread's moves; whether it could move. */
static inline int try_leaf(struct worker *w, const struct source *from, const struct mover *mover, uint32_t ordinal)
{
	unsigned thread = mover->thread;
	struct septum_run *run = w->explorer->run;

	if (mover->watcher)
		watch_next(mover->watcher, thread, w->path.fork[0].choice);
	enum move move = make_move(mover, w->scratch, &w->path, &w->step);
	w->pruned |= move == MOVE_PRUNED;
	if (move == MOVE_BLOCKED || move == MOVE_PRUNED)
		;
	else if (run->most_depth && run->progress.depth >= run->most_depth)
		__atomic_store_n(&w->explorer->deeper, 1, __ATOMIC_RELAXED);
	else if (move == MOVE_FAILED)
		add_failure(w, from, thread, ordinal, w->step.failure);
	else
		add_successor(w, from, thread, ordinal);
	undo_move(w, from);
	return move != MOVE_BLOCKED;
}

static inline int try_thread(struct worker *w, const struct source *from, unsigned thread, uint32_t choices, int watched)
{
	struct mover mover;
	int moved = 0;
	uint32_t ordinal = 0;

	take_turn(&mover, w->explorer->run, w->later, thread);
	mover.watcher = watched ? w->watcher : NULL;
	first_leaf(&w->path, choices);
	do
		moved |= try_leaf(w, from, &mover, ordinal++);
	while (next_leaf(&w->path));
	return moved;
}

static void note_deadlock(struct worker *w, const struct source *at)
{
	const struct septum_run *run = w->explorer->run;

	if (run->deadlocks_aside)
		__atomic_store_n(&model_covered[DEADLOCKED], 1, __ATOMIC_RELAXED);
	else
		note(w, found_at(RUN_DEADLOCK, NO_FAILURE, run->progress.depth, at->sum, at->id));
}

/* Nobody can move: a deadlock, or all is at rest. */
static void judge_rest(struct worker *w, const struct source *at, uint32_t ended)
{
	struct explorer *x = w->explorer;
	int rests = !(x->everyone & ~(ended | x->run->daemons));
	int32_t failure = rests ? model_check(at->state, 1) : NO_FAILURE;

	w->final_states += ended == x->everyone;
	if (!rests)
		note_deadlock(w, at);
	else if (failure != NO_FAILURE)
		note(w, found_at(RUN_VIOLATED, failure, x->run->progress.depth, at->sum, at->id));
}

/* Somebody can move: a deadlock all the same, if threads that wait can never go on. */
static void judge_waiting(struct worker *w, const struct source *at, uint32_t waiting)
{
	const struct septum_run *run = w->explorer->run;

	if (model_stuck(at->state, run->threads, waiting) & ~run->daemons)
		note_deadlock(w, at);
}

/*
 * The first thread whose next step may be taken before anything else, as a mask; 0 if there is none. Not one that may be in a loop, nor one
 * whose move goes on into a loop (expand): on a cycle of states no thread is passed over for ever.
 */
static uint32_t lone_thread(const struct worker *w, const uint8_t *state)
{
	const struct septum_run *run = w->explorer->run;
	struct mover mover;

	for (unsigned thread = 0; run->reductions && thread < run->threads; thread++) {
		take_turn(&mover, run, w->later, thread);
		if (is_alone(&mover, state) == ALONE)
			return 1u << thread;
	}
	return 0;
}

/* Moves each of the threads; which could, and which have ended. */
static uint32_t try_threads(struct worker *w, const struct source *from, uint32_t threads, uint32_t *ended, int watched)
{
	uint32_t moved = 0;

	for (; threads; threads &= threads - 1) {
		unsigned thread = __builtin_ctz(threads);
		uint32_t choices = model_choices(from->state, thread);

		if (choices)
			moved |= (uint32_t)try_thread(w, from, thread, choices, watched) << thread;
		else
			*ended |= 1u << thread;
	}
	return moved;
}

/* A thread whose step comes first touches nothing that another one touches, so the steps of all others are beside each other later. */
static void look_for_races(struct worker *w, const struct source *from)
{
	struct race race = { 0 };

	judge_steps(w->watcher, from->state, &race);
	forget_steps(w->watcher);
	if (!race.found)
		return;
	struct fingerprint where = fingerprint(from->sum);
	note_race(w->watcher, &race, w->explorer->run->progress.depth, &where, from->id);
}

static void expand(struct worker *w, const struct source *from)
{
	const struct explorer *x = w->explorer;
	uint32_t ended = 0;

	w->pruned = 0;
	copy_state(w->scratch, from->state);
	look_ahead(x->run, from->state, w->later);
	uint32_t lone = lone_thread(w, from->state);
	uint32_t moved = try_threads(w, from, lone, &ended, 0);
	if (moved && !w->pruned && !w->path.loops)
		return;
	int watched = w->watcher && (!w->watcher->race.found || w->watcher->race.moves == x->run->progress.depth);
	moved |= try_threads(w, from, x->everyone & ~lone, &ended, watched);
	if (watched)
		look_for_races(w, from);
	if (!moved)
		judge_rest(w, from, ended);
	else if (x->everyone & ~(moved | ended | x->run->daemons))
		judge_waiting(w, from, x->everyone & ~(moved | ended));
}

static void expand_batch(struct worker *w, const struct batch *batch)
{
	const uint8_t *next = batch->body;
	struct sum sum = { 0 };
	struct source source = { .state = w->source, .sum = &sum };

	memset(w->source, 0, STRIDE);
	for (uint32_t i = 0; i < batch->count && !w->halted; i++) {
		next = unpack(next, w->source, &sum, &source.id);
		expand(w, &source);
	}
	while (w->waiting)
		settle_oldest(w);
	if (w->halted)
		__atomic_store_n(&w->explorer->torn, 1, __ATOMIC_RELAXED);
	w->frontier -= batch->count;
}

/*
 * A move of a thread: one step and the steps that follow it alone (model_alone), of which no other thread can tell when they are taken.
 *
 * Where the thread stands at a choose, a move forks. The forks of all moves of one thread from one state form a tree; its
 * leaves are numbered from 0 in the order of the choices, and walked one by one, each from the start: forks are few, and so
 * no intermediate state need be kept. The same walk rebuilds a schedule.
 *
 * Offers look_ahead and take_turn, make_move and is_alone; first_leaf and next_leaf, the choices of a move.
 */
enum { MOST_STEPS = 1000 };	/* in one move; what follows is another one */
enum { MOST_LOOPING = 64 };	/* after so many a step that may be in a loop ends the move, so that others come round as well */
enum { MOST_LEAVES = 64 };	/* of a move that forks after its first step */

enum move { MOVE_DONE, MOVE_BLOCKED, MOVE_FAILED, MOVE_PRUNED };	/* pruned: the failure of something not judged */

struct path {
	uint32_t length;
	uint32_t steps;			/* of the move made last, with the one that failed */
	uint32_t loops;			/* a step of these moves that followed another one may be in a loop */
	words_t written;		/* by the move made last */
	struct fork { uint32_t choice, choices; } fork[MOST_STEPS];
};

static inline void first_leaf(struct path *path, uint32_t choices)
{
	path->length = 1;
	path->loops = 0;
	path->fork[0] = (struct fork){ 0, choices };
}

static inline int next_leaf(struct path *path)
{
	for (; path->length; path->length--) {
		struct fork *last = &path->fork[path->length - 1];

		if (++last->choice < last->choices)
			return 1;
	}
	return 0;
}

/* Who makes a move: with what all others may touch from now on, which it does not change. */
struct mover {
	unsigned thread;
	uint32_t reductions;
	struct watcher *watcher;	/* of the first step, or NULL */
	others_t others;
};

/* What each thread may touch from a state on, if it matters. */
static inline void look_ahead(const struct septum_run *run, const uint8_t *state, others_t later[MAX_THREADS])
{
	for (unsigned thread = 0; run->reductions & REDUCE_PARTIAL && thread < run->threads; thread++)
		model_later(state, thread, &later[thread]);
}

static inline void take_turn(struct mover *mover, const struct septum_run *run, const others_t later[MAX_THREADS], unsigned thread)
{
	mover->thread = thread;
	mover->watcher = NULL;
	mover->reductions = run->reductions;
	if (run->reductions & REDUCE_PARTIAL)
		model_others(later, run->threads, thread, &mover->others);
}

static inline enum alone is_alone(const struct mover *mover, const uint8_t *state)
{
	return model_alone(state, mover->thread, &mover->others, mover->reductions);
}

/* How many leaves there are where every fork of a path goes on like this. At most MOST_LEAVES, or as many as the first step has. */
static uint32_t leaves_of(const struct path *path)
{
	uint32_t leaves = 1;

	for (uint32_t i = 0; i < path->length; i++)
		leaves *= path->fork[i].choices;
	return leaves;
}

/* Whether the thread takes a further step; then the path says with which choice. */
static int goes_on(const struct mover *mover, const uint8_t *state, struct path *path)
{
	uint32_t choices;

	if (path->steps < path->length)
		return 1;
	enum alone alone = is_alone(mover, state);
	if (alone == NOT_ALONE || path->steps >= (alone == ALONE_IN_LOOP ? MOST_LOOPING : MOST_STEPS) ||
	    !(choices = model_choices(state, mover->thread)))
		return 0;
	if (choices > 1 && choices > MOST_LEAVES / leaves_of(path))
		return 0;
	path->loops |= alone == ALONE_IN_LOOP;
	path->fork[path->length++] = (struct fork){ 0, choices };
	return 1;
}

/*
 * Makes the move that the path names, and lengthens the path by the first choices where it ends too soon. A step alone that is
 * pruned, and leaves the state as it was, only ends the move: other threads may go on before it.
 */
static inline enum move make_move(const struct mover *mover, uint8_t *state, struct path *path, step_t *step)
{
	path->steps = 0;
	memset(path->written, 0, sizeof path->written);
	do {
		step->choice = path->fork[path->steps].choice;
		int rc = model_step_noted(state, mover->thread, step, path->written);
		if (mover->watcher)
			watch_no_more(mover->watcher);
		switch (rc) {
		case STEP_FAILED:
			path->steps++;
			return MOVE_FAILED;
		case STEP_BLOCKED:
			return path->steps ? MOVE_DONE : MOVE_BLOCKED;
		case STEP_PRUNED:
			return path->steps ? MOVE_DONE : MOVE_PRUNED;
		}
		path->steps++;
	} while (mover->reductions && goes_on(mover, state, path));
	return MOVE_DONE;
}

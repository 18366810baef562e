/*
 * A move of a thread: one step and, under fusion, the local steps that follow it, which no other thread can tell apart.
 *
 * Where the thread stands at a choose, a move forks. The forks of all moves of one thread from one state form a tree; its
 * leaves are numbered from 0 in the order of the choices, and walked one by one, each from the start: forks are few, and so
 * no intermediate state need be kept. The same walk rebuilds a schedule.
 */
enum { MOST_STEPS = 10000 };	/* in one move; a thread that takes more runs for ever */

enum move { MOVE_DONE, MOVE_BLOCKED, MOVE_FAILED, MOVE_PRUNED };	/* pruned: an ignored failure ends this schedule */

struct path {
	uint32_t length;
	struct fork { uint32_t choice, choices; } fork[MOST_STEPS];
};

static inline void first_leaf(struct path *path, uint32_t choices)
{
	path->length = 1;
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

/* Whether the thread, having taken `taken` steps, goes on; then the path says with which choice. */
static int goes_on(const uint8_t *state, unsigned thread, uint32_t taken, struct path *path)
{
	uint32_t choices;

	if (taken < path->length)
		return 1;
	if (!model_local(state, thread) || !(choices = model_choices(state, thread)))
		return 0;
	if (taken < MOST_STEPS)
		path->fork[path->length++] = (struct fork){ 0, choices };
	return 1;
}

/* Makes the move that the path names, and lengthens the path by the first choices where it ends too soon. */
static inline enum move make_move(int fusion, uint8_t *state, unsigned thread, struct path *path, step_t *step)
{
	uint32_t taken = 0;

	do {
		if (taken == MOST_STEPS) {
			step->failure = ENDLESS;
			return MOVE_FAILED;
		}
		step->choice = path->fork[taken].choice;
		switch (model_step(state, thread, step)) {
		case STEP_FAILED:
			return MOVE_FAILED;
		case STEP_PRUNED:
			return MOVE_PRUNED;
		case STEP_BLOCKED:
			return taken ? MOVE_DONE : MOVE_BLOCKED;
		}
		taken++;
	} while (fusion && goes_on(state, thread, taken, path));
	return MOVE_DONE;
}

/*
 * A move of a thread: one step and, under fusion, the local steps that follow it, which no other thread can tell apart.
 *
 * Where the thread stands at a choose, a move forks. The forks of all moves of one thread from one state form a tree; its
 * leaves are numbered from 0 in the order of the choices, and walked one by one, each from the start: forks are few, and so
 * no intermediate state need be kept. The same walk rebuilds a schedule.
 */
enum { MOST_STEPS = 10000 };	/* in one move; a thread that takes more runs for ever */

enum move { MOVE_DONE, MOVE_BLOCKED, MOVE_FAILED, MOVE_PRUNED };	/* pruned: the failure of something not judged */

struct path {
	uint32_t length;
	uint32_t steps;			/* of the move made last, with the one that failed */
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

/* Whether the thread takes a further step; then the path says with which choice. */
static int goes_on(const uint8_t *state, unsigned thread, struct path *path)
{
	uint32_t choices;

	if (path->steps < path->length)
		return 1;
	if (!model_local(state, thread) || !(choices = model_choices(state, thread)))
		return 0;
	if (path->steps < MOST_STEPS)
		path->fork[path->length++] = (struct fork){ 0, choices };
	return 1;
}

/*
 * Makes the move that the path names, and lengthens the path by the first choices where it ends too soon. A local step that is
 * pruned, and leaves the state as it was, only ends the move: other threads may go on before it.
 */
static inline enum move make_move(int fusion, uint8_t *state, unsigned thread, struct path *path, step_t *step)
{
	path->steps = 0;
	do {
		if (path->steps == MOST_STEPS) {
			step->failure = ENDLESS;
			return MOVE_FAILED;
		}
		step->choice = path->fork[path->steps].choice;
		switch (model_step(state, thread, step)) {
		case STEP_FAILED:
			path->steps++;
			return MOVE_FAILED;
		case STEP_BLOCKED:
			return path->steps ? MOVE_DONE : MOVE_BLOCKED;
		case STEP_PRUNED:
			return path->steps ? MOVE_DONE : MOVE_PRUNED;
		}
		path->steps++;
	} while (fusion && goes_on(state, thread, path));
	return MOVE_DONE;
}

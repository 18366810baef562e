/*
 * The schedule that leads to a finding, step by step, in the terms of the initial state as it was given.
 *
 * The log of parents names one move after the other, in states that symmetry may have renamed on the way. So two states go
 * side by side: the canonical one makes the moves of the log, the real one whichever move leads to the same canonical state.
 * There always is one if model_canonical() gives all states of an orbit the same representative. If it gives them several,
 * there may be none: the finding stands, since every move was a real one up to renaming, but it is not traced.
 *
 * Offers trace_finding.
 */
struct trace {
	struct explorer *explorer;
	struct path *path;
	uint64_t room;			/* steps that run->schedule has room for */
	others_t later[MAX_THREADS];
	_Alignas(16) uint8_t canonical[STATE_SIZE], target[STATE_SIZE], real[STATE_SIZE], tried[STATE_SIZE], renamed[STATE_SIZE];
};

/* What the real move must come to: a failure, or a state. */
struct goal {
	enum move move;
	int32_t failure;
	const uint8_t *state;
};

static void canonicalize(const struct trace *trace, const uint8_t *from, uint8_t *to)
{
	if (trace->explorer->run->symmetry)
		model_canonical(from, to);
	else
		memcpy(to, from, STATE_SIZE);
}

static int add_step(struct trace *trace, unsigned thread, uint32_t choice)
{
	struct septum_run *run = trace->explorer->run;

	if (run->steps == trace->room) {
		uint64_t room = trace->room ? 2 * trace->room : 64;
		uint32_t *larger = realloc(run->schedule, room * 2 * sizeof *larger);

		if (!larger)
			return 0;
		run->schedule = larger;
		trace->room = room;
	}
	run->schedule[2 * run->steps] = thread;
	run->schedule[2 * run->steps++ + 1] = choice;
	return 1;
}

/* From the canonical state, the canonical state after the move that the log names. */
static void follow_log(struct trace *trace, unsigned thread, uint32_t ordinal)
{
	const struct septum_run *run = trace->explorer->run;
	step_t step = { 0 };

	struct mover mover;

	look_ahead(run, trace->canonical, trace->later);
	take_turn(&mover, run, trace->later, thread);
	first_leaf(trace->path, model_choices(trace->canonical, thread));
	do {
		memcpy(trace->tried, trace->canonical, STATE_SIZE);
		make_move(&mover, trace->tried, trace->path, &step);
	} while (ordinal-- && next_leaf(trace->path));
	canonicalize(trace, trace->tried, trace->target);
}

static int try_real(struct trace *trace, const struct mover *mover, const struct goal *goal)
{
	step_t step = { 0 };

	memcpy(trace->tried, trace->real, STATE_SIZE);
	enum move move = make_move(mover, trace->tried, trace->path, &step);
	if (move != goal->move)
		return 0;
	if (move == MOVE_FAILED)
		return step.failure == goal->failure;
	canonicalize(trace, trace->tried, trace->renamed);
	return !memcmp(trace->renamed, goal->state, STATE_SIZE);
}

static int make_real_move(struct trace *trace, unsigned thread, const struct goal *goal)
{
	uint32_t choices = model_choices(trace->real, thread);

	if (!choices)
		return 0;
	struct mover mover;
	look_ahead(trace->explorer->run, trace->real, trace->later);
	take_turn(&mover, trace->explorer->run, trace->later, thread);
	first_leaf(trace->path, choices);
	while (!try_real(trace, &mover, goal))
		if (!next_leaf(trace->path))
			return 0;
	for (uint32_t i = 0; i < trace->path->steps; i++)
		if (!add_step(trace, thread, trace->path->fork[i].choice))
			return 0;
	memcpy(trace->real, trace->tried, STATE_SIZE);
	return 1;
}

/* The thread that the log names is tried first, but symmetry may have renamed it. */
static int reach(struct trace *trace, unsigned thread, struct goal goal)
{
	unsigned threads = trace->explorer->run->threads;

	for (unsigned i = 0; i < threads; i++)
		if (make_real_move(trace, (thread + i) % threads, &goal))
			return 1;
	return 0;
}

static int make_moves(struct trace *trace, const uint64_t *links, uint64_t count)
{
	while (count--) {
		follow_log(trace, link_thread(links[count]), link_ordinal(links[count]));
		if (!reach(trace, link_thread(links[count]), (struct goal){ .move = MOVE_DONE, .state = trace->target }))
			return 0;
		memcpy(trace->canonical, trace->target, STATE_SIZE);
	}
	return 1;
}

static int trace_moves(struct trace *trace, const struct finding *finding)
{
	const struct log *log = &trace->explorer->log;
	uint64_t count = 0, *links = calloc(finding->moves + 1, sizeof *links);

	if (!links)
		return 0;
	uint64_t id = finding->state;
	for (; id && count <= finding->moves; id = link_parent(links[count++]))
		links[count] = read_log(log, id);
	int traced = !id && make_moves(trace, links, count);
	free(links);
	return traced &&
	       (!finding->fails || reach(trace, finding->thread, (struct goal){ .move = MOVE_FAILED, .failure = finding->failure }));
}

/* Fills in run->schedule, and says whether it is whole. */
static int trace_finding(struct explorer *explorer, struct path *path, const struct finding *finding)
{
	struct trace *trace = calloc(1, sizeof *trace);

	if (!trace)
		return 0;
	trace->explorer = explorer;
	trace->path = path;
	memcpy(trace->real, explorer->run->initial, STATE_SIZE);
	canonicalize(trace, trace->real, trace->canonical);
	int traced = trace_moves(trace, finding);
	free(trace);
	return traced;
}

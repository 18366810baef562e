/*
 * The graph of all states, for what no single state shows: which edges lead from which to which, and who could move there.
 *
 * One worker builds it breadth first and step by step; only symmetry reduces it. Renaming leaves threads alone, so a thread can move in
 * a state exactly if it can in a renamed one, and a cycle of representatives is a cycle of states once it is gone round often enough.
 *
 * Offers build_graph, free_search and free_graph; with_room for an array that grows.
 */
enum { LEAST_SLOTS = 1 << 12, LOOK_EVERY = 1 << 10 };

struct edge {
	uint32_t to;
	uint32_t thread : 8;
	uint32_t choice : 24;
};

/* A state. Its edges are those from `edges` on, up to those of the next one. The first state is its own parent. */
struct vertex {
	uint64_t edges;
	uint32_t parent;
	uint32_t able;			/* threads that could move, as a mask */
	uint32_t unended;		/* threads that have not ended */
};

struct known {
	struct fingerprint print;
	uint64_t id;
};

/* States in full, to be expanded; the first of them has the number `first`. */
struct queue {
	uint8_t *states;
	uint64_t first, count, room;
};

struct graph {
	struct septum_run *run;
	double began;
	struct vertex *vertex;
	uint64_t vertices, vertex_room;
	struct edge *edge;
	uint64_t edges, edge_room;
	struct known *known;
	uint64_t slots;
	struct queue level, following;
	_Alignas(64) uint8_t moved[STRIDE];
	_Alignas(64) uint8_t named[STRIDE];
};

/* A larger piece of memory with the same content; NULL, and the old one stays, where the budget does not suffice. */
static void *enlarge(struct septum_run *run, void *old, size_t old_bytes, size_t bytes)
{
	void *larger = hold(run, bytes);

	if (larger && old)
		memcpy(larger, old, old_bytes);
	if (larger)
		let_go(run, old, old_bytes);
	return larger;
}

/* The items, with room for one more of `size` bytes; NULL, and the old ones stay, where memory ran out. */
static void *with_room(struct septum_run *run, void *items, uint64_t count, uint64_t *room, size_t size)
{
	uint64_t more = *room ? 2 * *room : LEAST_SLOTS;

	if (count < *room)
		return items;
	void *larger = enlarge(run, items, *room * size, more * size);
	if (larger)
		*room = more;
	return larger;
}

static struct known *find_known(struct known *known, uint64_t slots, const struct fingerprint *print)
{
	uint64_t slot = print->first & (slots - 1);

	while (known[slot].print.first && (known[slot].print.first != print->first || known[slot].print.second != print->second))
		slot = (slot + 1) & (slots - 1);
	return &known[slot];
}

/* At most half of the slots are taken. */
static int make_slots(struct graph *g)
{
	if (2 * (g->vertices + 1) <= g->slots)
		return 1;
	uint64_t slots = g->slots ? 2 * g->slots : LEAST_SLOTS;
	struct known *larger = hold(g->run, slots * sizeof *larger);

	if (!larger)
		return 0;
	for (uint64_t slot = 0; slot < g->slots; slot++)
		if (g->known[slot].print.first)
			*find_known(larger, slots, &g->known[slot].print) = g->known[slot];
	let_go(g->run, g->known, g->slots * sizeof *larger);
	g->known = larger;
	g->slots = slots;
	return 1;
}

static int queue_state(struct graph *g, const uint8_t *state)
{
	struct queue *q = &g->following;
	uint8_t *states = with_room(g->run, q->states, q->count, &q->room, STRIDE);

	if (!states)
		return 0;
	q->states = states;
	memcpy(q->states + q->count++ * STRIDE, state, STRIDE);
	return 1;
}

/* The number of a state, which is new if nobody had met it; NO_STATE where memory ran out. */
static uint64_t number_of(struct graph *g, const uint8_t *state, const struct sum *sum, uint32_t parent)
{
	struct fingerprint print = fingerprint(sum);
	struct vertex *vertex = with_room(g->run, g->vertex, g->vertices + 1, &g->vertex_room, sizeof *vertex);

	g->vertex = vertex ? vertex : g->vertex;
	if (!vertex || !make_slots(g))
		return NO_STATE;
	struct known *known = find_known(g->known, g->slots, &print);
	if (known->print.first)
		return known->id;
	if (g->vertices >= UINT32_MAX || !queue_state(g, state))
		return NO_STATE;
	*known = (struct known){ print, g->vertices };
	g->vertex[g->vertices].parent = parent;
	return g->vertices++;
}

static int add_edge(struct graph *g, uint32_t from, const uint8_t *source, const struct sum *source_sum, unsigned thread, uint32_t choice)
{
	const uint8_t *state = g->moved;
	struct sum sum = *source_sum;

	if (g->run->symmetry) {
		model_canonical(g->moved, g->named);
		state = g->named;
	}
	change_sum(&sum, source, state);
	uint64_t to = number_of(g, state, &sum, from);
	struct edge *edge = with_room(g->run, g->edge, g->edges, &g->edge_room, sizeof *edge);
	if (to == NO_STATE || !edge)
		return 0;
	g->edge = edge;
	g->edge[g->edges++] = (struct edge){ .to = (uint32_t)to, .thread = thread & 0xff, .choice = choice & 0xffffff };
	return 1;
}

/* A step that fails leads nowhere: what it violates is not what is asked here. But the thread could run. */
static int add_edges(struct graph *g, uint32_t from, const uint8_t *source, const struct sum *sum, unsigned thread)
{
	uint32_t choices = model_choices(source, thread);
	step_t step = { 0 };

	g->vertex[from].unended |= (uint32_t)!!choices << thread;
	for (uint32_t choice = 0; choice < choices; choice++) {
		memcpy(g->moved, source, STRIDE);
		step.choice = choice;
		int came = model_step(g->moved, thread, &step);
		if (came == STEP_BLOCKED)
			return 1;
		g->vertex[from].able |= 1u << thread;
		if (came == STEP_DONE && !add_edge(g, from, source, sum, thread, choice))
			return 0;
	}
	return 1;
}

static int expand_vertex(struct graph *g, uint32_t id, const uint8_t *state)
{
	static const _Alignas(64) uint8_t nothing[STRIDE];
	struct sum sum = { 0 };

	change_sum(&sum, nothing, state);
	g->vertex[id].edges = g->edges;
	for (unsigned thread = 0; thread < g->run->threads; thread++)
		if (!add_edges(g, id, state, &sum, thread))
			return 0;
	return 1;
}

/* Why to end, if a limit is reached; RUN_COMPLETE otherwise. */
static enum outcome look_at_limits(struct graph *g)
{
	struct septum_run *run = g->run;

	run->progress.states = g->vertices;
	run->progress.transitions = g->edges;
	if (run->stop)
		return RUN_STOPPED;
	if (run->most_states && g->vertices > run->most_states)
		return RUN_OUT_OF_STATES;
	return run->most_seconds > 0 && now() - g->began >= run->most_seconds ? RUN_OUT_OF_TIME : RUN_COMPLETE;
}

static enum outcome expand_level(struct graph *g)
{
	for (uint64_t i = 0; i < g->level.count; i++) {
		enum outcome ending = i % LOOK_EVERY ? RUN_COMPLETE : look_at_limits(g);

		if (ending)
			return ending;
		g->run->progress.frontier = g->level.count - i + g->following.count;
		if (!expand_vertex(g, (uint32_t)(g->level.first + i), g->level.states + i * STRIDE))
			return RUN_OUT_OF_MEMORY;
	}
	return RUN_COMPLETE;
}

static int begin_graph(struct graph *g)
{
	static const _Alignas(64) uint8_t nothing[STRIDE];
	struct sum sum = { 0 };

	memcpy(g->moved, g->run->initial, STATE_SIZE);
	memcpy(g->named, g->moved, STRIDE);
	if (g->run->symmetry)
		model_canonical(g->moved, g->named);
	change_sum(&sum, nothing, g->named);
	return number_of(g, g->named, &sum, 0) != NO_STATE;
}

static enum outcome build_graph(struct graph *g)
{
	enum outcome ending = begin_graph(g) ? RUN_COMPLETE : RUN_OUT_OF_MEMORY;

	while (!ending && g->following.count) {
		struct queue done = g->level;
		g->level = g->following;
		g->level.first = g->vertices - g->level.count;
		g->following = (struct queue){ .states = done.states, .room = done.room };
		ending = expand_level(g);
		g->run->progress.depth += !ending && g->following.count;
	}
	if (!ending)
		ending = look_at_limits(g);
	if (g->vertices)
		g->vertex[g->vertices].edges = g->edges;
	return ending;
}

static void free_queue(struct septum_run *run, struct queue *queue)
{
	let_go(run, queue->states, queue->room * STRIDE);
}

/* What the search needed and the graph does not. */
static void free_search(struct graph *g)
{
	free_queue(g->run, &g->level);
	free_queue(g->run, &g->following);
	let_go(g->run, g->known, g->slots * sizeof *g->known);
	g->level = g->following = (struct queue){ 0 };
	g->known = NULL;
}

static void free_graph(struct graph *g)
{
	free_search(g);
	let_go(g->run, g->vertex, g->vertex_room * sizeof *g->vertex);
	let_go(g->run, g->edge, g->edge_room * sizeof *g->edge);
}

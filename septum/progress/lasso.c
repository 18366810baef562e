/* A fair cycle as a schedule: the shortest way to a state on one, and a way around that is as short as it is easy to find.
 *
 * Offers septum_find_livelock to Python. */

/* Edges one after the other, each with the vertex from which it leads. */
struct turn {
	uint32_t from;
	uint64_t edge;
};

struct lasso {
	struct parts *parts;
	struct turn *step;
	uint64_t steps, room;
	uint64_t loop;			/* where the loop begins */
};

static int add_to_lasso(struct lasso *l, uint32_t from, uint64_t edge)
{
	struct turn *step = with_room(l->parts->graph->run, l->step, l->steps, &l->room, sizeof *step);

	if (!step)
		return 0;
	l->step = step;
	l->step[l->steps++] = (struct turn){ from, edge };
	return 1;
}

static void turn_around(struct lasso *l, uint64_t start)
{
	for (uint64_t i = start, j = l->steps; i + 1 < j; i++) {
		struct turn other = l->step[--j];

		l->step[j] = l->step[i];
		l->step[i] = other;
	}
}

static uint64_t edge_to(const struct graph *g, uint32_t from, uint32_t to)
{
	uint64_t e = g->vertex[from].edges;

	while (g->edge[e].to != to)
		e++;
	return e;
}

static int add_stem(struct lasso *l, uint32_t to)
{
	const struct graph *g = l->parts->graph;

	for (uint32_t from; to; to = from) {
		from = g->vertex[to].parent;
		if (!add_to_lasso(l, from, edge_to(g, from, to)))
			return 0;
	}
	turn_around(l, 0);
	l->loop = l->steps;
	return 1;
}

/* What a way through a part ends with: an edge to a vertex or, if there are threads, one by any of them. */
struct aim {
	uint32_t to, threads;
};

static inline int is_aim(const struct edge *edge, struct aim aim)
{
	return aim.threads ? aim.threads >> edge->thread & 1 : edge->to == aim.to;
}

/* The edges from the vertex where the search began to this one. `low` says from where a vertex was met first, by the edge in `cursor`. */
static int add_way(struct lasso *l, uint32_t start, uint32_t from, uint64_t last)
{
	const struct parts *p = l->parts;
	uint64_t begin = l->steps;

	if (!add_to_lasso(l, from, last))
		return 0;
	for (; from != start; from = p->low[from])
		if (!add_to_lasso(l, p->low[from], p->graph->vertex[p->low[from]].edges + p->cursor[from]))
			return 0;
	turn_around(l, begin);
	return 1;
}

/* Adds the shortest way that ends with the aim, which exists and has at least one edge. */
static int go_to(struct lasso *l, uint32_t start, struct aim aim)
{
	struct parts *p = l->parts;
	const struct graph *g = p->graph;
	uint64_t queued = 0;

	memset(p->index, 0, g->vertices * sizeof *p->index);
	p->index[start] = 1;
	p->path[queued++] = start;
	for (uint64_t i = 0; i < queued; i++) {
		uint32_t v = p->path[i];

		for (uint64_t e = g->vertex[v].edges; e < g->vertex[v + 1].edges; e++) {
			uint32_t to = g->edge[e].to;

			if (p->part[to] != p->part[start])
				continue;
			if (is_aim(&g->edge[e], aim))
				return add_way(l, start, v, e);
			if (p->index[to])
				continue;
			p->index[to] = 1;
			p->low[to] = v;
			p->cursor[to] = (uint32_t)(e - g->vertex[v].edges);
			p->path[queued++] = to;
		}
	}
	return 0;
}

/* The threads that could move somewhere on the loop and never do. */
static uint32_t neglected(const struct lasso *l)
{
	const struct graph *g = l->parts->graph;
	uint32_t able = 0, moved = 0;

	for (uint64_t i = l->loop; i < l->steps; i++) {
		able |= g->vertex[l->step[i].from].able;
		moved |= 1u << g->edge[l->step[i].edge].thread;
	}
	return able & ~moved;
}

/* Each time around, the way back to the start is left out again and goes by a thread that was neglected. */
static int add_loop(struct lasso *l, uint32_t start)
{
	const struct graph *g = l->parts->graph;
	uint32_t here = start, threads;

	for (;;) {
		uint64_t open = l->steps;

		if ((here != start || open == l->loop) && !go_to(l, here, (struct aim){ .to = start }))
			return 0;
		if (!(threads = neglected(l)))
			return 1;
		l->steps = open;
		if (!go_to(l, here, (struct aim){ .threads = threads }))
			return 0;
		here = g->edge[l->step[l->steps - 1].edge].to;
	}
}

static int take_schedule(const struct lasso *l, struct septum_run *run)
{
	run->schedule = calloc(l->steps, 2 * sizeof *run->schedule);
	if (!run->schedule)
		return 0;
	for (uint64_t i = 0; i < l->steps; i++) {
		const struct edge *edge = &l->parts->graph->edge[l->step[i].edge];

		run->schedule[2 * i] = edge->thread;
		run->schedule[2 * i + 1] = edge->choice;
	}
	run->steps = l->steps;
	return 1;
}

static enum outcome report_lasso(struct parts *p, struct septum_livelock *livelock)
{
	struct lasso l = { .parts = p };
	uint32_t start = (uint32_t)p->best;
	int done = add_stem(&l, start) && add_loop(&l, start) && take_schedule(&l, &livelock->run);

	livelock->loop = l.loop;
	let_go(&livelock->run, l.step, l.room * sizeof *l.step);
	return done ? RUN_VIOLATED : RUN_OUT_OF_MEMORY;
}

static enum outcome seek_livelock(struct graph *g, struct septum_livelock *livelock)
{
	struct parts parts = { 0 };
	enum outcome outcome = build_graph(g);

	if (!outcome) {
		free_search(g);
		outcome = RUN_OUT_OF_MEMORY;
		if (prepare_parts(&parts, g)) {
			judge_graph(&parts);
			outcome = parts.best == NO_STATE ? RUN_COMPLETE : report_lasso(&parts, livelock);
		}
	}
	free_parts(&parts);
	return outcome;
}

/* Whether the threads can go round for ever, fairly. The schedule is that of the states as symmetry names them. */
EXPORTED void septum_find_livelock(struct septum_livelock *livelock)
{
	struct septum_run *run = &livelock->run;
	struct graph *g = hold(run, sizeof *g);

	run->progress.states = run->progress.transitions = run->progress.depth = 0;
	run->schedule = NULL;
	run->steps = livelock->loop = 0;
	run->outcome = RUN_OUT_OF_MEMORY;
	double began = now();
	make_keys();
	if (g) {
		g->run = run;
		g->began = began;
		run->outcome = seek_livelock(g, livelock);
		free_graph(g);
		let_go(run, g, sizeof *g);
	}
	run->seconds = now() - began;
}

/*
 * Progress: the fair cycles of the graph, in which every thread that could move somewhere does move somewhere, and yet a thread that is no
 * daemon has not ended. A program is finite, so whoever moves on a cycle is in a loop that has no end.
 *
 * A strongly connected part of the graph, gone round completely, is fair unless a thread could move in it and never does. Then the states in
 * which it could are taken out, and what is left may fall into smaller parts: this finds every fair cycle (Streett automata: Emerson and
 * Lei, "Modalities for model checking").
 *
 * Offers prepare_parts, judge_graph and free_parts.
 */
struct septum_livelock {
	struct septum_run run;		/* outcome RUN_VIOLATED: the schedule leads to a loop and once around it */
	uint64_t loop;			/* the step at which the loop begins */
};

/* What a part that is not looked into any more is called; others are numbered from 1. */
enum { NO_PART = 0 };

/* Arrays with one item for each vertex. */
struct parts {
	struct graph *graph;
	uint32_t *memory;
	uint32_t *part, *index, *low, *cursor, *stack, *path, *order, *found;
	uint32_t count;			/* parts so far */
	uint64_t best;			/* the least vertex on a fair cycle */
};

enum { ARRAYS = 8 };

static inline const struct vertex *vertex_of(const struct parts *p, uint32_t v) { return &p->graph->vertex[v]; }

static int prepare_parts(struct parts *p, struct graph *graph)
{
	uint64_t n = graph->vertices;

	p->graph = graph;
	p->best = NO_STATE;
	p->memory = hold(graph->run, ARRAYS * n * sizeof *p->memory);
	if (!p->memory)
		return 0;
	uint32_t **arrays[ARRAYS] = { &p->part, &p->index, &p->low, &p->cursor, &p->stack, &p->path, &p->order, &p->found };
	for (unsigned i = 0; i < ARRAYS; i++)
		*arrays[i] = p->memory + i * n;
	return 1;
}

static void free_parts(struct parts *p)
{
	if (p->graph)
		let_go(p->graph->run, p->memory, ARRAYS * p->graph->vertices * sizeof *p->memory);
}

/* The vertices order[from .. to-1], all of one part. */
struct segment {
	uint64_t from, to;
};

struct tally {
	uint32_t moved, able, unended;	/* sets of threads */
	uint64_t edges;			/* that stay inside */
};

static struct tally take_tally(const struct parts *p, struct segment s)
{
	struct tally tally = { 0 };
	const struct graph *g = p->graph;

	for (uint64_t i = s.from; i < s.to; i++) {
		uint32_t v = p->order[i];

		tally.able |= vertex_of(p, v)->able;
		tally.unended |= vertex_of(p, v)->unended;
		for (uint64_t e = g->vertex[v].edges; e < g->vertex[v + 1].edges; e++)
			if (p->part[g->edge[e].to] == p->part[v]) {
				tally.moved |= 1u << g->edge[e].thread;
				tally.edges++;
			}
	}
	return tally;
}

static void name_part(struct parts *p, struct segment s, uint32_t part)
{
	for (uint64_t i = s.from; i < s.to; i++) {
		p->part[p->order[i]] = part;
		p->index[p->order[i]] = 0;
	}
}

static void judge_segment(struct parts *p, struct segment s);

/* Takes out the vertices in which one of the threads could move, and looks for the parts of the rest. */
static void take_out(struct parts *p, struct segment s, uint32_t threads)
{
	uint64_t kept = s.from;

	for (uint64_t i = s.from; i < s.to; i++) {
		uint32_t v = p->order[i];

		if (vertex_of(p, v)->able & threads)
			p->part[v] = NO_PART;
		else
			p->order[kept++] = v;
	}
	s.to = kept;
	name_part(p, s, ++p->count);
	judge_segment(p, s);
}

/* A strongly connected part of the graph. Each round takes out a thread at least, so they are nested no deeper than there are threads. */
static void judge_part(struct parts *p, struct segment s)
{
	name_part(p, s, ++p->count);
	struct tally tally = take_tally(p, s);

	if (!tally.edges || !(tally.unended & ~p->graph->run->daemons))
		name_part(p, s, NO_PART);
	else if (tally.able & ~tally.moved)
		take_out(p, s, tally.able & ~tally.moved);
	else
		for (uint64_t i = s.from; i < s.to; i++)
			p->best = p->order[i] < p->best ? p->order[i] : p->best;
}

struct tarjan {
	uint32_t part;
	uint32_t indices;
	uint64_t stacked, deep, done;	/* heights of stack and path; end of what found[] holds */
};

static void enter_vertex(struct parts *p, struct tarjan *t, uint32_t v)
{
	p->index[v] = p->low[v] = ++t->indices;
	p->cursor[v] = 0;
	p->stack[t->stacked++] = v;
	p->path[t->deep++] = v;
}

/* The next vertex of the part that an edge leads to and nobody has entered, after all others were looked at; or NO_STATE. */
static uint64_t advance(struct parts *p, const struct tarjan *t, uint32_t v)
{
	const struct graph *g = p->graph;
	uint64_t end = g->vertex[v + 1].edges;

	for (uint64_t e; (e = g->vertex[v].edges + p->cursor[v]) < end; p->cursor[v]++) {
		uint32_t to = g->edge[e].to;

		if (p->part[to] != t->part || (p->index[to] && !p->low[to]))
			continue;
		if (!p->index[to])
			return to;
		if (p->low[to] < p->low[v])
			p->low[v] = p->low[to];
	}
	return NO_STATE;
}

/* All of a strongly connected part lies on the stack. From here on `low` is 0 in it, and `cursor` says who its root is. */
static void close_part(struct parts *p, struct tarjan *t, uint32_t root)
{
	uint32_t v;

	do {
		v = p->stack[--t->stacked];
		p->low[v] = 0;
		p->cursor[v] = root;
		p->found[t->done++] = v;
	} while (v != root);
}

static void connect(struct parts *p, struct tarjan *t, uint32_t root)
{
	enter_vertex(p, t, root);
	while (t->deep) {
		uint32_t v = p->path[t->deep - 1];
		uint64_t to = advance(p, t, v);

		if (to != NO_STATE) {
			enter_vertex(p, t, (uint32_t)to);
			continue;
		}
		t->deep--;
		if (p->low[v] == p->index[v])
			close_part(p, t, v);
	}
}

/* Finds the strongly connected parts of a part, by Tarjan's algorithm, and judges each. */
static void judge_segment(struct parts *p, struct segment s)
{
	struct tarjan t = { .done = s.from };

	if (s.from == s.to)
		return;
	t.part = p->part[p->order[s.from]];
	for (uint64_t i = s.from; i < s.to; i++)
		if (!p->index[p->order[i]])
			connect(p, &t, p->order[i]);
	memcpy(p->order + s.from, p->found + s.from, (s.to - s.from) * sizeof *p->order);
	for (struct segment one = { s.from, s.from }; one.from < s.to; one.from = one.to) {
		uint32_t root = p->cursor[p->order[one.from]];

		while (one.to < s.to && p->cursor[p->order[one.to]] == root)
			one.to++;
		judge_part(p, one);
	}
}

static void judge_graph(struct parts *p)
{
	struct segment all = { 0, p->graph->vertices };

	for (uint64_t v = 0; v < all.to; v++)
		p->order[v] = (uint32_t)v;
	name_part(p, all, ++p->count);
	judge_segment(p, all);
}

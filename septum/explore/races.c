/*
 * Races: steps that another thread may come into, because no lock keeps it out. Only where accesses are watched.
 *
 * Of a state, two threads' next steps are taken as they were: S of one and T of another. Where they touch one place, one of them to
 * write it, S is taken again, and at each point between its accesses T is taken in a copy of the world as it is then; if it meets
 * something that S touched, the steps of its thread that follow are taken as well. If it touches with effect what S touched before that
 * point and, then or later, what S touches after it, no order of whole steps explains what both may see, and S is a race.
 *
 * What commutes, by a routine that says so, is left out. An atomic routine, a word of several fields, and the words of the condition
 * that S waited for, which are taken in the moment in which it came true, are one access each. A lock needs no name: it keeps T out.
 */
static int races_less(const struct race *a, const struct race *b)
{
	const uint64_t left[] = { !a->found, a->moves, a->where[0], a->where[1], a->thread, a->choice, a->partner, a->partner_choice,
				  a->site[0], a->site[1] };
	const uint64_t right[] = { !b->found, b->moves, b->where[0], b->where[1], b->thread, b->choice, b->partner, b->partner_choice,
				   b->site[0], b->site[1] };

	for (unsigned i = 0; i < sizeof left / sizeof *left; i++)
		if (left[i] != right[i])
			return left[i] < right[i];
	return 0;
}

#ifdef WATCHED

enum { MOST_STEPS_WATCHED = 256, MOST_ACCESSES = 1 << 13, MOST_FOLLOWED = 8 };

/* One step from a state. */
struct watched {
	uint32_t thread, choice;
	uint32_t is_joined;		/* what it waited for is one piece with what it does to that */
	accesses_t accesses;
};

/* How the other thread meets one access of S: in which of its steps first and last, from 1, and by which of its accesses. */
struct meeting {
	uint32_t first, last;
	const access_t *by_first, *by_last;
};

/* Python gives the bits of footprints for every place of the world before a run; what they point to lives as long as the library. */
static struct {
	const uint32_t *kind;		/* of the scalar at an offset */
	const uint64_t *bits;		/* of a kind: as many words as a footprint has */
} model_places;

EXPORTED void septum_places(const uint32_t *kind, const uint64_t *bits)
{
	model_places.kind = kind;
	model_places.bits = bits;
}

/* Whether a step touches a place, in the turn in which that is looked at; and writes it in what does not commute. */
struct mark {
	uint32_t turn, written;
};

struct watcher {
	others_t later[MAX_THREADS];	/* what a thread may touch from the state on; of those in `known` */
	uint32_t known;
	struct watched step[MOST_STEPS_WATCHED];
	uint32_t steps, used, lost;
	struct race race;
	uint32_t reached, reach[MOST_ACCESSES];	/* the accesses of S that the other thread may meet, now or later */
	struct meeting meeting[MOST_ACCESSES];	/* of each of these */
	uint32_t turn;
	struct mark mark[WORLD_SIZE];
	access_t arena[MOST_ACCESSES], again[MOST_ACCESSES], other[MOST_ACCESSES], sequel[MOST_ACCESSES];
	_Alignas(64) uint8_t whole[STRIDE], half[STRIDE], middle[STRIDE], real[STRIDE];
};

static int overlap(const access_t *a, const access_t *b)
{
	return a->offset < b->offset + b->size && b->offset < a->offset + a->size && (a->written || b->written);
}

static int same_piece(const access_t *a, const access_t *b)
{
	return (a->piece && a->piece == b->piece) || (a->joined && b->joined && a->word == b->word);
}

static int is_plain(const access_t *access) { return access->piece < AWAITED; }

/* Is said of a step that more is touched in it than was kept. */
static int keep(struct watcher *watcher, accesses_t *accesses)
{
	if (accesses->count <= accesses->room)
		return 1;
	accesses->count = accesses->room;
	watcher->lost = 1;
	return 0;
}

/* The words of the condition that a step waited for, and what the step does to them, are one piece. */
static void join_condition(struct watched *step)
{
	accesses_t *one = &step->accesses;

	if (step->is_joined++)
		return;
	for (uint32_t i = 0; i < one->count && one->at[i].piece == AWAITED; i++) {
		access_t *first = NULL;

		for (uint32_t k = i + 1; k < one->count; k++) {
			access_t *access = &one->at[k];

			if (access->word == one->at[i].word && is_plain(access))
				access->piece = AWAITED - 1 - i;
			if (!access->written || access->offset != one->at[i].offset)
				continue;
			if (first && first->until == one->count)
				first->until = k;
			if (!first && !access->until)
				(first = access)->until = one->count;
		}
	}
}

/* S taken again, and T in the middle of it. */
struct split {
	struct watcher *watcher;
	const uint8_t *from;
	const struct watched *one, *other;
	uint32_t first, last;		/* the accesses of S between which T may come */
	uint32_t taken;			/* the access of S before which T was taken last, or 0 */
	uint32_t point;			/* the access of S before which it was */
	uint32_t steps, end[MOST_FOLLOWED + 1];	/* of T's thread, and where the accesses of each end in watcher->other */
	struct race *race;		/* what is found first */
};

/* What S first stores to the words that it waited for, in watcher->whole. */
static void note_first_stores(void *of, uint32_t count, const void *world)
{
	struct split *split = of;
	const accesses_t *one = &split->one->accesses;

	for (uint32_t i = 0; i < count && i < one->count; i++)
		if (one->at[i].until && count <= one->at[i].until)
			memcpy(split->watcher->whole + one->at[i].offset, (const uint8_t *)world + one->at[i].offset, one->at[i].size);
}

/* What S first does to the words that it waited for is done, wherever in it. */
static void patch_condition(const struct split *split, uint32_t point, uint8_t *world)
{
	const accesses_t *one = &split->one->accesses;

	for (uint32_t i = 0; i < one->count; i++)
		if (one->at[i].until && point <= one->at[i].until)
			memcpy(world + one->at[i].offset, split->watcher->whole + one->at[i].offset, one->at[i].size);
}

/* The state in the middle of S, before its access `point`. */
static void middle_of(struct split *split, uint32_t point, const void *world)
{
	struct watcher *watcher = split->watcher;

	memcpy(watcher->middle, world, WORLD_SIZE);
	memcpy(watcher->middle + WORLD_SIZE, split->from + WORLD_SIZE, STATE_SIZE - WORLD_SIZE);
	patch_condition(split, point, watcher->middle);
}

/* Notes what a step of the other thread meets of S; whether anything. */
static int meet_accesses(struct split *split, uint32_t number, const accesses_t *late)
{
	struct watcher *watcher = split->watcher;
	int met = 0;

	for (uint32_t i = 0; i < watcher->reached; i++) {
		const access_t *access = &split->one->accesses.at[watcher->reach[i]];
		struct meeting *meeting = &watcher->meeting[i];
		uint32_t k = 0;

		while (k < late->count && (late->at[k].piece == COMMUTING || !overlap(access, &late->at[k])))
			k++;
		if (k == late->count)
			continue;
		if (!meeting->first)
			meeting->first = number, meeting->by_first = &late->at[k];
		meeting->last = number;
		meeting->by_last = &late->at[k];
		met = 1;
	}
	return met;
}

/* Takes T and, as long as its thread has met S, some of the steps that follow, in the middle of S. */
static void take_other(struct split *split)
{
	struct watcher *watcher = split->watcher;
	unsigned thread = split->other->thread;
	uint32_t choice = split->other->choice, met = 0;

	memset(watcher->meeting, 0, watcher->reached * sizeof *watcher->meeting);
	for (split->steps = 0; split->steps < MOST_FOLLOWED; choice = 0) {
		uint32_t used = split->steps ? split->end[split->steps] : 0, choices = model_choices(watcher->middle, thread);
		step_t step = { .choice = choice < choices ? choice : 0 };
		accesses_t late = { .at = watcher->other + used, .room = MOST_ACCESSES - used };

		if (!choices)
			return;
		if (watch_step(watcher->middle, thread, &step, &late) == STEP_BLOCKED)
			return;
		if (late.count > late.room)	/* of what follows, as much as there is room for */
			late.count = late.room;
		split->end[++split->steps] = used + late.count;
		met |= (uint32_t)meet_accesses(split, split->steps, &late);
		if (!met)
			return;
	}
}

/* S once more, as it goes on after the other thread's steps have been taken in it: the world is theirs as well. */
static void go_on_after(void *of, uint32_t count, const void *world)
{
	struct split *split = of;
	accesses_t *outer = watching;
	(void)world;

	if (count != split->point)
		return;
	watching = NULL;
	patch_condition(split, count, split->watcher->real);
	for (uint32_t number = 0; number < split->steps; number++) {
		unsigned thread = split->other->thread;
		uint32_t choice = number ? 0 : split->other->choice;
		step_t step = { .choice = choice < model_choices(split->watcher->real, thread) ? choice : 0 };

		model_step(split->watcher->real, thread, &step);
	}
	watching = outer;
}

/*
 * Whether S, as it goes on, fails, or touches in another piece what the other thread touched, in its step `first` or later: it may
 * take another page now, where the other one took the page that it would have taken.
 */
static int still_meets(struct split *split, const access_t *before, uint32_t first)
{
	struct watcher *watcher = split->watcher;
	struct watched sequel = { .accesses = { .at = watcher->sequel, .room = MOST_ACCESSES, .between = go_on_after, .of = split } };
	accesses_t *all = &sequel.accesses;
	step_t step = { .choice = split->one->choice };

	memcpy(watcher->real, split->from, STATE_SIZE);
	int rc = watch_step(watcher->real, split->one->thread, &step, all);
	if (!keep(watcher, all) || rc == STEP_FAILED)
		return rc == STEP_FAILED;
	join_condition(&sequel);
	for (uint32_t i = split->point; i < all->count; i++)
		for (uint32_t k = first > 1 ? split->end[first - 1] : 0; k < split->end[split->steps]; k++)
			if (is_plain(&all->at[i]) && watcher->other[k].piece != COMMUTING && overlap(&all->at[i], &watcher->other[k]) &&
			    !same_piece(before, &all->at[i]))
				return 1;
	return 0;
}

/* Nobody comes into a routine that is one piece. */
static int is_inside_piece(const accesses_t *one, uint32_t count)
{
	uint32_t before = one->at[count - 1].piece, after = one->at[count].piece;

	return before && before == after && (before == COMMUTING || before <= one->pieces);
}

/* Whether what the other thread met before the access `point` of S, and what it met then or later after it, are two. */
static void judge_split(struct split *split)
{
	const struct watcher *watcher = split->watcher;
	const access_t *at = split->one->accesses.at;
	const uint32_t *reach = watcher->reach;
	const struct meeting *meeting = watcher->meeting;
	uint32_t after = 0;

	while (reach[after] < split->point)
		after++;
	for (uint32_t i = 0; i < after; i++)
		for (uint32_t k = after; meeting[i].first && k < watcher->reached; k++) {
			const access_t *one = &at[reach[i]], *two = &at[reach[k]];

			if (meeting[k].last < meeting[i].first || same_piece(one, two))
				continue;
			if (!still_meets(split, one, meeting[i].first))
				break;
			int sooner = meeting[k].first >= meeting[i].first;
			const access_t *x = meeting[i].by_first, *y = sooner ? meeting[k].by_first : meeting[k].by_last;
			*split->race = (struct race){
				.found = 1, .apart = meeting[i].first != (sooner ? meeting[k].first : meeting[k].last),
				.thread = split->one->thread, .choice = split->one->choice,
				.partner = split->other->thread, .partner_choice = split->other->choice,
				.site = { one->site, two->site }, .partner_site = { x->site, y->site },
				.offset = { one->offset, two->offset, x->offset, y->offset },
				.written = (uint32_t)(one->written | two->written << 1 | x->written << 2 | y->written << 3),
			};
			return;
		}
}

/* Whether S has written something since the other thread was taken in the middle of it. */
static int has_written(const struct split *split, uint32_t count)
{
	for (uint32_t i = split->taken; i < count; i++)
		if (split->one->accesses.at[i].written)
			return 1;
	return 0;
}

static void come_between(void *of, uint32_t count, const void *world)
{
	struct split *split = of;

	if (count <= split->first || count > split->last || split->race->found || is_inside_piece(&split->one->accesses, count))
		return;
	if (!split->taken || has_written(split, count)) {
		accesses_t *outer = watching;

		watching = NULL;
		split->taken = count;
		middle_of(split, count, world);
		take_other(split);
		watching = outer;
	}
	split->point = count;
	judge_split(split);
}

/* Whether they may have a word in common. */
static int may_meet(const struct watched *one, const struct watched *other)
{
	const accesses_t *a = &one->accesses, *b = &other->accesses;

	return (a->writes & (b->reads | b->writes) | a->reads & b->writes) != 0;
}

static void mark_places(struct watcher *watcher, const accesses_t *accesses)
{
	if (!++watcher->turn) {
		memset(watcher->mark, 0, sizeof watcher->mark);
		watcher->turn = 1;
	}
	for (uint32_t i = 0; i < accesses->count; i++) {
		const access_t *access = &accesses->at[i];
		struct mark *mark = &watcher->mark[access->offset];

		if (mark->turn != watcher->turn)
			*mark = (struct mark){ .turn = watcher->turn };
		mark->written |= access->written && access->piece != COMMUTING;
	}
}

/* Whether they have a place in common, or S writes what T goes by: then T may do something else in the middle of S. */
static int have_met(struct watcher *watcher, const accesses_t *a, const accesses_t *b)
{
	mark_places(watcher, b);
	for (uint32_t i = 0; i < a->count; i++) {
		const struct mark *mark = &watcher->mark[a->at[i].offset];

		if (mark->turn == watcher->turn && (a->at[i].written || (is_plain(&a->at[i]) && mark->written)))
			return 1;
	}
	return 0;
}

static int stores_to_condition(const accesses_t *one)
{
	for (uint32_t i = 0; i < one->count; i++)
		if (one->at[i].until)
			return 1;
	return 0;
}

static int may_be_met(const access_t *access, const others_t *later)
{
	const uint64_t *bits = model_places.bits + (size_t)model_places.kind[access->offset] * model_footprints.words;

	for (uint32_t i = 0; i < model_footprints.words; i++)
		if (bits[i] & (later->writes[i] | (access->written ? later->reads[i] : 0)))
			return 1;
	return 0;
}

/* Which accesses of a step another thread may meet, now or later; whether there are two. */
static int find_reach(struct watcher *watcher, const uint8_t *from, const accesses_t *one, unsigned thread)
{
	others_t *later = &watcher->later[thread];

	if (!(watcher->known >> thread & 1)) {
		watcher->known |= 1u << thread;
		memset(later->reads, 0, model_footprints.words * sizeof(uint64_t));
		memset(later->writes, 0, model_footprints.words * sizeof(uint64_t));
		add_later(from, thread, later);
	}
	watcher->reached = 0;
	for (uint32_t i = 0; i < one->count; i++)
		if (is_plain(&one->at[i]) && may_be_met(&one->at[i], later))
			watcher->reach[watcher->reached++] = i;
	return watcher->reached > 1;
}

static void look_between(struct watcher *watcher, const uint8_t *from, const struct watched *one, const struct watched *other,
			 struct race *race)
{
	struct split split = { .watcher = watcher, .from = from, .one = one, .other = other, .race = race,
			       .first = watcher->reach[0], .last = watcher->reach[watcher->reached - 1] };
	accesses_t again = { .at = watcher->again, .room = MOST_ACCESSES };
	step_t step = { .choice = one->choice };
	again.of = &split;
	if (stores_to_condition(&one->accesses)) {
		again.between = note_first_stores;
		memcpy(watcher->half, from, STATE_SIZE);
		watch_step(watcher->half, one->thread, &step, &again);
		note_first_stores(&split, one->accesses.count, watcher->half);
	}
	again.between = come_between;
	memcpy(watcher->half, from, STATE_SIZE);
	watch_step(watcher->half, one->thread, &step, &again);
}

static void note_race(struct watcher *watcher, struct race *race, uint64_t moves, const struct fingerprint *where, uint64_t state)
{
	race->moves = moves;
	race->where[0] = where->first;
	race->where[1] = where->second;
	race->state = state;
	if (races_less(race, &watcher->race))
		watcher->race = *race;
}

static void judge_pair(struct watcher *watcher, const uint8_t *from, struct watched *one, struct watched *other, struct race *race)
{
	if (!may_meet(one, other))
		return;
	join_condition(other);
	if (have_met(watcher, &one->accesses, &other->accesses))
		look_between(watcher, from, one, other, race);
}

static void judge_step(struct watcher *watcher, const uint8_t *from, struct watched *one, struct race *race)
{
	int within_reach = 0;

	if (one->accesses.plain < 2 || one->accesses.atomic)
		return;
	join_condition(one);
	for (uint32_t k = 0; k < watcher->steps && !race->found; k++) {
		struct watched *other = &watcher->step[k];

		if (other->thread == one->thread)
			continue;
		if (!k || watcher->step[k - 1].thread != other->thread)
			within_reach = find_reach(watcher, from, &one->accesses, other->thread);
		if (within_reach)
			judge_pair(watcher, from, one, other, race);
	}
}

/* The steps that were watched from a state, each beside each of another thread. */
static void judge_steps(struct watcher *watcher, const uint8_t *from, struct race *race)
{
	watcher->known = 0;
	for (uint32_t i = 0; i < watcher->steps && !race->found; i++)
		judge_step(watcher, from, &watcher->step[i], race);
}

/* The next step that is taken is watched, if it is the first of a move and no other choice was it before. */
static void watch_next(struct watcher *watcher, unsigned thread, uint32_t choice)
{
	struct watched *last = watcher->steps ? &watcher->step[watcher->steps - 1] : NULL;

	if (last && last->thread == thread && last->choice == choice)
		return;
	if (watcher->steps == MOST_STEPS_WATCHED) {
		watcher->lost = 1;
		return;
	}
	struct watched *next = &watcher->step[watcher->steps++];
	*next = (struct watched){ .thread = thread, .choice = choice };
	next->accesses.at = watcher->arena + watcher->used;
	next->accesses.room = MOST_ACCESSES - watcher->used;
	begin_accesses(&next->accesses);
}

static void watch_no_more(struct watcher *watcher)
{
	if (!watching)
		return;
	watching = NULL;
	struct watched *last = &watcher->step[watcher->steps - 1];
	keep(watcher, &last->accesses);
	watcher->used += last->accesses.count;
}

static void forget_steps(struct watcher *watcher) { watcher->steps = watcher->used = 0; }
/* The race between the next steps of two threads in a state, if there is one. */
EXPORTED void septum_race_at(const uint8_t *state, unsigned threads, struct race *race)
{
	struct watcher *watcher = calloc(1, sizeof *watcher);
	_Alignas(64) uint8_t after[STRIDE];

	*race = (struct race){ 0 };
	for (unsigned thread = 0; watcher && thread < threads; thread++)
		for (uint32_t choice = 0; choice < model_choices(state, thread); choice++) {
			step_t step = { .choice = choice };

			memcpy(after, state, STATE_SIZE);
			watch_next(watcher, thread, choice);
			model_step(after, thread, &step);
			watch_no_more(watcher);
		}
	if (watcher)
		judge_steps(watcher, state, race);
	free(watcher);
}
#else
struct watcher {
	uint32_t lost;
	struct race race;
};
static inline void watch_next(struct watcher *watcher, unsigned thread, uint32_t choice)
{
	(void)watcher, (void)thread, (void)choice;
}
static inline void watch_no_more(struct watcher *watcher) { (void)watcher; }
static inline void judge_steps(struct watcher *watcher, const uint8_t *from, struct race *race) { (void)watcher, (void)from, (void)race; }
static inline void note_race(struct watcher *watcher, struct race *race, uint64_t moves, const struct fingerprint *where, uint64_t state)
{
	(void)watcher, (void)race, (void)moves, (void)where, (void)state;
}
static inline void forget_steps(struct watcher *watcher) { (void)watcher; }
#endif

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
	accesses_t accesses;
};

/* How the other thread meets one access of S: in which of its steps first and last, from 1, and by which of its accesses. */
struct meeting {
	uint32_t first, last;
	const access_t *by_first, *by_last;
};

struct watcher {
	struct watched step[MOST_STEPS_WATCHED];
	uint32_t steps, used, lost;
	struct race race;
	struct meeting meeting[MOST_ACCESSES];
	access_t arena[MOST_ACCESSES], again[MOST_ACCESSES], other[MOST_ACCESSES], sequel[MOST_ACCESSES];
	_Alignas(64) uint8_t whole[STRIDE], half[STRIDE], middle[STRIDE], seen[STRIDE], real[STRIDE];
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
static void join_condition(accesses_t *one)
{
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
	uint32_t first, last;		/* the plain accesses of S between which T may come */
	int taken;			/* T was, in the world that is in watcher->seen */
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
	const accesses_t *one = &split->one->accesses;
	int met = 0;

	for (uint32_t i = split->first; i <= split->last; i++) {
		struct meeting *meeting = &split->watcher->meeting[i];
		uint32_t k = 0;

		while (is_plain(&one->at[i]) && k < late->count && (late->at[k].piece == COMMUTING || !overlap(&one->at[i], &late->at[k])))
			k++;
		if (!is_plain(&one->at[i]) || k == late->count)
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

	memset(watcher->meeting, 0, split->one->accesses.count * sizeof *watcher->meeting);
	for (split->steps = 0; split->steps < MOST_FOLLOWED; choice = 0) {
		uint32_t used = split->steps ? split->end[split->steps] : 0, choices = model_choices(watcher->middle, thread);
		step_t step = { .choice = choice < choices ? choice : 0 };
		accesses_t late = { .at = watcher->other + used, .room = MOST_ACCESSES - used };

		if (!choices || watch_step(watcher->middle, thread, &step, &late) == STEP_BLOCKED)
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
	accesses_t all = { .at = watcher->sequel, .room = MOST_ACCESSES, .between = go_on_after, .of = split };
	step_t step = { .choice = split->one->choice };

	memcpy(watcher->real, split->from, STATE_SIZE);
	int rc = watch_step(watcher->real, split->one->thread, &step, &all);
	if (!keep(watcher, &all) || rc == STEP_FAILED)
		return rc == STEP_FAILED;
	join_condition(&all);
	for (uint32_t i = split->point; i < all.count; i++)
		for (uint32_t k = first > 1 ? split->end[first - 1] : 0; k < split->end[split->steps]; k++)
			if (is_plain(&all.at[i]) && watcher->other[k].piece != COMMUTING && overlap(&all.at[i], &watcher->other[k]) &&
			    !same_piece(before, &all.at[i]))
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
	const accesses_t *one = &split->one->accesses;
	const struct meeting *meeting = split->watcher->meeting;

	for (uint32_t i = split->first; i < split->point; i++)
		for (uint32_t k = split->point; meeting[i].first && k <= split->last; k++) {
			if (meeting[k].last < meeting[i].first || same_piece(&one->at[i], &one->at[k]))
				continue;
			if (!still_meets(split, &one->at[i], meeting[i].first))
				break;
			int sooner = meeting[k].first >= meeting[i].first;
			const access_t *x = meeting[i].by_first, *y = sooner ? meeting[k].by_first : meeting[k].by_last;
			*split->race = (struct race){
				.found = 1, .apart = meeting[i].first != (sooner ? meeting[k].first : meeting[k].last),
				.thread = split->one->thread, .choice = split->one->choice,
				.partner = split->other->thread, .partner_choice = split->other->choice,
				.site = { one->at[i].site, one->at[k].site }, .partner_site = { x->site, y->site },
				.offset = { one->at[i].offset, one->at[k].offset, x->offset, y->offset },
				.written = (uint32_t)(one->at[i].written | one->at[k].written << 1 | x->written << 2 | y->written << 3),
			};
			return;
		}
}

static void come_between(void *of, uint32_t count, const void *world)
{
	struct split *split = of;
	struct watcher *watcher = split->watcher;

	if (count <= split->first || count > split->last || split->race->found || is_inside_piece(&split->one->accesses, count))
		return;
	if (!split->taken || memcmp(watcher->seen, world, WORLD_SIZE)) {
		accesses_t *outer = watching;

		watching = NULL;
		memcpy(watcher->seen, world, WORLD_SIZE);
		split->taken = 1;
		middle_of(split, count, world);
		take_other(split);
		watching = outer;
	}
	split->point = count;
	judge_split(split);
}

/* Whether T could meet S at all: S touches several pieces, and they have a word in common. */
static int may_meet(const struct watched *one, const struct watched *other)
{
	const accesses_t *a = &one->accesses, *b = &other->accesses;

	return one->thread != other->thread && a->plain > 1 && !a->atomic && (a->writes & (b->reads | b->writes) | a->reads & b->writes);
}

/* Whether they have a place in common, or S writes what T goes by: then T may do something else in the middle of S. */
static int have_met(const accesses_t *a, const accesses_t *b)
{
	for (uint32_t i = 0; i < a->count; i++)
		for (uint32_t k = 0; k < b->count; k++)
			if (overlap(&a->at[i], &b->at[k]) && (a->at[i].written || (is_plain(&a->at[i]) && b->at[k].piece != COMMUTING)))
				return 1;
	return 0;
}

static void look_between(struct watcher *watcher, const uint8_t *from, const struct watched *one, const struct watched *other,
			 struct race *race)
{
	struct split split = { .watcher = watcher, .from = from, .one = one, .other = other, .race = race };
	accesses_t again = { .at = watcher->again, .room = MOST_ACCESSES };
	uint32_t first = 0, last = one->accesses.count - 1;

	while (first < last && !is_plain(&one->accesses.at[first]))
		first++;
	while (first < last && !is_plain(&one->accesses.at[last]))
		last--;
	if (first == last)
		return;
	split.first = first;
	split.last = last;
	step_t step = { .choice = one->choice };
	again.of = &split;
	again.between = note_first_stores;
	memcpy(watcher->half, from, STATE_SIZE);
	watch_step(watcher->half, one->thread, &step, &again);
	note_first_stores(&split, one->accesses.count, watcher->half);
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

/* The steps that were watched from a state, each beside each of another thread. */
static void judge_steps(struct watcher *watcher, const uint8_t *from, struct race *race)
{
	for (uint32_t i = 0; i < watcher->steps; i++)
		join_condition(&watcher->step[i].accesses);
	for (uint32_t i = 0; i < watcher->steps; i++)
		for (uint32_t k = 0; k < watcher->steps; k++) {
			const struct watched *one = &watcher->step[i], *other = &watcher->step[k];

			if (!may_meet(one, other) || !have_met(&one->accesses, &other->accesses))
				continue;
			look_between(watcher, from, one, other, race);
			if (race->found)
				return;
		}
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

/*
 * Races: steps that another thread may come into, because no lock keeps it out. Only where accesses are watched.
 *
 * Of a state, two threads' next steps are taken as they were: S of one and T of another. Where they touch one place, one of them to
 * write it, S is taken again, and at each point between its accesses T is taken in a copy of the world as it is then; if it meets
 * something that S touched, the steps of its thread that follow are taken as well. If it touches with effect what S touched before that
 * point and, then or later, what S touches after it, no order of whole steps explains what both may see, and S is a race.
 *
 * Only accesses of S count that the thread of T may ever touch, by its footprint (reach.c): most of a step is a thread's own.
 *
 * What commutes, by a routine that says so, is left out. An atomic routine, a word of several fields, and the words of the condition
 * that S waited for, which are taken in the moment in which it came true, are one access each. A lock needs no name: it keeps T out.
 *
 * Offers watch_next and forget_steps as steps are taken, judge_steps and note_race, races_less; septum_race_at and
 * septum_world_before to Python.
 * Without -DWATCHED they do nothing.
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
	join_condition(other);
	if (have_met(watcher, &one->accesses, &other->accesses))
		look_between(watcher, from, one, other, race);
}

static void judge_step(struct watcher *watcher, const uint8_t *from, struct watched *one, struct race *race)
{
	int within_reach = 0;
	uint32_t reached_by = MAX_THREADS;

	if (one->accesses.plain < 2 || one->accesses.atomic)
		return;
	join_condition(one);
	for (uint32_t k = 0; k < watcher->steps && !race->found; k++) {
		struct watched *other = &watcher->step[k];

		if (other->thread == one->thread || !may_meet(&one->accesses, &other->accesses))
			continue;
		if (other->thread != reached_by)
			within_reach = find_reach(watcher, from, &one->accesses, reached_by = other->thread);
		if (within_reach)
			judge_pair(watcher, from, one, other, race);
	}
}

/* The steps that were watched from a state, each beside each of another thread. */
static void judge_steps(struct watcher *watcher, const uint8_t *from, struct race *race)
{
	watcher->known = 0;
	model_supposes = 1;
	for (uint32_t i = 0; i < watcher->steps && !race->found; i++)
		judge_step(watcher, from, &watcher->step[i], race);
	model_supposes = 0;
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

struct moment {
	uint32_t access;
	uint8_t *world;
};

static void keep_world(void *of, uint32_t count, const void *world)
{
	const struct moment *moment = of;

	if (count == moment->access)
		memcpy(moment->world, world, WORLD_SIZE);
}

/* The world in the middle of a step, before it touches a place by an expression, at its access `first` or later: which one, or -1. */
EXPORTED int64_t septum_world_before(const uint8_t *state, unsigned thread, uint32_t choice, uint32_t first, uint32_t site,
				     uint32_t offset, uint8_t *world)
{
	static access_t kept[MOST_ACCESSES];
	_Alignas(64) uint8_t after[STRIDE];
	struct moment moment = { .world = world };
	accesses_t all = { .at = kept, .room = MOST_ACCESSES };
	step_t step = { .choice = choice };

	memcpy(after, state, STATE_SIZE);
	watch_step(after, thread, &step, &all);
	for (moment.access = first; moment.access < all.count && moment.access < all.room; moment.access++)
		if (kept[moment.access].site == site && kept[moment.access].offset == offset)
			break;
	if (moment.access >= all.count || moment.access >= all.room)
		return -1;
	memcpy(after, state, STATE_SIZE);
	all.between = keep_world;
	all.of = &moment;
	watch_step(after, thread, &step, &all);
	return moment.access;
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

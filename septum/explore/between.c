/* A step taken again, with steps of another thread in the middle of it.
 *
 * Offers look_between, which finds whether one step is a race because of another. */
#ifdef WATCHED

/* S taken again, and T in the middle of it. */
struct split {
	struct watcher *watcher;
	const uint8_t *from;
	const struct watched *one, *other;
	uint32_t first, last;		/* the accesses of S between which T may come */
	uint32_t taken;			/* the access of S before which T was taken last, or 0 */
	uint32_t seen;			/* the accesses of S before this one would have changed nothing of what T did then */
	int unsure;			/* not all is known that T went by */
	uint32_t point;			/* the access of S before which that is judged */
	uint32_t after;			/* how many of the accesses in reach come before it */
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

	if (!may_meet(&split->one->accesses, late))
		return 0;
	mark_bytes(watcher, late);
	for (uint32_t i = 0; i < watcher->reached; i++) {
		struct meeting *meeting = &watcher->meeting[i];
		uint32_t by = first_to_overlap(watcher, &split->one->accesses.at[watcher->reach[i]]);

		if (!by)
			continue;
		if (!meeting->first)
			meeting->first = number, meeting->by_first = &late->at[by - 1];
		meeting->last = number;
		meeting->by_last = &late->at[by - 1];
		met = 1;
	}
	return met;
}

static void begin_path(struct split *split)
{
	struct watcher *watcher = split->watcher;

	if (!++watcher->path) {
		memset(watcher->trodden, 0, sizeof watcher->trodden);
		watcher->path = 1;
	}
	split->unsure = split->other->choice != 0;	/* how many choices there are is not told as an access */
}

/* All that was touched, also where the step was blocked by it. */
static void tread(struct split *split, const accesses_t *late)
{
	struct watcher *watcher = split->watcher;

	split->unsure |= late->count > late->room;
	for (const access_t *at = late->at; at < late->at + late->count && at < late->at + late->room; at++)
		for (uint32_t byte = at->offset; byte < at->offset + at->size; byte++)
			watcher->trodden[byte] = watcher->path;
}

static int is_trodden(const struct watcher *watcher, const access_t *access)
{
	for (uint32_t byte = access->offset; byte < access->offset + access->size; byte++)
		if (watcher->trodden[byte] == watcher->path)
			return 1;
	return 0;
}

/* Takes T and, as long as its thread has met S, some of the steps that follow, in the middle of S. */
static void take_other(struct split *split)
{
	struct watcher *watcher = split->watcher;
	unsigned thread = split->other->thread;
	uint32_t choice = split->other->choice, met = 0;

	memset(watcher->meeting, 0, watcher->reached * sizeof *watcher->meeting);
	begin_path(split);
	for (split->steps = 0; split->steps < MOST_FOLLOWED; choice = 0) {
		uint32_t used = split->steps ? split->end[split->steps] : 0, choices = model_choices(watcher->middle, thread);
		step_t step = { .choice = choice < choices ? choice : 0 };
		accesses_t late = { .at = watcher->other + used, .room = MOST_ACCESSES - used };

		if (!choices)
			return;
		int rc = watch_step(watcher->middle, thread, &step, &late);
		tread(split, &late);
		if (rc == STEP_BLOCKED)
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

	for (uint32_t i = 0; i < split->after; i++)
		for (uint32_t k = split->after; meeting[i].first && k < watcher->reached; k++) {
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

/* Whether S has written, since the other thread was taken in the middle of it, something that the steps taken then touched: else they do the same again. */
static int has_changed_path(struct split *split, uint32_t count)
{
	for (; split->seen < count; split->seen++) {
		const access_t *access = &split->one->accesses.at[split->seen];

		if (access->written && (split->unsure || is_trodden(split->watcher, access)))
			return 1;
	}
	return 0;
}

static void come_between(void *of, uint32_t count, const void *world)
{
	struct split *split = of;

	if (count <= split->first || count > split->last || split->race->found || is_inside_piece(&split->one->accesses, count))
		return;
	int same = split->taken && !has_changed_path(split, count);
	uint32_t as_far = split->after;

	while (split->watcher->reach[split->after] < count)
		split->after++;
	if (!same) {
		accesses_t *outer = watching;

		watching = NULL;
		split->taken = split->seen = count;
		middle_of(split, count, world);
		take_other(split);
		watching = outer;
	} else if (as_far == split->after) {
		return;
	}
	split->point = count;
	judge_split(split);
}

static int stores_to_condition(const accesses_t *one)
{
	for (uint32_t i = 0; i < one->count; i++)
		if (one->at[i].until)
			return 1;
	return 0;
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
#endif

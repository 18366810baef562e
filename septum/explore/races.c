/*
 * Races: steps that another thread may come into, because no lock keeps it out. Only where accesses are watched.
 *
 * Of a state, two threads' next steps are taken as they were: S of one and T of another. Where they touch one place, one of them to
 * write it, S is taken again, and at each point between its accesses T is taken in a copy of the world as it is then. If T can go there,
 * and touches with effect what S touched before that point and what S touches after it, no order of two whole steps explains what both
 * may see, and S is a race. Steps of T's thread one after another may do it as well: so what T touched before and after the point is
 * kept for the place where S begins, and two different places of one step race that were met on either side, in whatever state.
 *
 * What commutes, by a routine that says so, is left out. An atomic routine, a word of several fields, and the words of the condition that
 * S waited for, which are taken in the moment in which it came true, are one access each. A lock needs no name: it keeps T out there.
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

enum { MOST_STEPS_WATCHED = 256, MOST_ACCESSES = 1 << 13, MOST_SITES = 64, STANDS = 1 << 15, KNOWN_BITS = 12 };
enum { BEFORE, AFTER, SIDES };

/* One step from a state. */
struct watched {
	uint32_t thread, choice, spot;
	accesses_t accesses;
};

struct meeting {
	uint32_t thread, choice, site;	/* of the other one's access */
};

/* What the steps from one spot touch while another thread is there: the sites of S, and on which sides of T. */
struct stand {
	uint32_t sites, version;
	uint32_t site[MOST_SITES];
	uint64_t met[SIDES];		/* BEFORE: T came before the access, and so after an earlier one */
	struct meeting meeting[SIDES][MOST_SITES];
};

struct watcher {
	struct watched step[MOST_STEPS_WATCHED];
	uint32_t steps, used, lost;
	struct race race;
	uint64_t known[1 << KNOWN_BITS], looked_at[1 << KNOWN_BITS];
	access_t arena[MOST_ACCESSES], again[MOST_ACCESSES], other[MOST_ACCESSES];
	_Alignas(64) uint8_t whole[STRIDE], half[STRIDE], middle[STRIDE];
};

static struct stand *stands[STANDS];
static pthread_mutex_t stands_lock = PTHREAD_MUTEX_INITIALIZER;

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
	for (uint32_t i = 0; i < one->count && one->at[i].piece == AWAITED; i++)
		for (uint32_t k = i + 1; k < one->count; k++)
			if (one->at[k].word == one->at[i].word && is_plain(&one->at[k]))
				one->at[k].piece = AWAITED - 1 - i;
}

static int is_joined_to_condition(const accesses_t *one, const access_t *access)
{
	return access->piece < AWAITED && access->piece > AWAITED - 1 - one->count;
}

static struct stand *stand_at(struct watcher *watcher, uint32_t spot, int make)
{
	if (spot >= STANDS) {
		watcher->lost = 1;
		return NULL;
	}
	if (!stands[spot] && make)
		stands[spot] = calloc(1, sizeof *stands[spot]);
	return stands[spot];
}

static int number_of(const struct stand *stand, uint32_t site)
{
	for (uint32_t i = 0; i < stand->sites; i++)
		if (stand->site[i] == site)
			return (int)i;
	return -1;
}

/* That T came before or after an access of S, for the steps of other states; what is known already costs nothing. */
static void note_side(struct watcher *watcher, const struct watched *one, const struct watched *other, const access_t *access,
		      const access_t *met, int side)
{
	uint64_t key = (((uint64_t)one->spot << 32 | access->site) << 1 | (uint64_t)side) * 0x9e3779b97f4a7c15ull | 1;

	if (watcher->known[key >> (64 - KNOWN_BITS)] == key)
		return;
	watcher->known[key >> (64 - KNOWN_BITS)] = key;
	pthread_mutex_lock(&stands_lock);
	struct stand *stand = stand_at(watcher, one->spot, 1);
	int number = stand ? number_of(stand, access->site) : -1;
	if (stand && number < 0 && stand->sites < MOST_SITES) {
		stand->site[number = (int)stand->sites] = access->site;
		stand->sites++;
	}
	if (number < 0) {
		watcher->lost = 1;
	} else if (!(stand->met[side] >> number & 1)) {
		stand->meeting[side][number] = (struct meeting){ other->thread, other->choice, met->site };
		stand->met[side] |= 1ull << number;
		stand->version++;
	}
	pthread_mutex_unlock(&stands_lock);
}

/* S taken again, and T in the middle of it. */
struct split {
	struct watcher *watcher;
	const uint8_t *from;
	const struct watched *one, *other;
	uint32_t first, last;		/* the plain accesses of S between which T may come */
	struct race *race;		/* what is found first */
};

static void found_race(struct split *split, const access_t *a, const access_t *b, const access_t *x, const access_t *y)
{
	*split->race = (struct race){
		.found = 1, .thread = split->one->thread, .choice = split->one->choice, .partner = split->other->thread,
		.partner_choice = split->other->choice, .site = { a->site, b->site }, .partner_site = { x->site, y->site },
		.written = (uint32_t)(a->written | b->written << 1 | x->written << 2 | y->written << 3),
	};
}

/* The access of T that conflicts with one of S. */
static const access_t *meets(const access_t *access, const accesses_t *other)
{
	for (uint32_t i = 0; is_plain(access) && i < other->count; i++)
		if (other->at[i].piece != COMMUTING && overlap(access, &other->at[i]))
			return &other->at[i];
	return NULL;
}

/* What T met, when it came before the access `point` of S. */
static void judge_split(struct split *split, uint32_t point, const accesses_t *late)
{
	const accesses_t *one = &split->one->accesses;

	for (uint32_t i = 0; i < one->count; i++) {
		const access_t *met = meets(&one->at[i], late);

		if (!met)
			continue;
		note_side(split->watcher, split->one, split->other, &one->at[i], met, i < point ? AFTER : BEFORE);
		for (uint32_t k = point; i < point && !split->race->found && k < one->count; k++) {
			const access_t *second = same_piece(&one->at[i], &one->at[k]) ? NULL : meets(&one->at[k], late);

			if (second)
				found_race(split, &one->at[i], &one->at[k], met, second);
		}
	}
}

/* The world as it is between two accesses of S; what S does to the words that it waited for is done. */
static void middle_of(struct split *split, const void *world)
{
	struct watcher *watcher = split->watcher;
	const accesses_t *one = &split->one->accesses;

	memcpy(watcher->middle, world, WORLD_SIZE);
	memcpy(watcher->middle + WORLD_SIZE, split->from + WORLD_SIZE, STATE_SIZE - WORLD_SIZE);
	for (uint32_t i = 0; i < one->count; i++)
		if (one->at[i].written && is_joined_to_condition(one, &one->at[i]))
			memcpy(watcher->middle + one->at[i].offset, watcher->whole + one->at[i].offset, one->at[i].size);
}

static void come_between(void *of, uint32_t count, const void *world)
{
	struct split *split = of;
	struct watcher *watcher = split->watcher;
	accesses_t late = { .at = watcher->other, .room = MOST_ACCESSES }, *outer = watching;

	if (count <= split->first || count > split->last || split->race->found)
		return;
	watching = NULL;
	middle_of(split, world);
	uint32_t choices = model_choices(watcher->middle, split->other->thread);
	step_t step = { .choice = split->other->choice < choices ? split->other->choice : 0 };
	int rc = choices ? watch_step(watcher->middle, split->other->thread, &step, &late) : STEP_BLOCKED;
	watching = outer;
	if (rc != STEP_BLOCKED && keep(watcher, &late))
		judge_split(split, count, &late);
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
	memcpy(watcher->whole, from, STATE_SIZE);
	model_step(watcher->whole, one->thread, &step);
	again.between = come_between;
	again.of = &split;
	memcpy(watcher->half, from, STATE_SIZE);
	watch_step(watcher->half, one->thread, &step, &again);
}

/* Two different places of S that were met on either side of it, in this state or in others. */
static int met_on_both_sides(const struct stand *stand, const struct watched *one, struct race *race)
{
	const accesses_t *all = &one->accesses;

	for (uint32_t i = 0; i < all->count; i++) {
		int a = is_plain(&all->at[i]) ? number_of(stand, all->at[i].site) : -1;

		for (uint32_t k = i + 1; a >= 0 && stand->met[AFTER] >> a & 1 && k < all->count; k++) {
			int b = is_plain(&all->at[k]) && all->at[k].word != all->at[i].word && !same_piece(&all->at[i], &all->at[k]) ?
				number_of(stand, all->at[k].site) : -1;

			if (b < 0 || !(stand->met[BEFORE] >> b & 1))
				continue;
			const struct meeting *x = &stand->meeting[AFTER][a], *y = &stand->meeting[BEFORE][b];
			*race = (struct race){
				.found = 1, .thread = one->thread, .choice = one->choice, .partner = x->thread,
				.partner_choice = x->choice, .site = { all->at[i].site, all->at[k].site },
				.partner_site = { x->site, y->site }, .apart = 1,
				.written = (uint32_t)(all->at[i].written | all->at[k].written << 1),
			};
			return 1;
		}
	}
	return 0;
}

static void look_on_both_sides(struct watcher *watcher, const struct watched *one, struct race *race)
{
	struct stand *stand = one->spot < STANDS ? __atomic_load_n(&stands[one->spot], __ATOMIC_ACQUIRE) : NULL;

	if (!stand || !stand->met[BEFORE] || !stand->met[AFTER] || one->accesses.atomic || one->accesses.plain < 2)
		return;
	uint64_t key = (one->accesses.signature ^ (uint64_t)one->spot << 32 ^ stand->version) * 0x9e3779b97f4a7c15ull | 1;
	uint64_t *looked_at = &watcher->looked_at[key >> (64 - KNOWN_BITS)];
	if (*looked_at == key)
		return;
	*looked_at = key;
	pthread_mutex_lock(&stands_lock);
	met_on_both_sides(stand, one, race);
	pthread_mutex_unlock(&stands_lock);
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
	for (uint32_t i = 0; i < watcher->steps && !race->found; i++) {
		const struct watched *one = &watcher->step[i];

		for (uint32_t k = 0; k < watcher->steps && !race->found; k++)
			if (may_meet(one, &watcher->step[k]) && have_met(&one->accesses, &watcher->step[k].accesses))
				look_between(watcher, from, one, &watcher->step[k], race);
		if (!race->found)
			look_on_both_sides(watcher, one, race);
	}
}

/* The next step that is taken from `state` is watched, if it is the first of a move and no other choice was it before. */
static void watch_next(struct watcher *watcher, const uint8_t *state, unsigned thread, uint32_t choice)
{
	struct watched *last = watcher->steps ? &watcher->step[watcher->steps - 1] : NULL;

	if (last && last->thread == thread && last->choice == choice)
		return;
	if (watcher->steps == MOST_STEPS_WATCHED) {
		watcher->lost = 1;
		return;
	}
	uint32_t spots[MOST_CALLS_DEEP];
	struct watched *next = &watcher->step[watcher->steps++];
	*next = (struct watched){ .thread = thread, .choice = choice };
	next->spot = spots[septum_spots(state, thread, spots) - 1];
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

/* What a checkpoint keeps of them: how many, and each with its spot. */
static uint32_t stands_in_use(void)
{
	uint32_t count = 0;

	for (unsigned i = 0; i < STANDS; i++)
		count += stands[i] != NULL;
	return count;
}

static void forget_stands(void)
{
	for (unsigned i = 0; i < STANDS; i++) {
		free(stands[i]);
		stands[i] = NULL;
	}
}
#else
struct watcher {
	uint32_t lost;
	struct race race;
};
static inline void watch_next(struct watcher *watcher, const uint8_t *state, unsigned thread, uint32_t choice)
{
	(void)watcher, (void)state, (void)thread, (void)choice;
}
static inline void watch_no_more(struct watcher *watcher) { (void)watcher; }
static inline void judge_steps(struct watcher *watcher, const uint8_t *from, struct race *race) { (void)watcher, (void)from, (void)race; }
static inline void note_race(struct watcher *watcher, struct race *race, uint64_t moves, const struct fingerprint *where, uint64_t state)
{
	(void)watcher, (void)race, (void)moves, (void)where, (void)state;
}
static inline void forget_steps(struct watcher *watcher) { (void)watcher; }
static inline void forget_stands(void) { }
enum { STANDS = 0 };
struct stand { int none; };
static struct stand *stands[1];
static inline uint32_t stands_in_use(void) { return 0; }
#endif

/*
 * Which steps touch two places that race: in some state another thread may touch the one next, and in some state the other, with
 * effect. Such a step hides what happens between the two accesses. Only where every access is watched.
 */
#ifdef WATCHED

enum { MOST_SITES = 64, MOST_WATCHED = 4 * MAX_THREADS };	/* sites that race in the steps from one spot; steps from one state */

struct partner {
	uint32_t spot, site;	/* of the other thread */
};

/* The steps from one spot. */
struct stand {
	uint32_t spot, sites;
	uint32_t site[MOST_SITES];
	struct partner partner[MOST_SITES];
	uint64_t together[MOST_SITES];	/* with which the site was touched in one step, in another place */
};

/* One step, and the state after it. */
struct watched {
	uint32_t spot, thread, choice;
	accesses_t accesses;
	_Alignas(16) uint8_t after[STRIDE];
};

struct septum_races {
	uint32_t stands, room;
	uint32_t lost;			/* there were more spots, sites or accesses than there is room for */
	struct stand *stand;
};

static struct septum_races races;

static struct stand *stand_at(uint32_t spot)
{
	for (uint32_t i = 0; i < races.stands; i++)
		if (races.stand[i].spot == spot)
			return &races.stand[i];
	if (races.stands == races.room) {
		uint32_t room = races.room ? 2 * races.room : 64;
		struct stand *larger = realloc(races.stand, room * sizeof *larger);

		if (!larger)
			return NULL;
		races.stand = larger;
		races.room = room;
	}
	struct stand *made = &races.stand[races.stands++];
	memset(made, 0, sizeof *made);
	made->spot = spot;
	return made;
}

static int racing_site(struct stand *stand, uint32_t site)
{
	for (uint32_t i = 0; i < stand->sites; i++)
		if (stand->site[i] == site)
			return (int)i;
	return -1;
}

static int note_site(struct stand *stand, uint32_t site, struct partner partner)
{
	int number = racing_site(stand, site);

	if (number >= 0 || stand->sites == MOST_SITES)
		return number;
	stand->site[stand->sites] = site;
	stand->partner[stand->sites] = partner;
	return (int)stand->sites++;
}

static int overlap(const access_t *a, const access_t *b)
{
	return a->offset < b->offset + b->size && b->offset < a->offset + a->size && (a->written || b->written);
}

/* Whether a step takes a lock, before its access `until`, that the other one waits for before its own access `after`. */
static int locks_out(const accesses_t *one, uint32_t until, const accesses_t *other, uint32_t after)
{
	for (uint32_t i = 0; i < until; i++)
		for (uint32_t k = 0; one->at[i].piece == COMMUTING && one->at[i].written && k < after; k++)
			if (other->at[k].piece != COMMUTING && !other->at[k].written && overlap(&one->at[i], &other->at[k]))
				return 1;
	return 0;
}

/* The access of another step that one of this step conflicts with, and that no lock keeps apart from it. */
static const access_t *meets(const accesses_t *one, uint32_t number, const accesses_t *other)
{
	const access_t *access = &one->at[number];

	for (uint32_t i = 0; access->piece != COMMUTING && i < other->count; i++)
		if (other->at[i].piece != COMMUTING && overlap(access, &other->at[i]) &&
		    !(locks_out(one, number, other, i) && locks_out(other, i, one, number)))
			return &other->at[i];
	return NULL;
}

/*
 * The places of a step that race with another one, which could be taken now or, as `late`, after it. Two that take any one of several
 * pages take the same one now, and do not race for it.
 */
static void mark_races(const struct watched *one, const struct watched *other, const accesses_t *late)
{
	for (uint32_t i = 0; i < one->accesses.count; i++) {
		const access_t *met = meets(&one->accesses, i, &other->accesses);

		if (!met || (late && !meets(&one->accesses, i, late)))
			continue;
		struct stand *stand = stand_at(one->spot);
		struct partner partner = { other->spot, met->site };
		if (!stand || note_site(stand, one->accesses.at[i].site, partner) < 0)
			races.lost = 1;
	}
}

/* Notes which sites that are known to race one step touches in different places. */
static void mark_together(const struct watched *one)
{
	struct stand *stand = one->accesses.atomic ? NULL : stand_at(one->spot);

	for (uint32_t i = 0; stand && i < one->accesses.count; i++)
		for (uint32_t k = i + 1; k < one->accesses.count; k++) {
			const access_t *a = &one->accesses.at[i], *b = &one->accesses.at[k];
			int same = a->word == b->word || (a->piece && a->piece == b->piece);
			int x = same ? -1 : racing_site(stand, a->site), y = x < 0 ? -1 : racing_site(stand, b->site);

			if (y >= 0 && x != y) {
				stand->together[x] |= 1ull << y;
				stand->together[y] |= 1ull << x;
			}
		}
}

static int watch(const uint8_t *from, uint8_t *after, unsigned thread, uint32_t choice, accesses_t *accesses)
{
	step_t step = { .choice = choice };

	memcpy(after, from, STATE_SIZE);
	int rc = watch_step(after, thread, &step, accesses);
	if (accesses->count > MOST_ACCESSES) {
		accesses->count = MOST_ACCESSES;
		races.lost = 1;
	}
	return rc == STEP_DONE;
}

/* Every step that can be taken from a state; how many there are. */
static uint32_t watch_steps(const struct septum_run *run, const uint8_t *state, struct watched *steps)
{
	uint32_t spots[MOST_CALLS_DEEP], count = 0;

	for (unsigned thread = 0; thread < run->threads; thread++) {
		uint32_t choices = model_choices(state, thread);

		for (uint32_t choice = 0; choice < choices; choice++) {
			struct watched *now = &steps[count];

			if (count == MOST_WATCHED) {
				races.lost = 1;
				return count;
			}
			if (!watch(state, now->after, thread, choice, &now->accesses))
				continue;
			now->thread = thread;
			now->choice = choice;
			now->spot = spots[septum_spots(state, thread, spots) - 1];
			count++;
		}
	}
	return count;
}

/* Watches every step that can be taken from a state, and each of them after each of another thread. By one worker. */
static void watch_races(const struct worker *w, const uint8_t *state)
{
	static struct watched steps[MOST_WATCHED];
	static accesses_t late;
	static _Alignas(16) uint8_t after[STRIDE];
	uint32_t count = watch_steps(w->explorer->run, state, steps);

	for (uint32_t i = 0; i < count; i++)
		for (uint32_t k = 0; k < count; k++) {
			if (steps[i].thread == steps[k].thread)
				continue;
			uint32_t choices = model_choices(steps[i].after, steps[k].thread);
			uint32_t choice = steps[k].choice < choices ? steps[k].choice : 0;
			int goes_on = choices && watch(steps[i].after, after, steps[k].thread, choice, &late);

			mark_races(&steps[i], &steps[k], goes_on ? &late : NULL);
		}
	for (uint32_t i = 0; i < count; i++)
		mark_together(&steps[i]);
}

EXPORTED struct septum_races *septum_races(void) { return &races; }

EXPORTED void septum_forget_races(void)
{
	free(races.stand);
	races = (struct septum_races){ 0 };
}
#else
static inline void watch_races(const struct worker *w, const uint8_t *state) { (void)w, (void)state; }
#endif

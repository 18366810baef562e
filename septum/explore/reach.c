/* Which accesses of a step another thread may meet: by what the two steps touch, and by what the other one may ever touch.
 *
 * Offers septum_places to Python; may_meet, have_met and find_reach; mark_bytes and first_to_overlap. */
#ifdef WATCHED

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

/* Whether they may have a word in common. */
static int may_meet(const accesses_t *a, const accesses_t *b)
{
	return ((a->writes & (b->reads | b->writes)) | (a->reads & b->writes)) != 0;
}

static void begin_turn(struct watcher *watcher)
{
	if (!++watcher->turn) {
		memset(watcher->mark, 0, sizeof watcher->mark);
		watcher->turn = 1;
	}
}

/* From the last access to the first, whose marks stay. What commutes does not write. */
static void mark_places(struct watcher *watcher, const accesses_t *accesses)
{
	begin_turn(watcher);
	for (uint32_t i = accesses->count; i--;) {
		const access_t *access = &accesses->at[i];
		struct mark *mark = &watcher->mark[access->offset];
		uint32_t later = mark->turn == watcher->turn ? mark->written : 0;

		*mark = (struct mark){ watcher->turn, i + 1, access->written && access->piece != COMMUTING ? i + 1 : later };
	}
}

/* The same of every byte, without what commutes. */
static void mark_bytes(struct watcher *watcher, const accesses_t *accesses)
{
	begin_turn(watcher);
	for (uint32_t i = accesses->count; i--;) {
		const access_t *access = &accesses->at[i];
		uint32_t end = access->piece == COMMUTING ? access->offset : access->offset + access->size;

		for (struct mark *mark = &watcher->mark[access->offset]; mark < &watcher->mark[end]; mark++) {
			uint32_t later = mark->turn == watcher->turn ? mark->written : 0;

			*mark = (struct mark){ watcher->turn, i + 1, access->written ? i + 1 : later };
		}
	}
}

/* Which of the accesses whose bytes are marked is the first to overlap with this one, from 1; 0 if none does. */
static uint32_t first_to_overlap(const struct watcher *watcher, const access_t *access)
{
	uint32_t least = 0;

	for (const struct mark *mark = &watcher->mark[access->offset], *end = mark + access->size; mark < end; mark++) {
		uint32_t first = mark->turn != watcher->turn ? 0 : access->written ? mark->first : mark->written;

		if (first && (!least || first < least))
			least = first;
	}
	return least;
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
		model_later(from, thread, later);
	}
	watcher->reached = 0;
	for (uint32_t i = 0; i < one->count; i++)
		if (is_plain(&one->at[i]) && may_be_met(&one->at[i], later))
			watcher->reach[watcher->reached++] = i;
	return watcher->reached > 1;
}
#endif

/* What is kept of the steps that are watched for races (races.c), and what two accesses may have to do with each other.
 *
 * Offers struct watcher; keep and join_condition; overlap, same_piece and is_plain of accesses. */
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

/* Of a place or a byte that a step touches, in the turn in which that is looked at: by which access first, and which writes it first, from 1. */
struct mark {
	uint32_t turn, first, written;
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
	uint32_t path, trodden[WORLD_SIZE];	/* of a byte: on which path of the other thread, through the middle of S, it was touched last */
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
#endif

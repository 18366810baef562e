/* -- Shrinking: a schedule is changed, played, and kept if it still ends in the same failure and is simpler --
 *
 * Offers shrink_first, of the first run that failed. */

struct shrinker {
	struct hunter *player;		/* its picks are what was played last */
	int32_t failure;
	struct pick *best, *trial;
	uint64_t length, trial_length;	/* in picks */
	uint64_t spent;
};

static int is_spent(const struct shrinker *s)
{
	const struct septum_hunt *run = s->player->of->run;

	return run->stop || s->spent >= run->shrink_steps;
}

static uint64_t switches(const struct pick *picks, uint64_t length)
{
	uint64_t count = 0;

	for (uint64_t i = 1; i < length; i++)
		count += picks[i].thread != picks[i - 1].thread;
	return count;
}

static uint64_t unusual(const struct pick *picks, uint64_t length)
{
	uint64_t count = 0;

	for (uint64_t i = 0; i < length; i++)
		count += picks[i].choice;
	return count;
}

static int anybody_moves(struct hunter *h)
{
	for (unsigned thread = 0; thread < h->of->run->threads; thread++)
		if (make_step(h, thread, 0) != STEP_BLOCKED)
			return 1;
	return 0;
}

static int play_pick(struct hunter *h, struct pick pick)
{
	uint32_t choices = model_choices(h->state, pick.thread);
	int rc = make_step(h, pick.thread, pick.choice < choices ? pick.choice : 0);

	if (rc != STEP_BLOCKED)
		h->picks[h->steps - 1].choices = choices;
	return rc;
}

/* Plays a schedule, without the steps that cannot be made; the failure at its end. */
static int32_t play(struct hunter *h, const struct pick *picks, uint64_t length)
{
	int32_t failure = start_over(h);

	for (uint64_t i = 0; i < length && failure == NO_FAILURE; i++) {
		int rc = play_pick(h, picks[i]);

		if (rc == STEP_FAILED)
			return h->step.failure;
		if (rc == STEP_DONE)
			failure = judge(h);
	}
	uint64_t steps = h->steps;
	h->pruned = 0;
	if (failure == NO_FAILURE && !anybody_moves(h))
		failure = judge_end(h);
	h->steps = steps;
	return failure;
}

static int is_simpler(const struct shrinker *s)
{
	const struct hunter *h = s->player;

	if (h->steps != s->length)
		return h->steps < s->length;
	uint64_t now = switches(h->picks, h->steps), before = switches(s->best, s->length);
	return now != before ? now < before : unusual(h->picks, h->steps) < unusual(s->best, s->length);
}

static int try_trial(struct shrinker *s)
{
	int32_t failure = play(s->player, s->trial, s->trial_length);

	s->spent += s->player->steps + 1;
	if (failure != s->failure || !is_simpler(s))
		return 0;
	s->length = s->player->steps;
	memcpy(s->best, s->player->picks, s->length * sizeof *s->best);
	return 1;
}

static void append(struct shrinker *s, uint64_t from, uint64_t to)
{
	memcpy(s->trial + s->trial_length, s->best + from, (to - from) * sizeof *s->trial);
	s->trial_length += to - from;
}

/* Without `size` steps of one thread, or of all if `thread` is none, from the place `first` of its steps; 0: it has not so many. */
static int try_without(struct shrinker *s, unsigned thread, uint64_t first, uint64_t size)
{
	uint64_t own = 0;

	s->trial_length = 0;
	for (uint64_t i = 0; i < s->length; i++) {
		if (thread != MAX_THREADS && s->best[i].thread != thread)
			append(s, i, i + 1);
		else if (own < first || own >= first + size)
			append(s, i, i + 1), own++;
		else
			own++;
	}
	return own > first && try_trial(s);
}

static int drop_steps(struct shrinker *s, unsigned thread)
{
	int better = 0;

	for (uint64_t size = s->length; size && !is_spent(s); size /= 2)
		for (uint64_t first = 0; first < s->length && !is_spent(s);) {
			if (try_without(s, thread, first, size))
				better = 1;
			else
				first += size;
		}
	return better;
}

static int try_choice(struct shrinker *s, uint64_t at, uint32_t choice)
{
	s->trial_length = 0;
	append(s, 0, s->length);
	s->trial[at].choice = choice;
	return try_trial(s);
}

/* Another choice may make a schedule shorter; of those that do not, the first is the simplest. */
static int change_choices(struct shrinker *s)
{
	int better = 0;

	for (uint64_t at = 0; at < s->length && !is_spent(s); at++)
		for (uint32_t choice = 0; at < s->length && choice < s->best[at].choices && !is_spent(s); choice++)
			if (choice != s->best[at].choice)
				better |= try_choice(s, at, choice);
	return better;
}

static uint64_t block_end(const struct shrinker *s, uint64_t from)
{
	uint64_t to = from;

	while (to < s->length && s->best[to].thread == s->best[from].thread)
		to++;
	return to;
}

/* The end of the last block of the thread before `at`, or `at` if there is none. */
static uint64_t previous_end(const struct shrinker *s, uint64_t at)
{
	for (uint64_t i = at; i; i--)
		if (s->best[i - 1].thread == s->best[at].thread)
			return i;
	return at;
}

static uint64_t next_begin(const struct shrinker *s, uint64_t at, uint64_t end)
{
	for (uint64_t i = end; i < s->length; i++)
		if (s->best[i].thread == s->best[at].thread)
			return i;
	return end;
}

/* A block goes away: its head joins the thread's block before it, its tail the one behind it. */
static int try_parting(struct shrinker *s, uint64_t begin, uint64_t part, uint64_t end)
{
	uint64_t before = previous_end(s, begin), behind = next_begin(s, begin, end);

	if ((part > begin && before == begin) || (part < end && behind == end))
		return 0;
	s->trial_length = 0;
	append(s, 0, before);
	append(s, begin, part);
	append(s, before, begin);
	append(s, end, behind);
	append(s, part, end);
	append(s, behind, s->length);
	return try_trial(s);
}

static int merge_block(struct shrinker *s, uint64_t begin, uint64_t end)
{
	for (uint64_t part = begin; part <= end && !is_spent(s); part++)
		if (try_parting(s, begin, part, end))
			return 1;
	return 0;
}

static int merge_blocks(struct shrinker *s)
{
	int better = 0;

	for (uint64_t begin = 0; begin < s->length && !is_spent(s);) {
		uint64_t end = block_end(s, begin);

		if (merge_block(s, begin, end))
			better = 1;
		else
			begin = end;
	}
	return better;
}

static void shrink(struct shrinker *s)
{
	int better;

	do {
		better = drop_steps(s, MAX_THREADS);
		for (unsigned thread = 0; thread < s->player->of->run->threads; thread++)
			better |= drop_steps(s, thread);
		better |= change_choices(s);
		better |= merge_blocks(s);
	} while (better && !is_spent(s));
}

/* The shrunk schedule as pairs. */
static uint32_t *pairs_of(const struct shrinker *s)
{
	uint32_t *pairs = calloc(2 * (s->length + 1), sizeof *pairs);

	for (uint64_t i = 0; pairs && i < s->length; i++) {
		pairs[2 * i] = s->best[i].thread;
		pairs[2 * i + 1] = s->best[i].choice;
	}
	return pairs;
}

/* The first failing run, made again and shrunk, is the schedule of the hunt. */
static void shrink_first(struct hunt *hunt, uint64_t length)
{
	struct septum_hunt *run = hunt->run;
	struct hunter *h = &hunt->hunter[0];
	struct shrinker s = { .player = h, .failure = run->failure };

	hunt->length = length;
	make_run(h, run->first_run);
	run->first_steps = s.length = h->steps;
	s.best = calloc(2 * (h->steps + 1), sizeof *s.best);
	if (s.best) {
		s.trial = s.best + h->steps + 1;
		memcpy(s.best, h->picks, h->steps * sizeof *s.best);
		play(h, s.best, s.length);		/* for the number of choices */
		memcpy(s.best, h->picks, s.length * sizeof *s.best);
		shrink(&s);
		run->schedule = pairs_of(&s);
		run->schedule_steps = s.length;
		free(s.best);
	}
	run->out_of_memory = !run->schedule;
}

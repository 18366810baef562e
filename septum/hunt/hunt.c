/* A hunt: rounds of many runs on all cores, until something is found or a limit is reached.
 *
 * Offers septum_hunt and septum_hunt_free to Python. */

static void account(struct hunter *h, uint64_t number, int32_t failure)
{
	struct septum_hunt *run = h->of->run;

	__atomic_add_fetch(&run->runs, 1, __ATOMIC_RELAXED);
	__atomic_add_fetch(&run->steps, h->steps, __ATOMIC_RELAXED);
	h->plain += h->is_plain;
	h->longer += h->is_plain && h->steps > h->of->length;
	if (h->steps > h->longest && h->steps < run->most_steps)
		h->longest = h->steps;
	if (failure == NO_FAILURE)
		return;
	__atomic_add_fetch(&run->failing[failure == STUCK ? 0 : failure + 1], 1, __ATOMIC_RELAXED);
	if (h->first_failure == NO_FAILURE || number < h->first_run) {
		h->first_run = number;
		h->first_failure = failure;
	}
}

static int may_go_on(const struct hunt *hunt)
{
	const struct septum_hunt *run = hunt->run;

	return !run->stop && (run->most_seconds <= 0 || now() - hunt->began < run->most_seconds);
}

static void *hunt_round(void *argument)
{
	struct hunter *h = argument;
	uint64_t number;

	while (may_go_on(h->of) && (number = __atomic_fetch_add(&h->of->next, 1, __ATOMIC_RELAXED)) < h->of->end)
		account(h, number, make_run(h, number));
	return NULL;
}

static void hunt_together(struct hunt *hunt)
{
	unsigned workers = 1;

	for (; workers < hunt->run->workers; workers++)
		if (pthread_create(&hunt->hunter[workers].thread, NULL, hunt_round, &hunt->hunter[workers]))
			break;
	hunt_round(&hunt->hunter[0]);
	for (unsigned i = 1; i < workers; i++)
		pthread_join(hunt->hunter[i].thread, NULL);
}

/* The stage that the coming round belongs to. The last one stands for all that do not fit. */
static struct septum_stage *stage_of(struct hunt *hunt)
{
	struct septum_hunt *run = hunt->run;

	if (!run->stages || (run->stage[run->stages - 1].length != hunt->length && run->stages < STAGES))
		run->stage[run->stages++] = (struct septum_stage){ .length = hunt->length };
	struct septum_stage *stage = &run->stage[run->stages - 1];
	if (stage->length < hunt->length)
		stage->length = hunt->length;
	return stage;
}

static void end_round(struct hunt *hunt, struct septum_stage *stage)
{
	struct septum_hunt *run = hunt->run;

	for (struct hunter *h = hunt->hunter; h < hunt->hunter + run->workers; h++) {
		stage->plain += h->plain;
		stage->longer += h->longer;
		run->cut += h->cut;
		run->witnesses |= h->step.witnesses;
		h->plain = h->longer = h->cut = 0;
		if (h->longest > run->longest)
			run->longest = h->longest;
	}
}

/* The first failure of the round, and whether there is one. */
static int find_first(struct hunt *hunt)
{
	struct septum_hunt *run = hunt->run;

	for (struct hunter *h = hunt->hunter; h < hunt->hunter + run->workers; h++)
		if (h->first_failure != NO_FAILURE && (run->failure == NO_FAILURE || h->first_run < run->first_run)) {
			run->failure = h->first_failure;
			run->first_run = h->first_run;
		}
	return run->failure != NO_FAILURE;
}

static int prepare_hunt(struct hunt *hunt)
{
	struct septum_hunt *run = hunt->run;
	size_t bytes = run->workers * sizeof *hunt->hunter;

	hunt->hunter = aligned_alloc(128, bytes);
	hunt->picks = calloc(run->workers * (run->most_steps + MAX_THREADS), sizeof *hunt->picks);
	if (!hunt->hunter || !hunt->picks)
		return 0;
	memset(hunt->hunter, 0, bytes);
	for (unsigned i = 0; i < run->workers; i++) {
		struct hunter *h = &hunt->hunter[i];

		h->of = hunt;
		h->first_failure = NO_FAILURE;
		h->picks = hunt->picks + i * (run->most_steps + MAX_THREADS);
	}
	memcpy(hunt->hunter->state, run->initial, STATE_SIZE);
	take_changes(hunt->hunter);
	hunt->initial_sum = hunt->hunter->sum;
	return 1;
}

static void hunt_rounds(struct hunt *hunt)
{
	struct septum_hunt *run = hunt->run;
	uint64_t size = FIRST_ROUND, first_length = 0;
	int found = 0;

	hunt->length = FIRST_LENGTH;
	while (may_go_on(hunt) && (!found || run->keep_going) && !(run->most_runs && run->runs >= run->most_runs)) {
		struct septum_stage *stage = stage_of(hunt);
		uint64_t before = run->runs;

		hunt->next = before;
		hunt->end = run->most_runs && run->most_runs - before < size ? run->most_runs : before + size;
		hunt_together(hunt);
		end_round(hunt, stage);
		stage->runs += run->runs - before;
		if (!found && (found = find_first(hunt)))
			first_length = hunt->length;
		if (run->longest > hunt->length || before == 0)
			hunt->length = run->longest + run->longest / SLACK + 1;
		size = size < LARGEST_ROUND ? 2 * size : size;
	}
	run->hunted = now() - hunt->began;
	if (found)
		shrink_first(hunt, first_length);
}

/* Hunts until a limit is reached, or until the round ends in which something is found. One hunt of a library at a time. */
EXPORTED void septum_hunt(struct septum_hunt *run)
{
	struct hunt hunt = { .run = run, .began = now() };

	run->failure = NO_FAILURE;
	if (prepare_hunt(&hunt))
		hunt_rounds(&hunt);
	else
		run->out_of_memory = 1;
	free(hunt.hunter);
	free(hunt.picks);
	run->seconds = now() - hunt.began;
}

EXPORTED void septum_hunt_free(struct septum_hunt *run)
{
	free(run->schedule);
	run->schedule = NULL;
}

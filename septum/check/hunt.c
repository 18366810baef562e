/* -- The hunt -- */

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

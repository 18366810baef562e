/* What the tests ask of the toy and of the explorer's insides; this follows the explorer. */

__attribute__((visibility("default"))) void toy_initial(uint8_t *state)
{
	struct toy *m = (struct toy *)state;

	memset(m, 0, sizeof *m);
	m->page[0].state = RESERVED;
	m->page[ROOT].state = MIRROR_TABLE;
	m->page[ROOT].spt[0] = m->page[ROOT].spt[1] = NONP;
	m->page[ROOT].ext_of = 2;
	m->page[2].state = SEPT_PAGE;
}

/* The fingerprint of `after`, by way of `before`. */
__attribute__((visibility("default"))) void toy_fingerprint(const uint8_t *before, const uint8_t *after, uint64_t print[2])
{
	static _Alignas(64) uint8_t padded[3][STRIDE];
	struct sum sum = { 0 };

	make_keys();
	memcpy(padded[1], before, STATE_SIZE);
	memcpy(padded[2], after, STATE_SIZE);
	change_sum(&sum, padded[0], padded[1]);
	change_sum(&sum, padded[1], padded[2]);
	struct fingerprint found = fingerprint(&sum);
	print[0] = found.first;
	print[1] = found.second;
}

/* Adds states to a table, as a worker does; how many of them are there at the end, and the most bytes a state had once it grew. */
__attribute__((visibility("default"))) uint64_t toy_table(uint64_t states, double *most)
{
	struct septum_run run = { 0 };
	struct table table = { .room = capacity(FIRST_SLOTS, 0) };
	uint64_t seed = 1, found = 0;

	*most = 0;
	if (!make_table(&run, &table, FIRST_SLOTS, 0))
		return 0;
	for (uint64_t state = 0; state < states; state++, table.room--) {
		struct fingerprint print = { random_word(&seed) | 1, random_word(&seed) | 1 };

		if (!table.room && !grow(&run, &table))
			break;
		double bytes = 16.0 * (double)table.count / (double)(state + 1);
		*most = table.count > FIRST_SLOTS && bytes > *most ? bytes : *most;
		insert(&table, &print);
	}
	seed = 1;
	for (uint64_t state = 0; state < states; state++) {
		struct fingerprint print = { random_word(&seed) | 1, random_word(&seed) | 1 };

		found += !insert(&table, &print);
	}
	free_table(&run, &table);
	return found;
}

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

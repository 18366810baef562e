/* One call of a logical processor: the process `entry` from its start, a step at a time or to its end.
 *
 * Offers to Python module_begin, module_step and module_run. */

void module_begin(uint8_t *state, unsigned lp, uint32_t entry)
{
    model_program[lp].count = 1;
    model_program[lp].calls[0].entry = entry;
    memset(frame_of(state, lp), 0, FRAME_SIZE);
}

/* 0: there is more to do, 1: the call has ended, 2: an assertion failed, the number of which is in step->failure. */
int module_step(uint8_t *state, unsigned lp, step_t *step)
{
    int rc = model_step(state, lp, step);
    if (rc != STEP_DONE)
        return 2;
    return frame_of(state, lp)[0] == ENDED;
}

int module_run(uint8_t *state, unsigned lp, uint32_t entry, step_t *step)
{
    int rc;
    module_begin(state, lp, entry);
    while (!(rc = module_step(state, lp, step)))
        ;
    return rc;
}

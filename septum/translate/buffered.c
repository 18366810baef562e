/* The moves of a thread with a store buffer: its own, and behind them one by which the memory takes its oldest store. A thread that
 * waits, or has ended, can only let the memory take one. Behind threads.c, whose steps are a thread's own.
 *
 * Offers model_step, model_step_noted and model_choices of states; septum_buffered to Python. */

#undef model_step
#undef model_step_noted
#undef model_choices

static int model_step_noted(uint8_t *state, unsigned thread, step_t *step, uint64_t *written)
{
    int pending = has_stores(state, thread), rc = STEP_BLOCKED;
    if (!pending || step->choice != own_choices(state, thread))
        rc = own_step_noted(state, thread, step, written);
    if (rc != STEP_BLOCKED || !pending)
        return rc;
    take_store(&(context_t){ .written = written }, state, thread);
    return STEP_DONE;
}

static int model_step(uint8_t *state, unsigned thread, step_t *step)
{
    uint64_t unread[NOTE_WORDS] = { 0 };
    return model_step_noted(state, thread, step, unread);
}

static uint32_t model_choices(const uint8_t *state, unsigned thread)
{
    return own_choices(state, thread) + (uint32_t)has_stores(state, thread);
}

/* Python says which places are buffered, before a run. */
void septum_buffered(const uint8_t *places)
{
    memcpy(model_buffered, places, WORLD_SIZE);
}

/**
 * A clock whose monotonic time runs two hundred times as fast, for tests that wait for the silence of a heartbeat; timers
 * fire as ever.
 */
const HASTE = 200;

export const clock = {
  now: () => Date.now(),
  monotonic: () => performance.now() * HASTE,
  timer: (ms, fire) => {
    const timeout = setTimeout(fire, ms).unref();
    return {
      cancel: () => clearTimeout(timeout),
      keepAlive: (on) => {
        if (on) timeout.ref();
        else timeout.unref();
      },
    };
  },
};

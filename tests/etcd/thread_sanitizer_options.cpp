// What ThreadSanitizer is told in the driver alone: what gRPC's own libraries copy and free, which it cannot judge, is not looked at.
// To suppress the reports would take seconds for each call, as each of them is made first.

/// It is called before ThreadSanitizer is ready for code that it watches.
extern "C" __attribute__((visibility("default"), no_sanitize("thread"))) const char *__tsan_default_options();

extern "C" const char *__tsan_default_options()
{
    return "ignore_noninstrumented_modules=1";
}

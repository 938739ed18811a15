// What ThreadSanitizer is told about rolloutd and its tests, in the builds that have it.

/// libuv closes descriptors by the system call itself, which ThreadSanitizer does not see: whoever is given the same number
/// by the system next, on another thread, and closes it seems to race with libuv's last use of it.
/// It is called before ThreadSanitizer is ready for code that it watches.
extern "C" __attribute__((visibility("default"), no_sanitize("thread"))) const char *__tsan_default_suppressions();

/// gRPC's and protobuf's libraries are not built with ThreadSanitizer, which does not see their locks and atomic counters, so that what one
/// of their threads has made and another one uses seems to race. Reports with both sides in rolloutd's own code stay.
extern "C" const char *__tsan_default_suppressions()
{
    return "race:unique_fd::reset\n"
           "race:/libgrpc\n"
           "race:/libgpr\n"
           "race:/libabsl_\n"
           "race:/libprotobuf\n"
           "race:/grpcpp/\n"
           "race:.pb.cc\n";
}

// A rollout at 25 %, as a gateway shows it.
#pragma once

#include <string>

inline const std::string sample_document = R"({
  "task_id": "t-7", "id": "t-7", "model_id": "123", "embedding_model_id": "123", "status": "in_progress",
  "created_by": {"address": "10.1.0.7", "user": "ann"},
  "detail": "Revision 7 has 25 % of the traffic of model 123 until 16:10:40 UTC at the earliest.",
  "created_at": "2026-11-24T16:09:21.000000Z", "updated_at": "2026-11-24T16:10:02.500000Z",
  "metadata": {
    "revision": 7, "step": "shift", "progress": 0.6, "traffic_weight": 25, "elapsed_ms": 41000,
    "waits_for": "time", "hold_ends_at": "2026-11-24T16:10:40.000000Z",
    "plan": {"steps": [{"weight": 5, "hold_s": 30}, {"weight": 25, "hold_s": 60}, {"weight": 100, "hold_s": 60}],
             "promote": "auto", "watch_s": 0},
    "gate": {"weight": 25, "verdict": "undecided", "reason": "", "lost": 1,
      "green": {"requests": 4120, "failures": 1, "client_errors": 4, "error_rate": 0.0002, "p99_ms": 28.0, "mean_ms": 7.0},
      "blue": {"requests": 12431, "failures": 3, "client_errors": 12, "error_rate": 0.0002, "p99_ms": 31.0, "mean_ms": 8.0},
      "limits": {"min_requests": 50, "max_error_rate": 0.01, "max_p99_ms": 500.0, "max_error_ratio_to_blue": 2.0},
      "evidence": {"max_error_rate": {"evidence": 0.1, "decides_at": 400.0, "decided": false}}},
    "steps": [
      {"name": "fetch", "state": "done", "attempts": 1, "started_at": "2026-11-24T16:09:21.000000Z", "ended_at": "2026-11-24T16:09:22.200000Z", "detail": ""},
      {"name": "load", "state": "done", "attempts": 1, "started_at": "2026-11-24T16:09:22.200000Z", "ended_at": "2026-11-24T16:09:25.300000Z", "detail": ""},
      {"name": "smoke", "state": "skipped", "attempts": 0, "started_at": null, "ended_at": null, "detail": "not configured"},
      {"name": "shift", "state": "running", "attempts": 1, "started_at": "2026-11-24T16:09:30.000000Z", "ended_at": null, "detail": ""},
      {"name": "promote", "state": "pending", "attempts": 0, "started_at": null, "ended_at": null, "detail": ""}],
    "config": {}}})";

inline constexpr long long sample_hold_ends_us = 1795536640000000; // its hold_ends_at

/// The document with another text in place of one that it holds.
inline std::string sample_with(const std::string &text, const std::string &other)
{
    std::string document = sample_document;
    return document.replace(document.find(text), text.size(), other);
}

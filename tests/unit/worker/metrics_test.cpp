#include "worker/metrics.hpp"

#include "tests/unit/cmocka.hpp"

namespace {

using namespace rollout;
using namespace std::chrono_literals;

task_row row_of(task_kind kind, task_status status)
{
    task_row row;
    row.kind = kind;
    row.status = status;
    return row;
}

void tasks_count_when_they_come_to_their_end(void **)
{
    rolloutd_metrics own("1.2.3", 1700000000);
    own.changed(
        {row_of(task_kind::deploy, task_status::pending), row_of(task_kind::deploy, task_status::in_progress)});
    own.changed({row_of(task_kind::deploy, task_status::failed), row_of(task_kind::deploy, task_status::completed),
                 row_of(task_kind::remove, task_status::refused), row_of(task_kind::deploy, task_status::completed)});
    const std::string text = own.text({});
    assert_holds(text, "\nrollout_tasks_ended_total{kind=\"deploy\",status=\"completed\"} 2\n");
    assert_holds(text, "\nrollout_tasks_ended_total{kind=\"deploy\",status=\"failed\"} 1\n");
    assert_holds(text, "\nrollout_tasks_ended_total{kind=\"deploy\",status=\"canceled\"} 0\n");
    assert_holds(text, "\nrollout_tasks_ended_total{kind=\"delete\",status=\"refused\"} 1\n");
    assert_true(text.find("status=\"pending\"") == std::string::npos);
}

void commits_are_seen_by_what_they_took(void **)
{
    rolloutd_metrics own("1.2.3", 0);
    own.committed(500us, true);
    own.committed(501us, true);
    own.committed(40s, false);
    const std::string text = own.text({});
    assert_holds(text, "rollout_journal_commit_seconds_bucket{le=\"0.0005\"} 1\n");
    assert_holds(text, "rollout_journal_commit_seconds_bucket{le=\"0.001\"} 2\n");
    assert_holds(text, "rollout_journal_commit_seconds_bucket{le=\"30\"} 2\n");
    assert_holds(text, "rollout_journal_commit_seconds_bucket{le=\"+Inf\"} 3\n");
    assert_holds(text, "rollout_journal_commit_seconds_count 3\n");
    assert_holds(text, "rollout_journal_failed_commits_total 1\n");
}

void the_moment_is_as_it_was_given(void **)
{
    const rolloutd_metrics own("1.2.3", 1700000000);
    rolloutd_metrics::moment now;
    now.waiting = 4;
    now.running = 3;
    now.working = 2;
    now.most_working = 16;
    now.longest_wait = 90s;
    now.deployed_models = 70;
    now.lost_models = 5;
    now.backends_up = {{"cpu", true}, {"gpu", false}};
    now.pending_unloads = {{"cpu", 0}, {"gpu", 3}};
    now.links = 2;
    now.revision = 123456789012;
    const std::string text = own.text(now);
    for (const auto line :
         {"rollout_worker_info{version=\"1.2.3\"} 1\n", "rollout_worker_start_time_seconds 1700000000\n",
          "rollout_queue_length 4\n", "rollout_running_tasks 3\n", "rollout_working_tasks 2\n",
          "rollout_running_tasks_limit 16\n", "rollout_oldest_waiting_task_seconds 90\n",
          "rollout_deployed_models 70\n", "rollout_lost_models 5\n", "rollout_backend_up{backend=\"cpu\"} 1\n",
          "rollout_backend_up{backend=\"gpu\"} 0\n", "rollout_unload_pending{backend=\"cpu\"} 0\n",
          "rollout_unload_pending{backend=\"gpu\"} 3\n", "rollout_worker_links 2\n",
          "rollout_journal_revision 123456789012\n"}) {
        assert_holds(text, line);
    }
}

void a_cluster_has_metrics_of_its_own(void **)
{
    const rolloutd_metrics own("1.2.3", 1700000000);
    rolloutd_metrics::moment now;
    assert_true(own.text(now).find("etcd") == std::string::npos);
    now.cluster = rolloutd_metrics::cluster();
    now.cluster->leads = true;
    now.cluster->leases = {{"host", 2500ms}, {"leader", 0ms}};
    now.cluster->errors = {{"no_space", 3}, {"timed_out", 0}};
    auto text = own.text(now);
    for (const auto line :
         {"rollout_cluster_leader 1\n", "rollout_etcd_lease_remaining_seconds{lease=\"host\"} 2.5\n",
          "rollout_etcd_lease_remaining_seconds{lease=\"leader\"} 0\n",
          "rollout_etcd_errors_total{kind=\"no_space\"} 3\n", "rollout_etcd_errors_total{kind=\"timed_out\"} 0\n"}) {
        assert_holds(text, line);
    }
    for (const auto unknown : {"change_age", "database", "quota"}) {
        assert_true(text.find(unknown) == std::string::npos);
    }
    now.cluster->change_age = 1250ms;
    now.cluster->database_bytes = 2000;
    now.cluster->database_used_bytes = 1000;
    now.cluster->quota_bytes = 4000;
    text = own.text(now);
    for (const auto line : {"rollout_etcd_change_age_seconds 1.25\n", "rollout_etcd_database_bytes 2000\n",
                            "rollout_etcd_database_used_bytes 1000\n", "rollout_etcd_quota_bytes 4000\n"}) {
        assert_holds(text, line);
    }
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(tasks_count_when_they_come_to_their_end),
        cmocka_unit_test(commits_are_seen_by_what_they_took),
        cmocka_unit_test(the_moment_is_as_it_was_given),
        cmocka_unit_test(a_cluster_has_metrics_of_its_own),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}

"""The quick start's own part: runs the three processes, does what a user would do, and shows it. Run by conf/quickstart."""

import threading

from demonstration import (MODEL, SERVER, TASK_S, Failure, Gateway, InferenceServers, NoAnswer, Traffic, headline, run, say, show_whole,
                           wait_for_the_end, wait_until, write_sample)


def start_all(home, processes):
    """Inference servers, rolloutd, nginx; returns the gateway."""
    servers = InferenceServers(home, processes)
    servers.start_all()
    gateway = Gateway(home, processes, servers)
    gateway.start()
    say(f"Inference servers on ports {' and '.join(map(str, servers.ports))}, rolloutd, and nginx on port {gateway.port} "
        f"(gRPC on {gateway.grpc_port}), all in {home}")
    say(f"Watch it in a browser: {gateway.url}/rollout/")
    return gateway


def run_task(gateway, route, body, ends_as="completed"):
    """Posts a task and prints its document each time that it changes, until it is final, and as it should be then."""
    return gateway.follow(route, gateway.post(route, body), show_whole, ends_as)


def deploy(gateway, version, ends_as="completed", **rollout):
    """Deploys that version of the model's file."""
    config = {"source": gateway.servers.source(version), **({"rollout": rollout} if rollout else {})}
    return run_task(gateway, "deploy", {"model_id": MODEL, "config": config}, ends_as)


def show(home, gateway):
    sample = write_sample(home)
    headline("1. Deploy Silero's voice-activity model, version 5")
    first_revision = deploy(gateway, "v5")["metadata"]["revision"]

    headline("2. Ask it, through nginx")
    _, answer = gateway.ask(sample)
    say(f"$ echo '{{\"id\": 1, \"method\": \"ModelInfer\", \"message\": {{\"model_name\": \"{MODEL}\", …}}}}' | "
        f"node {SERVER / 'grpc_client.js'} 127.0.0.1:{gateway.grpc_port}")
    name, same = gateway.infer_by_grpc()
    if name != MODEL or abs(same - answer) > 1e-6:
        raise Failure(f"by gRPC, model {name} says {same}, and not {MODEL} {answer}")
    say(f"model {name} says the same by gRPC: {same:.6f}")

    headline("3. Deploy version 6 while four clients go on asking")
    traffic = Traffic([gateway])
    traffic.await_answers(first_revision)
    second_revision = deploy(gateway, "v6")["metadata"]["revision"]
    traffic.await_answers(second_revision)
    traffic.end()

    say()
    answers = traffic.by_revision()
    for revision, counts in sorted(answers.items()):
        version = {first_revision: "v5", second_revision: "v6"}.get(revision, "?")
        words = ", ".join(f"{answer:.6f} {count} times" for answer, count in counts.items())
        say(f"revision {revision} ({version}) answered {words}")
    traffic.end_without_failures("during the rollout")
    if set(answers[first_revision]) & set(answers[second_revision]):
        raise Failure("the answers did not change from v5's to v6's")

    third_revision = show_lost_server(gateway)
    show_rollback(gateway, sample, third_revision)

    headline("6. Delete the model")
    run_task(gateway, "delete", {"model_id": MODEL})
    gateway.must_not_know_the_model(sample)
    if left := gateway.servers.files():
        raise Failure(f"files were left behind: {left}")


def show_lost_server(gateway):
    """One of the two servers is killed in the middle of a rollout, and started again with nothing loaded. Returns the revision that serves."""
    headline("4. Deploy version 6 again, in steps, and kill one of the two inference servers on the way")
    servers = gateway.servers
    revision = int(gateway.infer()[0]) + 1
    traffic = Traffic([gateway])
    broken = []

    def break_down():
        try:
            traffic.await_answers(revision, 20)
            servers.kill(1)
            say(f"$ kill -9 the inference server on port {servers.ports[1]}    # the new revision has a quarter of the traffic")
        except Failure as failure:
            broken.append(failure)

    accident = threading.Thread(target=break_down)
    accident.start()
    deploy(gateway, "v6", steps=[{"weight": 25, "hold_s": 4}, {"weight": 100, "hold_s": 2}])
    accident.join()
    if broken:
        raise broken[0]
    wait_until(lambda: gateway.servers_of("blue") == [servers.peer(0)], "the note of the server's loss")
    say(f"$ curl {gateway.url}/models")
    say(f"revision {revision} is loaded on {', '.join(gateway.servers_of('blue'))} alone")

    say(f"$ start the inference server on port {servers.ports[1]} again, with nothing loaded")
    servers.start(1)
    wait_until(lambda: len(gateway.servers_of("blue")) == 2, "the load on the server that is back", TASK_S)
    say(f"revision {revision} is loaded on {' and '.join(gateway.servers_of('blue'))}: rolloutd has loaded it, and requests go there again")
    traffic.await_answers(revision)
    traffic.end_without_failures("when a server was lost")
    return revision


def show_rollback(gateway, sample, good):
    """A revision that fails one in four of its inferences, and loses its traffic for that."""
    bad = good + 1
    headline("5. Deploy a revision that fails one in four of its inferences, in steps and with a gate")
    gateway.servers.fail(0.25, f"{MODEL}__r{bad}")
    traffic = Traffic([gateway])
    traffic.await_answers(good)
    task = deploy(gateway, "v6", "failed", steps=[{"weight": 20, "hold_s": 60}, {"weight": 100, "hold_s": 60}],
                  gate={"min_requests": 20, "max_error_rate": 0.05})
    before = traffic.served_by(good)
    wait_until(lambda: traffic.served_by(good) >= before + 50, "traffic on the good revision")
    traffic.end()

    say(f"\nThe task says why: {task['detail']}")
    gate = task["metadata"]["gate"]
    for name, revision in (("green", bad), ("blue", good)):
        counts = gate[name]
        say(f"the gate, at {gate['weight']} %: revision {revision} ({name}) {counts['requests']} requests, {counts['failures']} failed "
            f"({counts['error_rate']:.1%}), p99 {counts['p99_ms']:.0f} ms")
    say(f"{traffic.answered() + len(traffic.failures)} requests in all: {len(traffic.failures)} failed, every one of them at revision {bad}; "
        f"{traffic.answered()} were answered, and revision {good} serves on")
    if not traffic.failures or any(revision != bad for _, revision, _ in traffic.failures):
        raise Failure(f"requests failed at other revisions than {bad}: {[failure[1:] for failure in traffic.failures[:5]]}")
    revision, answer = gateway.ask(sample)
    if revision != good:
        raise Failure(f"revision {revision} serves and not {good}: {answer}")


def stay(home, gateway):
    headline("Deployed again, for you to try")
    deploy(gateway, "v6")
    base = gateway.url
    say(f"\nThe gateway stays up until Ctrl-C. Open {base}/rollout/ in a browser: what you deploy is shown there as it goes. Try:\n"
        f"  curl {base}/deploy-status/{MODEL}\n"
        f"  curl -i -d @{home}/sample.json {base}/v2/models/{MODEL}/infer\n"
        f"  curl -H 'Content-Type: application/json' -d '{{\"model_id\": \"{MODEL}\", \"config\": "
        f"{{\"source\": \"{gateway.servers.source('v5')}\"}}}}' {base}/deploy\n"
        f"  curl -H 'Content-Type: application/json' -d '{{\"model_id\": \"{MODEL}\"}}' {base}/delete\n"
        f"Logs and configurations are in {home}")
    wait_for_the_end()


def demonstrate(home, processes, once):
    gateway = start_all(home, processes)
    show(home, gateway)
    if not once:
        stay(home, gateway)


run(demonstrate)

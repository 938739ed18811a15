"""The end of a gateway: what its processes and their logs must not have left behind."""


def finish(request, gateway):
    failed = request.session.testsfailed
    logs = gateway.logs()
    sanitizer = sanitizers_report(gateway.rolloutd.text() + gateway.nginx.text() + gateway.nginx.errors(),
                                  getattr(gateway, "lacks_descriptors", False))
    alerts = [line for line in gateway.nginx.errors().splitlines() if "[alert]" in line or "[emerg]" in line]
    ended = gateway.close()
    if failed:
        print(logs)
    assert not sanitizer, sanitizer + logs
    for name, status in ended:
        assert status == 0, f"{name} ended with {status}{logs}"
    assert not [line for line in alerts if not allowed_alert(gateway, line)], alerts


def finish_hosts(request, hosts):
    for host in hosts:
        finish(request, host)
    hosts.close()


def sanitizers_report(text, lacks_descriptors=False):
    """The first one, with what follows it; empty if there is none. UBSan needs a pipe to look at an object: to a process that cannot have
    one it says of a good object that it has an invalid vptr, and that its memory cannot be printed."""
    lines = text.splitlines()
    for at, line in enumerate(lines):
        said = "".join(lines[at:at + 3])
        of_its_kind = "runtime error:" in line and "which does not point to an object of type" in line
        if lacks_descriptors and of_its_kind and "invalid vptr" in said and "memory cannot be printed" in said:
            continue
        if "ERROR: " in line and "Sanitizer" in line or "WARNING: ThreadSanitizer" in line or "runtime error:" in line:
            return "\n".join(lines[at:at + 80])
    return ""


def allowed_alert(gateway, line):
    """Alerts that a test has brought about itself."""
    return any(text in line for text in getattr(gateway, "expected_alerts", ()))

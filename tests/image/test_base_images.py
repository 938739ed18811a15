"""Another base image than Debian's: where the module's build gets nginx's headers from when the image brings an nginx of nginx.org's.
Debian's source stands in for what nginx.org would send, and the machine's nginx for the image's."""

import os
import subprocess

import pytest

from image import DOCKER, in_root
from processes import BUILD, DEADLINE_S, NGINX

# In mounts of its own: the folders that the script writes into, and looks into, are a machine's own.
AS_IN_A_BASE_IMAGE = """
for folder in /etc/apt/sources.list.d /etc/apt/keyrings /usr/share/keyrings; do
  [ ! -d "$folder" ] || mount -t tmpfs tmpfs "$folder" || exit 1
done
: > /usr/share/keyrings/nginx-archive-keyring.gpg
"$@"
status=$?
cp /etc/apt/sources.list.d/nginx-source.list . 2> /dev/null
exit $status
"""

APT_GET = """#!/usr/bin/env bash
echo "$*" >> "$CALLS"
[ "$1" != source ] || cp -r /usr/share/nginx/src "nginx-$NGINX_VERSION"
"""


@pytest.fixture
def headers(tmp_path):
    """Runs docker/nginx-headers with an nginx of that version; the folder that it wrote into, and apt-get's calls."""
    def run(nginx, **environment):
        programs = tmp_path / "programs"
        programs.mkdir()
        for name, text in {"apt-get": APT_GET, **({"nginx": nginx} if nginx else {})}.items():
            (programs / name).write_text(text)
            (programs / name).chmod(0o755)
        for name in ("bash", "cp", "find", "head", "mkdir", "sed", "env", "sh"):
            (programs / name).symlink_to(f"/usr/bin/{name}")
        path = str(programs) + (":/usr/sbin:/usr/bin:/sbin:/bin" if nginx else "")
        done = subprocess.run(in_root("unshare", "--mount", "sh", "-c", AS_IN_A_BASE_IMAGE, "sh", "env", f"PATH={path}", DOCKER / "nginx-headers",
                                      tmp_path / "nginx"), cwd=tmp_path, capture_output=True, text=True, timeout=10 * DEADLINE_S,  # nginx's configure compiles
                              env={**os.environ, "CALLS": str(tmp_path / "calls"), **environment})
        return done, tmp_path
    return run


def test_without_an_nginx_debians_package_has_them(headers):
    _, home = headers(None)
    assert (home / "calls").read_text() == "install -y --no-install-recommends nginx-dev\n"
    assert (home / "nginx/source").read_text() == ""


def repository(branch):
    return f"deb-src [signed-by=/usr/share/keyrings/nginx-archive-keyring.gpg] https://nginx.org/packages/{branch}debian/ bookworm nginx\n"


def test_nginx_orgs_source_is_configured_as_the_images_nginx_was(headers):
    more = "--add-dynamic-module=/build/njs --with-http_image_filter_module=dynamic"
    done, home = headers(f'#!/bin/sh\n{NGINX} "$@" 2>&1 | sed "s,^configure arguments:.*,& {more}," >&2\n',
                         NGINX_VERSION="1.28.0", PKG_RELEASE="1~bookworm")
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    assert (home / "nginx-source.list").read_text() == repository("")
    assert "source nginx=1.28.0-1~bookworm\n" in (home / "calls").read_text()
    source = home / "nginx/nginx-1.28.0"
    assert (home / "nginx/source").read_text() == f"{source}\n"
    # What a module sees of nginx is what it sees in the build of the machine's own.
    own = {line for line in (BUILD / "nginx/objs/ngx_auto_config.h").read_text().splitlines()
           if line.startswith("#define") and "CONFIGURE" not in line}
    made = (source / "objs/ngx_auto_config.h").read_text().splitlines()
    assert "#define NGX_COMPAT  1" in made
    assert sorted(own - set(made)) == []


def test_mainline_has_a_repository_of_its_own_and_a_failed_configure_ends_the_build(headers):
    done, home = headers("#!/bin/sh\necho 'configure arguments: --no-such-flag' >&2\n", NGINX_VERSION="1.29.1", PKG_RELEASE="1~bookworm")
    assert done.returncode != 0 and "--no-such-flag" in done.stdout + done.stderr
    assert (home / "nginx-source.list").read_text() == repository("mainline/")
    assert not (home / "nginx/source").exists()


def test_an_nginx_of_somebody_else_is_refused(headers):
    done, _ = headers("#!/bin/sh\n")
    assert done.returncode != 0 and "the base image has an nginx, but not NGINX_VERSION and PKG_RELEASE" in done.stderr

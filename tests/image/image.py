"""The gateway image, built as its users build it, but with a base that mmdebstrap makes of the machine's own Debian packages."""

import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import tempfile

from processes import ROOT

HERE = pathlib.Path(__file__).resolve().parent
DOCKER = ROOT / "docker"
BASE = "localhost/debian:bookworm-slim"
NAME = "localhost/rollout"
BUILD_LIMIT_S = 1800  # a build that hangs ends here; how long one takes is the machine's business


def in_root(*command):
    return [str(HERE / "with-root-mounted"), *(str(part) for part in command)]


def run(*command, **more):
    """Its output; what it said on standard error is shown when it fails."""
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=BUILD_LIMIT_S, **more)
    assert done.returncode == 0, f"{command}: {done.stdout[-3000:]}{done.stderr[-6000:]}"
    return done.stdout


def digest(root=ROOT):
    """Of all that goes to the image's build, as .dockerignore says: the same sources make the same image."""
    rules = (root / ".dockerignore").read_text().splitlines()
    left = {path for rule in rules if rule and rule[0] not in "#*!" for path in root.glob(rule)}
    made = hashlib.sha256()
    for top in sorted(root / rule[1:] for rule in rules if rule.startswith("!")):
        for path in sorted(top.rglob("*")) if top.is_dir() else [top]:
            if path.is_file() and left.isdisjoint({path, *path.parents}):
                content = hashlib.sha256(path.read_bytes()).hexdigest()
                made.update(f"{path.relative_to(root)} {path.stat().st_mode:o} {content}\n".encode())
    return made.hexdigest()[:16]


class Store:
    """Where buildah keeps images and containers. Of overlays, one build takes what another one has made, and their mounts end with each command;
    vfs copies whole systems, but what is in it can be seen from outside, and it asks nothing of the kernel."""

    def __init__(self, home, driver):
        self.home, self.driver = home / driver, driver

    def command(self, *arguments):
        mounts = ["unshare", "--mount"] if self.driver == "overlay" else []
        return in_root(*mounts, "buildah", "--storage-driver", self.driver, "--root", self.home / "store", "--runroot", self.home / "run", *arguments)

    def buildah(self, *arguments, **more):
        return run(*self.command(*arguments), env={**os.environ, "BUILDAH_ISOLATION": "chroot"}, **more).strip()

    def names(self):
        return self.buildah("images", "--format", "{{.Name}}:{{.Tag}}").split()

    def take(self, name, other):
        """Copies an image of another store."""
        with tempfile.TemporaryDirectory(dir=self.home.parent) as folder:
            other.buildah("push", "-q", name, f"dir:{folder}")
            self.buildah("tag", self.buildah("pull", "-q", f"dir:{folder}"), name)


def has_overlays(home):
    """Whether a folder on the disk of `home` can be laid over another one: not if that is an overlay itself."""
    with tempfile.TemporaryDirectory(dir=home) as folder:
        for part in ("lower", "upper", "work", "all"):
            (pathlib.Path(folder) / part).mkdir()
        tried = subprocess.run(in_root("unshare", "--mount", "mount", "-t", "overlay", "overlay", "-o",
                                       f"lowerdir={folder}/lower,upperdir={folder}/upper,workdir={folder}/work", f"{folder}/all"), capture_output=True)
        return tried.returncode == 0


class Image:
    """The image and its base in a store of their own, and a container of it that tests run programs in. ROLLOUT_IMAGE_STORE names a
    folder that keeps them: an image of the same sources is taken as it is. `beside`: another image, whose stores it takes; `etcd`: with the
    client of etcd."""

    def __init__(self, beside=None, etcd=False):
        self.beside = beside
        self.kept = beside or os.environ.get("ROLLOUT_IMAGE_STORE")
        self.home = beside.home if beside else pathlib.Path(self.kept or tempfile.mkdtemp(prefix="rollout-image."))
        self.home.chmod(0o755)
        self.store = beside.store if beside else Store(self.home, "vfs")
        self.maker = beside.maker if beside else Store(self.home, "overlay") if has_overlays(self.home) else self.store
        self.repository = f"{NAME}-etcd" if etcd else NAME
        self.name = f"{self.repository}:{digest()}"
        self.container = None
        self.arguments = ["--build-arg", "ETCD=1"] if etcd else []

    def command(self, *arguments):
        return self.store.command(*arguments)

    def buildah(self, *arguments):
        return self.store.buildah(*arguments)

    def make_base(self):
        """What debian:bookworm-slim is: Debian's smallest system, which installs packages without their documentation."""
        sources = run("apt-get", "indextargets", "--format", "deb $(REPO_URI) $(RELEASE) $(COMPONENT)", "Created-By: Packages", "Origin: Debian")
        assert " bookworm main" in sources, "the machine has no Debian 12 to install from: " + sources
        (self.home / "sources.list").write_text(sources)
        # How the machine reaches them, as by a proxy.
        options = run("apt-config", "dump", "--format", '%F "%v";%n', "Acquire::http", "Acquire::https", "Acquire::Check-Valid-Until",
                      "Acquire::Check-Date")
        (self.home / "apt.conf").write_text("".join(line + "\n" for line in options.splitlines() if not line.endswith(' "";')))
        (self.home / "dpkg.cfg").write_text("path-exclude /usr/share/doc/*\npath-include /usr/share/doc/*/copyright\n"
                                            "path-exclude /usr/share/locale/*\npath-exclude /usr/share/man/*\n")
        run("mmdebstrap", "--quiet", "--variant=minbase", "--include=usr-is-merged", "--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr",
            "--dpkgopt=force-unsafe-io", f"--aptopt={self.home}/apt.conf", f"--customize-hook=upload {self.home}/dpkg.cfg /etc/dpkg/dpkg.cfg.d/docker",
            "bookworm", self.home / "base.tar", self.home / "sources.list")
        container = self.buildah("from", "scratch")
        self.buildah("add", "-q", container, self.home / "base.tar", "/")
        self.buildah("config", "--cmd", "bash", container)
        self.buildah("commit", "-q", container, BASE)
        self.buildah("rm", container)
        (self.home / "base.tar").unlink()

    def make(self):
        """With overlays each step of the build is kept, for the next image that has the same."""
        is_other = self.maker is not self.store
        if is_other and not self.beside:
            self.maker.buildah("rmi", "--all", "--force")  # steps of older sources
        if is_other and BASE not in self.maker.names():
            self.maker.take(BASE, self.store)
        self.maker.buildah("bud", *(["--layers"] if is_other else []), "--format", "docker", "--build-arg", f"BASE={BASE}", *self.arguments,
                           "-f", DOCKER / "Dockerfile", "-t", self.name, ROOT)
        if is_other:
            self.store.take(self.name, self.maker)

    def build(self):
        there = self.store.names()
        if BASE not in there:
            self.make_base()
        if self.name not in there:
            for older in (name for name in there if name.startswith(f"{self.repository}:")):
                self.buildah("rmi", "--force", older)
            self.make()
        self.container = self.buildah("from", self.name)
        self.root = pathlib.Path(self.buildah("mount", self.container))
        self.config = json.loads(self.buildah("inspect", "--type", "image", self.name))["Docker"]["config"]
        return self

    def size(self, name=None):
        """In MB, unpacked."""
        number, unit = self.buildah("images", "--format", "{{.Size}}", name or self.name).split()
        assert unit == "MB", unit
        return float(number)

    def remove(self):
        """With all containers of the store, those of a build that failed too; one that has another image's store leaves that image its own."""
        mine = [self.container] if self.beside and self.container else [] if self.beside else ["--all"]
        if mine:
            subprocess.run(self.command("rm", *mine), capture_output=True, timeout=BUILD_LIMIT_S)
        if not self.kept:
            shutil.rmtree(self.home, ignore_errors=True)


def built(**settings):
    image = Image(**settings)
    try:
        return image.build()
    except BaseException:
        image.remove()
        raise

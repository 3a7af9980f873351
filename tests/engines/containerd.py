"""containerd on a host for engines: `ctr run --cni`, with the plugin where containerd looks for plugins."""

import hashlib
import io
import json
import tarfile

from tests.kernel.lab import INTERNAL, A, B

IMAGE = "docker.io/library/busybox:latest"
DAEMON = "containerd --root /var/lib/containerd --state /run/containerd"


def tarball(entries):
    """An archive of (name, content or None for a folder or the target of a link)."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, content in entries:
            entry = tarfile.TarInfo(name)
            entry.mode = 0o755
            if content is None:
                entry.type = tarfile.DIRTYPE
            elif isinstance(content, str):
                entry.type, entry.linkname = tarfile.SYMTYPE, content
            else:
                entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content) if isinstance(content, bytes) else None)
    return out.getvalue()


def archive(busybox, programs):
    """An OCI image of one layer, as an archive (image-layout.md of the OCI image specification)."""
    blobs = {}

    def blob(kind, content, **more):
        raw = content if isinstance(content, bytes) else json.dumps(content).encode()
        digest = hashlib.sha256(raw).hexdigest()
        blobs[f"blobs/sha256/{digest}"] = raw
        kind = f"application/vnd.oci.image.{kind}"
        return {"mediaType": kind, "digest": f"sha256:{digest}", "size": len(raw), **more}

    folders = [(name, None) for name in ("bin", "dev", "etc", "proc", "run", "sys", "tmp")]
    links = [(f"bin/{name}", "busybox") for name in programs]
    layer = blob("layer.v1.tar", tarball([*folders, ("bin/busybox", busybox), *links, ("hello", b"hello\n")]))
    rootfs = {"type": "layers", "diff_ids": [layer["digest"]]}
    config = blob("config.v1+json", {"architecture": "amd64", "os": "linux", "config": {}, "rootfs": rootfs})
    manifest = {"schemaVersion": 2, "config": config, "layers": [layer]}
    manifest["mediaType"] = "application/vnd.oci.image.manifest.v1+json"
    named = blob("manifest.v1+json", manifest, annotations={"io.containerd.image.name": IMAGE})
    index = json.dumps({"schemaVersion": 2, "manifests": [named]}).encode()
    return tarball([("oci-layout", b'{"imageLayoutVersion":"1.0.0"}'), ("index.json", index), *blobs.items()])


class Containerd:
    """containerd on a host. Its containers are on the network that use() names last, as ctr reads one file only."""

    def __init__(self, host, plugin=True):
        self.host = host
        if plugin:
            host.mydockernet("engines install cni")
        self.start()
        busybox = (host.root / "run/rootfs/bin/busybox").read_bytes()
        (host.root / "run/image.tar").write_bytes(archive(busybox, ("sh", "sleep", "ip", "wget", "httpd", "ping")))
        host.sh("ctr image import /run/image.tar")

    def start(self):
        self.host.start("containerd", DAEMON, "ctr version")

    def use(self, name, **keys):
        """Write the configuration of a network for the containers that start from now on."""
        plugin = {"type": "mydockernet", "capabilities": {"portMappings": True}, **keys}
        self.conflist = {"cniVersion": "1.0.0", "name": name, "plugins": [plugin]}
        self.host.run("tee", "/etc/cni/net.d/10-net.conflist", stdin=json.dumps(self.conflist))

    def run(self, name, command="sleep 1000", check=True):
        """Start a container in the background; returns its PID on the host."""
        done = self.host.sh(self.words("-d", name, command), check=check)
        return self.pid(name) if check else done

    def words(self, option, name, command):
        """The command line of ctr. Cgroups are the machine's: containers of other hosts have the same names."""
        cgroup = f"/{name}-{self.host.holder.pid}"
        return f"ctr run {option} --cgroup {cgroup} --snapshotter native --cni {IMAGE} {name} {command}"

    def pid(self, name):
        tasks = [line.split() for line in self.host.sh("ctr task ls").stdout.splitlines()]
        return next(pid for task, pid, *_ in tasks if task == name)

    def name(self, container, netns):
        """Let a container have a named namespace: its own."""
        self.host.sh(f"umount /run/netns/{netns}; mount --bind /proc/{self.pid(container)}/ns/net /run/netns/{netns}")


def made_by_containerd(host, driver):
    """The networks and containers of the tests of who reaches whom."""
    engine = Containerd(host)
    ports = [
        {"hostPort": port, "containerPort": 80, "protocol": protocol, "hostIP": address}
        for port, address in ((8080, ""), (8081, "127.0.0.1"))
        for protocol in ("tcp", "udp")
    ]
    a, b = {"subnets": [f"{A}.0/24", "fd00:1::/64"]}, {"subnets": [f"{B}.0/24", "fd00:2::/64"]}
    internal = {"subnets": [f"{INTERNAL}.0/24", "fd00:3::/64"], "internal": True}
    for container, network, keys in (
        ("a1", "a", {**a, "portMappings": ports}),
        ("a2", "a", a),
        ("b1", "b", b),
        ("i1", "i", internal),
        ("i2", "i", internal),
    ):
        engine.use(network, driver=driver, **keys)
        engine.run(container)
        engine.name(container, container)

"""A CNI runtime in short: what libcni passes to plugins, in which order it calls them, and what it keeps."""

import json
import os


class Refused(Exception):
    """A plugin failed; it printed an error object."""

    def __init__(self, done):
        assert done.stdout, done
        said = json.loads(done.stdout)
        self.code, self.msg, self.details = said["code"], said["msg"], said.get("details", "")
        self.version = said.get("cniVersion")  # Older plugins leave it out.
        super().__init__(f"{self.code}: {self.msg}: {self.details}")


class Runtime:
    """One list of plugins on a host, which are found in the folders of `path`."""

    def __init__(self, host, conflist, path):
        self.host, self.conflist, self.path = host, conflist, path
        self.kept = {}  # Of each attachment, by container and interface: what it was made with, and the result.

    def add(self, container, netns, ifname="eth0", args="", **capabilities):
        """Attach a container, and return the result. `capabilities` are what plugins get that declare them."""
        given, result = (f"/run/netns/{netns}", args, capabilities), None
        for plugin in self.conflist["plugins"]:
            result = json.loads(self._call("ADD", plugin, (container, ifname), *given, prevResult=result).stdout)
        self.kept[container, ifname] = (*given, result)
        return result

    def delete(self, container, ifname="eth0", netns=None):
        """Detach a container with what is kept of it, last plugin first. `netns` "" is one that is gone."""
        kept, args, capabilities, result = self.kept.get((container, ifname), ("", "", {}, None))
        given = (kept if netns is None else netns), args, capabilities
        more = {"prevResult": result} if self.conflist["cniVersion"] >= "0.4.0" else {}
        for plugin in reversed(self.conflist["plugins"]):
            assert self._call("DEL", plugin, (container, ifname), *given, **more).stdout == ""
        self.kept.pop((container, ifname), None)

    def check(self, container, ifname="eth0"):
        *given, result = self.kept[container, ifname]
        for plugin in self.conflist["plugins"]:
            assert self._call("CHECK", plugin, (container, ifname), *given, prevResult=result).stdout == ""

    def collect(self, *valid):
        """Send GC: all but these attachments are to go."""
        named = [{"containerID": container, "ifname": ifname} for container, ifname in valid]
        keys = {"cni.dev/valid-attachments": named, "cni.dev/attachments": named}
        for plugin in self.conflist["plugins"]:
            assert self._call("GC", plugin, **keys).stdout == ""

    def status(self):
        for plugin in self.conflist["plugins"]:
            assert self._call("STATUS", plugin).stdout == ""

    def _call(self, command, plugin, attachment=None, netns="", args="", capabilities=None, **keys):
        config = {k: v for k, v in plugin.items() if k != "capabilities"} | {
            "cniVersion": self.conflist["cniVersion"],
            "name": self.conflist["name"],
            **{key: value for key, value in keys.items() if value is not None},
        }
        declared = {key for key, wanted in plugin.get("capabilities", {}).items() if wanted}
        if passed := {key: value for key, value in (capabilities or {}).items() if key in declared}:
            config["runtimeConfig"] = passed
        env = {"CNI_COMMAND": command, "CNI_PATH": self.path}
        if attachment:
            container, ifname = attachment
            env |= {"CNI_CONTAINERID": container, "CNI_IFNAME": ifname, "CNI_NETNS": netns, "CNI_ARGS": args}
        places = [f"{folder}/{plugin['type']}" for folder in self.path.split(":")]
        program = next(place for place in places if os.path.lexists(self.host.root / place.lstrip("/")))
        done = self.host.run(program, stdin=json.dumps(config), env=env, check=False)
        if done.returncode:
            raise Refused(done)
        return done

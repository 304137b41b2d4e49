"""A `docker` for tests: it runs a program of Python where Docker would run a container, and really serves."""

from __future__ import annotations

import sys
from pathlib import Path

P_MALIGNANT = 0.25
"""What its containers say of every instance."""

PROGRAM = '''#!{python}
"""version, image inspect, pull, run, stop and rm; every command line is noted in `calls`."""
import http.server, json, os, pathlib, signal, sys, time

home = pathlib.Path({home!r})
images, containers = home / "images", home / "containers"
with (home / "calls").open("a") as calls:
    print(json.dumps(sys.argv[1:]), file=calls)


def fail(text, status=1):
    print(text, file=sys.stderr)
    sys.exit(status)


def image_of(uri):
    return images / uri.replace("/", "_")


class Server(http.server.BaseHTTPRequestHandler):
    options = {{}}

    def do_GET(self):
        self.answer({{}})

    def do_POST(self):
        instances = json.loads(self.rfile.read(int(self.headers["content-length"])))["instances"]
        mounted = self.options.get("--volume", "").split(":")
        weights = sorted(it.name for it in pathlib.Path(mounted[0]).rglob("*") if it.is_file()) if mounted[0] else []
        label = {{"label": "benign", "p_malignant": {says}, "weights": weights, "env": self.options["--env"]}}
        self.answer({{"predictions": [label for _ in instances]}})

    def answer(self, document):
        body = json.dumps(document).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        print("served", self.path, flush=True)


def run(arguments):
    options = {{"--env": []}}
    while arguments[0].startswith("--"):
        name = arguments.pop(0)
        if name == "--rm":
            continue
        value = arguments.pop(0)
        if name == "--env":
            options["--env"].append(value)
        else:
            options[name] = value
    image, command = arguments
    if image_of(image).read_text() == "broken":
        fail("exec /usr/bin/serve: no such file or directory", 127)
    assert command == "serve"
    host, port, inside = options["--publish"].split(":")
    assert inside == "8080"
    (containers / options["--name"]).write_text(str(os.getpid()))
    Server.options = options
    http.server.ThreadingHTTPServer((host, int(port)), Server).serve_forever()


match sys.argv[1:]:
    case ["version", *_]:
        if (home / "down").exists():
            fail("Cannot connect to the Docker daemon")
        print("28.0.0")
    case ["image", "inspect", uri]:
        if not image_of(uri).exists():
            fail("No such image: " + uri)
    case ["pull", "--quiet", uri]:
        if "absent" in uri:
            fail("no basic auth credentials")
        image_of(uri).write_text("broken" if "broken" in uri else "works")
    case ["run", *rest]:
        run(rest)
    case ["stop", "-t", _, name] | ["rm", "--force", name]:
        file = containers / name
        if not file.exists():
            fail("No such container: " + name)
        try:
            os.kill(int(file.read_text()), signal.SIGKILL)
        except ProcessLookupError:
            pass
        file.unlink(missing_ok=True)
    case other:
        fail("unknown: " + " ".join(other))
'''


def install(folder: Path) -> Path:
    """Puts `docker` into a new folder `bin` of `folder`, and gives that; what it keeps lies in `folder` too."""
    for name in ("bin", "images", "containers"):
        (folder / name).mkdir(parents=True)
    program = folder / "bin" / "docker"
    program.write_text(PROGRAM.format(python=sys.executable, home=str(folder), says=P_MALIGNANT))
    program.chmod(0o755)
    return program.parent

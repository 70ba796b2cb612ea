# Runs the clients' own main functions, again and again in one process, as
# told on standard input: a JSON object a line with program, args and env. The
# answer is one with code, out and err. A program of its own for every command
# would spend a minute on importing.
import contextlib
import importlib.metadata
import io
import json
import os
import sys
import traceback

requests = os.fdopen(os.dup(0))
answers = os.fdopen(os.dup(1), "w", buffering=1)
# The clients take a standard input that is no terminal for image data.
terminal, other = os.openpty()
os.dup2(other, 0)
sys.stdin = os.fdopen(other)


def openstack(args):
    from openstackclient import shell
    return shell.main(args)


def glance(args):
    from glanceclient import shell
    return shell.OpenStackImagesShell().main(args)


def commands(args):
    """What there is to try, a line each."""
    if args == ["openstack"]:
        points = importlib.metadata.entry_points()
        group = points.select(group="openstack.image.v2")
        names = sorted({p.name.replace("_", " ") for p in group})
    else:
        from glanceclient.v2 import shell
        names = [n[3:].replace("_", "-") for n in dir(shell) if n.startswith("do_")]
    print("\n".join(names))


programs = {"openstack": openstack, "glance": glance, "commands": commands}


def run(order):
    os.environ.update(order["env"])
    out, err, code = io.StringIO(), io.StringIO(), 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = programs[order["program"]](order["args"]) or 0
        except SystemExit as e:
            code = e.code or 0
            if isinstance(code, str):
                print(code, file=sys.stderr)
                code = 1
        except BaseException as e:
            # The glance command does this around its main.
            print(e, file=sys.stderr)
            if order["program"] != "glance":
                traceback.print_exc()
            code = 1
    return {"code": code, "out": out.getvalue(), "err": err.getvalue()}


for line in iter(requests.readline, ""):
    print(json.dumps(run(json.loads(line))), file=answers)

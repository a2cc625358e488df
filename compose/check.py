"""Checks that the files of this folder are well-formed and fit each other. Called by check.sh; needs Python 3.8.

What needs a package that may be missing (PyYAML; tomllib before Python 3.11) is left out, and that is said.
"""

import json
import re
import sys
from pathlib import Path

try:
    import yaml
except ImportError:
    yaml = None
try:
    import tomllib
except ImportError:
    tomllib = None

HERE = Path(__file__).resolve().parent
METRICS = HERE.parent / "host/engine/src/metrics.rs"
problems = []


def expect(condition, message):
    if not condition:
        problems.append(message)


def read(path):
    return (HERE / path).read_text(encoding="utf-8")


def metric_names():
    """All time series that the server has, from the one file that names its metrics."""
    source = METRICS.read_text(encoding="utf-8")
    fields = dict(re.findall(r"pub (\w+): (.+),", source))
    names = set()
    registered = r'registry\.register(_with_unit)?\(\s*"(\w+)",.*?self\.(\w+)\.clone\(\),?\s*\)'
    for unit, name, field in re.findall(registered, source, re.S):
        name = f"assay_{name}" + ("_seconds" if unit else "")
        kind = fields[field]
        if "Histogram" in kind:
            names |= {f"{name}_bucket", f"{name}_sum", f"{name}_count"}
        else:
            names.add(f"{name}_total" if "Counter" in kind else name)
    expect(len(names) > 10, f"found only {sorted(names)} in {METRICS}: does the pattern in check.py still fit it?")
    return names


def check_metrics(where, expressions, known):
    for expression in expressions:
        for name in re.findall(r"\bassay_\w+", expression):
            expect(name in known, f"{where}: the server has no metric {name}")


def check_dashboards(known):
    uids = set()
    for path in sorted((HERE / "grafana/dashboards").glob("*.json")):
        board = json.loads(path.read_text(encoding="utf-8"))
        expect(board["uid"] not in uids, f"{path.name}: its uid {board['uid']} is another dashboard's")
        uids.add(board["uid"])
        ids = [panel["id"] for panel in board["panels"]]
        expect(len(ids) == len(set(ids)), f"{path.name}: two panels have the same id")
        variables = {variable["name"] for variable in board["templating"]["list"]}
        for panel in board["panels"]:
            where = f"{path.name}, panel '{panel['title']}'"
            expect(panel["type"] == "row" or panel.get("targets"), f"{where}: it asks for nothing")
            for target in panel.get("targets", []):
                source, text = target["datasource"]["uid"], target.get("expr") or target.get("query")
                expect(source in ("prometheus", "influxdb"), f"{where}: there is no datasource {source}")
                if source == "prometheus":
                    check_metrics(where, [text], known)
                for name in re.findall(r"\$\{?([a-z]\w*)", text):
                    expect(name in variables, f"{where}: the dashboard has no variable {name}")
    expect(uids, "grafana/dashboards: there are none")
    return f"{len(uids)} dashboards"


def check_tasks():
    tasks = sorted((HERE / "influxdb/tasks").glob("*.flux"))
    for path in tasks:
        text = path.read_text(encoding="utf-8")
        named = re.search(r'option task = \{name: "(\w+)", every: \w+, offset: \w+\}', text)
        # The setup finds a task by its file's name.
        expect(named and named[1] == path.stem, f"{path.name}: `option task` must have the file's name")
        expect('to(bucket: "assay_1m"' in text, f"{path.name}: it writes nothing to assay_1m")
    return f"{len(tasks)} tasks"


def check_alerts(known):
    if yaml is None:
        return "alerts not read (no PyYAML)"
    for path in sorted((HERE / "prometheus").glob("*.yml")) + sorted((HERE / "grafana/provisioning").rglob("*.yml")):
        yaml.safe_load(path.read_text(encoding="utf-8"))
    rules = [rule for group in yaml.safe_load(read("prometheus/alerts.yml"))["groups"] for rule in group["rules"]]
    for rule in rules:
        check_metrics(f"alert {rule['alert']}", [rule["expr"]], known)
        for key in ("summary", "description"):
            expect(rule["annotations"].get(key), f"alert {rule['alert']}: it has no {key}")
    return f"{len(rules)} alerts"


def check_compose():
    if yaml is None:
        return "compose.yaml not read (no PyYAML)"
    text = read("compose.yaml")
    settings = dict(re.findall(r"^(\w+)=(.*)$", read(".env"), re.M))
    for name in set(re.findall(r"(?<!\$)\$\{(\w+)\}", text)):
        expect(settings.get(name), f"compose.yaml uses {name}, which .env does not set")
    for name, value in settings.items():
        expect(name in text, f".env sets {name}, which compose.yaml does not use")
        expect(not name.endswith("_IMAGE") or ":" in value, f".env: {name} has no version")
        expect("latest" not in value, f".env: {name} must name a version")

    stack = yaml.safe_load(text)
    services = stack["services"]
    waited_for = {
        name
        for service in services.values()
        for name, how in service.get("depends_on", {}).items()
        if how["condition"] == "service_completed_successfully"
    }
    volumes, secrets = set(), set()
    for name, service in services.items():
        # A service that ends is one that others wait for, or a command that a person runs.
        ends = name in waited_for or service.get("profiles") == ["cli"]
        expect(ends or "healthcheck" in service, f"{name}: it has no health check")
        expect(ends or service.get("restart") == "unless-stopped", f"{name}: it does not restart")
        limits = service.get("deploy", {}).get("resources", {}).get("limits", {})
        expect({"cpus", "memory"} <= set(limits), f"{name}: it has no limits of CPU and memory")
        for port in service.get("ports", []):
            expect(port.startswith("127.0.0.1:"), f"{name}: port {port} is open to other machines")
        for other, how in service.get("depends_on", {}).items():
            expect(other in services, f"{name}: it depends on {other}, which is not there")
            healthy = how["condition"] == "service_healthy" and "healthcheck" in services.get(other, {})
            expect(healthy or other in waited_for, f"{name}: it waits for {other} by {how['condition']}")
        for mount in service.get("volumes", []):
            source = mount.split(":")[0]
            if source.startswith("."):
                expect((HERE / source).exists(), f"{name}: {source} is mounted and is not there")
            else:
                volumes.add(source)
        secrets |= set(service.get("secrets", []))
        for secret in re.findall(r"/run/secrets/(\w+)", json.dumps(service)):
            expect(secret in service.get("secrets", []), f"{name}: it reads the secret {secret} without having it")
    expect(volumes == set(stack["volumes"]), f"volumes: {volumes ^ set(stack['volumes'])} named or used only")
    expect(secrets == set(stack["secrets"]), f"secrets: {secrets ^ set(stack['secrets'])} named or used only")
    made = set(re.findall(r"^secret (\w+)", read("up.sh"), re.M))
    expect(made == set(stack["secrets"]), f"secrets: {made ^ set(stack['secrets'])} made by up.sh or used only")
    check_config(set(services["assay-1"]["secrets"]))
    return f"{len(services)} services"


def check_config(secrets):
    for secret in re.findall(r"/run/secrets/(\w+)", read("assay/assay.toml")):
        expect(secret in secrets, f"assay.toml reads the secret {secret}, which the servers do not have")
    if tomllib is None:
        print("skipped: assay.toml as TOML (Python before 3.11)")
    else:
        tomllib.loads(read("assay/assay.toml"))


known = metric_names()
done = [check_dashboards(known), check_tasks(), check_alerts(known), check_compose()]
for problem in problems:
    print(f"error: {problem}", file=sys.stderr)
if problems:
    sys.exit(1)
print(f"ok: {', '.join(done)}")

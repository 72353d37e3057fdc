"""The Grafana board and the alerts of contrib/, run by Debian's Prometheus over what a real server tells it."""

import json
import pathlib
import re
import shutil
import subprocess
import tempfile
import urllib.parse

import pytest

from lab.tunnels import random_key
from lib import wait
from lib.netns import stop

ROOT = pathlib.Path(__file__).resolve().parents[2]
BOARD = ROOT / "contrib/grafana/vprox.json"
ALERTS = ROOT / "contrib/prometheus/alerts.yml"
METRICS, PROMETHEUS = "127.0.0.1:9750", "127.0.0.1:9090"
LAST = 'vprox_requests_total{path="/disconnect"}'  # what a test asks for last
NAME = re.compile(r"\b(?:vprox|process)_\w+\b")
CONFIGURATION = f"""
global: {{scrape_interval: 1s, evaluation_interval: 1s}}
rule_files: [{ALERTS}]
scrape_configs: [{{job_name: vprox, static_configs: [{{targets: ["{METRICS}"]}}]}}]
"""
# What makes each alert fire that is there for an hour.
BAD = """
  - {series: 'up{job="vprox",instance="a"}', values: '0x60'}
  - {series: 'vprox_endpoint_up{instance="b",endpoint="203.0.113.7"}', values: '0x60'}
  - {series: 'vprox_gate_up{instance="b",gate="0"}', values: '0x60'}
  - {series: 'vprox_process_restarts_total{instance="b",process="gate",number="0"}', values: '0+1x60'}
  - {series: 'vprox_process_up{instance="b",process="holder",number="0"}', values: '0x60'}
  - {series: 'vprox_device_losses_total{instance="b",endpoint="203.0.113.7"}', values: '0+1x60'}
  - {series: 'vprox_pool_addresses{instance="b",endpoint="203.0.113.7"}', values: '100x60'}
  - {series: 'vprox_pool_addresses_taken{instance="b",endpoint="203.0.113.7"}', values: '95x60'}
  - {series: 'vprox_refusals_total{instance="b",reason="pool"}', values: '0+1x60'}
  - {series: 'vprox_refusals_total{instance="b",reason="password"}', values: '0+100x60'}
  - {series: 'vprox_refusals_total{instance="b",reason="failed"}', values: '0+2x60'}
  - {series: 'vprox_request_duration_seconds_bucket{instance="b",path="/connect",le="5"}', values: '0x60'}
  - {series: 'vprox_request_duration_seconds_bucket{instance="b",path="/connect",le="10"}', values: '0+9x60'}
  - {series: 'vprox_request_duration_seconds_bucket{instance="b",path="/connect",le="+Inf"}', values: '0+9x60'}
  - {series: 'vprox_tracked_connections_full{instance="b"}', values: '1x60'}
  - {series: 'vprox_tracked_connections{instance="b"}', values: '90x60'}
  - {series: 'vprox_tracked_connections_max{instance="b"}', values: '100x60'}
  - {series: 'vprox_clashed_connections_total{instance="b"}', values: '0+100x60'}
  - {series: 'vprox_store_up{instance="b"}', values: '0x60'}
  - {series: 'vprox_store_lag_seconds{instance="b"}', values: '60x60'}
  - {series: 'vprox_clock_behind_seconds{instance="b",endpoint="203.0.113.7"}', values: '3x60'}
"""


def promtool(*arguments):
    done = subprocess.run(["promtool", *map(str, arguments)], text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, check=False)
    assert done.returncode == 0, done.stdout
    return done.stdout


def alert_names():
    return re.findall(r"^ +- alert: (\w+)$", ALERTS.read_text(), re.MULTILINE)


def board_queries():
    """Of all panels and variables, as Grafana would ask them with "All" chosen."""
    board = json.loads(BOARD.read_text())
    queries = [target["expr"] for panel in board["panels"] for target in panel.get("targets", ())]
    for variable in board["templating"]["list"]:
        if variable["type"] == "query":
            queries.append(re.fullmatch(r"label_values\((\w+), \w+\)", variable["definition"])[1])
    return [query.replace("$__rate_interval", "1m").replace("$instance", ".*") for query in queries]


class Prometheus:
    """Runs in a host's namespace, and scrapes its server every second."""

    def __init__(self, host):
        self.ns = host.ns
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="vprox-prometheus-"))
        (self.folder / "prometheus.yml").write_text(CONFIGURATION)
        with open(self.folder / "log", "wb") as log:
            self.process = self.ns.popen(
                ["prometheus", f"--config.file={self.folder}/prometheus.yml", f"--storage.tsdb.path={self.folder}/data",
                 f"--web.listen-address={PROMETHEUS}"], stdout=log, stderr=log)

    def close(self):
        stop(self.process)
        shutil.rmtree(self.folder, ignore_errors=True)

    def get(self, path, **parameters):
        url = f"http://{PROMETHEUS}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        return json.loads(self.ns.run(["curl", "-s", url]))

    def ask(self, query):
        answer = self.get("query", query=query)
        assert answer["status"] == "success", (query, answer)
        return answer["data"]["result"]

    def has_scraped(self, times):
        assert self.process.poll() is None, (self.folder / "log").read_text()
        if self.ns.try_run(["curl", "-s", f"http://{PROMETHEUS}/-/ready"]).returncode:
            return False
        found = self.get("query", query=f"min(count_over_time({LAST}[1h]))").get("data", {}).get("result")
        return bool(found) and int(found[0]["value"][1]) >= times


@pytest.fixture(name="prometheus")
def fixture_prometheus(host):
    prometheus = Prometheus(host)
    yield prometheus
    prometheus.close()


@pytest.mark.only("embedded", reason="what a server tells is the same on both planes, and Prometheus is large")
def test_every_query_of_board_and_alerts_finds_what_it_asks_for(host, client, prometheus):
    host.start(f"--metrics={METRICS}")
    api, key = host.api(client), random_key()
    assert api.connect(key).status == api.connect_ipip().status == api.disconnect(key).status == 200
    wait.until(lambda: prometheus.has_scraped(4), 120, "it has scraped the server")
    there = set(prometheus.get("label/__name__/values")["data"])
    queries = board_queries()
    assert len(queries) > 20
    for query in queries:
        assert set(NAME.findall(query)) <= there, query
        assert prometheus.ask(query), query

    def rules():
        return [rule for group in prometheus.get("rules")["data"]["groups"] for rule in group["rules"]]
    wait.until(lambda: all((rule["health"], rule["alerts"]) == ("ok", []) for rule in rules()), 60,
               lambda: f"a server that is well alerts nobody: {rules()}")
    assert [rule["name"] for rule in rules()] == alert_names()
    for rule in rules():
        assert set(NAME.findall(rule["query"])) <= there, rule["query"]


def test_promtool_accepts_the_alerts():
    assert f"{len(alert_names())} rules found" in promtool("check", "rules", ALERTS)


def test_each_alert_fires_when_it_should(tmp_path):
    expected = "".join(f"\n    - {{labels: '{{alertname=\"{name}\"}}', value: 1}}" for name in alert_names())
    (tmp_path / "test.yml").write_text(
        f"rule_files: [{ALERTS}]\nevaluation_interval: 1m\ntests:\n- interval: 1m\n  input_series:{BAD}"
        "  promql_expr_test:\n  - expr: 'group by (alertname) (ALERTS{alertstate=\"firing\"})'\n    eval_time: 50m\n"
        f"    exp_samples:{expected}\n")
    assert "SUCCESS" in promtool("test", "rules", tmp_path / "test.yml")

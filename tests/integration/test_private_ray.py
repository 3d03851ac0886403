"""The Ray of a run is that run's alone, whatever the environment and plugins say, and its death is said."""

import os
import stat
import time

import pytest
from running import started, temporary_folder, write_folder
from test_runs import check_that_ray_is_private

OPENING = {
    "RAY_AUTH_MODE": "disabled",
    "RAY_AUTH_TOKEN": "known",
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "1",
    "RAY_NODE_IP_ADDRESS": "0.0.0.0",
    "RAY_REDIS_ADDRESS": "192.0.2.1:6379",
    "RAY_ADDRESS": "local",
    "RAY_RUNTIME_ENV_HOOK": "nothing.of.that_name",
    "RAY_JOB_CONFIG_JSON_ENV_VAR": '{"code_search_path": ["/nowhere"]}',
    "RAY_DASHBOARD_AGENT_LISTEN_ADDRESS": "0.0.0.0",
    "RAY_object_spilling_config": "nonsense",
}
"""What would open a private Ray, lead it elsewhere or keep it from starting."""

HEAD = """
import os
os.environ.update(RAY_AUTH_MODE="disabled", RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER="1")
import ray
"""
"""A plugin that asks for an open Ray, and imports it before the run does."""
SLOW = ("--methods", "mine,mine[ridge=2],mine[ridge=3]", "--splits", 6, "--seeds", 4, "--no-validation", "--workers", 2)
DEATHS = {"raylet": "its raylet", "gcs_server": "its control service"}


@pytest.mark.slow  # a Ray is killed
@pytest.mark.parametrize("victim", ["raylet", "gcs_server"])
def test_a_private_ray_stays_private_and_its_death_ends_the_run(tmp_path, victim):
    """In an environment that would open it, and with a plugin that imports Ray under such settings, a private Ray
    listens on the loopback interface alone, behind a token, in a folder of mode 0700. When a process that it needs is
    killed, the run ends with 2 and one line, its records stay, and its folder goes."""
    write_folder(tmp_path, head=HEAD, mine="time.sleep(0.3)")
    records = tmp_path / "s/records.jsonl"
    with temporary_folder() as temporary:
        env = {**(OPENING if victim == "raylet" else {}), "RAY_TMPDIR": str(temporary)}
        with started(tmp_path, *SLOW, "--store", "s", "--address", "local", **env) as run:
            run.wait_for_records(2, records)
            check_that_ray_is_private(run.processes())
            (folder,) = temporary.glob("zslray-*")
            assert (folder.stat().st_uid, stat.S_IMODE(folder.stat().st_mode)) == (os.geteuid(), 0o700)
            kept = records.read_bytes()
            (process,) = (number for number, name in run.processes().items() if name == victim)
            os.kill(process, 9)
            killed = time.monotonic()
            ended = run.end()
            assert time.monotonic() - killed < 30
        assert (ended.code, ended.stdout) == (2, "")
        said = f"zslbench: the private Ray of this run died ({DEATHS[victim]} ended); what was finished is stored, run"
        assert said in ended.stderr
        assert records.read_bytes().startswith(kept)
        assert list(temporary.glob("zslray-*")) == []


def test_the_environment_is_the_user_s_again_afterwards(monkeypatch):
    """Settings of a private Ray hold for its time; what the user had is back then, and a cluster's are not touched."""
    from zslbench.runner.cluster import Where, private_environment

    for name, value in OPENING.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("RAY_memory_usage_threshold", "0.9")
    before = dict(os.environ)
    with private_environment(Where()):
        inside = {name: value for name, value in os.environ.items() if name.startswith("RAY_")}
        os.environ["RAY_AUTH_MODE"] = "disabled"
    assert dict(os.environ) == before
    assert set(OPENING.values()) & set(inside.values()) == set()
    assert (inside["RAY_AUTH_MODE"], inside["RAY_memory_usage_threshold"]) == ("token", "0.9")
    for other in (Where(address="10.0.0.1:6379"), Where(workers=0)):
        with private_environment(other):
            assert dict(os.environ) == before

"""The cluster files, read as Ray, the shell and the command line read them; nothing is launched or contacted."""

import importlib
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from types import ModuleType

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from ray_defense.cli.parser import parse
from ray_defense.pipeline.recipes import RECIPES

ROOT = Path(__file__).resolve().parent.parent
AWS, ON_PREMISE = ROOT / "cluster.yaml", ROOT / "deploy" / "on_premise.yaml"
JOB, DOCKERFILE = ROOT / "deploy" / "rayjob.yaml", ROOT / "deploy" / "Dockerfile"
LAUNCHERS = pytest.mark.parametrize("path", [AWS, ON_PREMISE], ids=lambda path: path.stem)
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
COMMANDS = (
    "initialization_commands", "setup_commands", "head_setup_commands", "worker_setup_commands", "head_start_ray_commands",
    "worker_start_ray_commands",
)  # fmt: skip


def ray_module(name: str) -> ModuleType:
    """A module of Ray, imported when a test wants it, and after what sets the variables that Ray reads then."""
    importlib.import_module("ray_defense.cluster")
    return importlib.import_module(name)


def load(path: Path) -> dict:
    return yaml.safe_load(path.read_text())


def prepared(path: Path) -> dict:
    """The file with Ray's defaults filled in."""
    return ray_module("ray.autoscaler._private.util").prepare_config(load(path))


def ray_starts(config: dict, role: str) -> list[tuple[str, list[str]]]:
    """What stands before `ray start`, and its arguments, of each command that starts Ray on the head or on a worker."""
    split = [command.split("ray start ") for command in config[f"{role}_start_ray_commands"] if "ray start " in command]
    return [(before, shlex.split(arguments)) for before, arguments in split]


def job() -> dict:
    (found,) = [part for part in yaml.safe_load_all(JOB.read_text()) if part["kind"] == "RayJob"]
    return found["spec"]


def pods() -> list[dict]:
    """The pod specifications of the head and of every worker group."""
    cluster = job()["rayClusterSpec"]
    return [group["template"]["spec"] for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"])]


def pipelines() -> list[str]:
    """Every `jobs/pipeline.py ...` that the cluster files run or advise."""
    lines = [line for path in (AWS, ON_PREMISE, JOB) for line in path.read_text().splitlines()]
    return [line[line.index("jobs/pipeline.py") :] for line in lines if "jobs/pipeline.py" in line]


def provider_keys(kind: str) -> set[str]:
    """What Ray's own code reads, or sets by default, under `provider` of this type."""
    autoscaler = Path(ray_module("ray.autoscaler").__file__).parent
    code = [autoscaler / "_private" / f"{name}.py" for name in ("autoscaler", "commands", "updater", "providers")]
    code += (autoscaler / "_private" / kind).glob("*.py")
    read = re.compile(r"""provider(?:_config|_cfg|"\]|", \{\}\))(?:\[|\.get\(\s*)"(\w+)""")
    return {key for path in code for key in read.findall(path.read_text())} | set(
        load(autoscaler / kind / "defaults.yaml").get("provider", {})
    )


@LAUNCHERS
def test_ray_accepts_the_launcher_file(path):
    ray_module("ray.autoscaler._private.util").validate_config(prepared(path))


@LAUNCHERS
def test_ray_reads_every_provider_key(path):
    provider = load(path)["provider"]
    known = provider_keys(provider["type"])
    assert set(provider) <= known and not {"regoin", "head_node_ip"} & known


def test_ec2_understands_the_launch_of_every_node_type():
    validate = pytest.importorskip("botocore.validate")
    from botocore.session import Session

    shape = Session().get_service_model("ec2").operation_model("RunInstances").input_shape
    for name, node in load(AWS)["available_node_types"].items():
        report = validate.ParamValidator().validate({**node["node_config"], "MinCount": 1, "MaxCount": 1}, shape)
        unknown = set(node["node_config"]) - set(shape.members)
        assert not report.has_errors() and not unknown, (name, report.generate_report(), unknown)


def test_the_head_takes_no_work_and_every_other_node_has_a_gpu():
    config = prepared(AWS)
    nodes = dict(config["available_node_types"])
    head = nodes.pop(config["head_node_type"])
    assert head["resources"] == {"CPU": 0} and head["max_workers"] == 0
    assert nodes and all(node["resources"]["GPU"] >= 1 and node["resources"]["CPU"] >= 1 for node in nodes.values())
    assert all(0 <= node["min_workers"] <= node["max_workers"] <= config["max_workers"] for node in nodes.values())
    assert "InstanceMarketOptions" not in head["node_config"]  # a reclaimed head ends the cluster


def test_the_head_on_premise_takes_no_work():
    ((_, arguments),) = ray_starts(load(ON_PREMISE), "head")
    assert {"--num-cpus=0", "--num-gpus=0"} <= set(arguments)


@LAUNCHERS
@pytest.mark.parametrize("role", ["head", "worker"])
def test_ray_starts_once_with_the_token_and_options_that_ray_knows(path, role):
    ((before, arguments),) = ray_starts(prepared(path), role)
    exported = shlex.split(before.partition("export ")[2].rstrip("; "))
    assert {"RAY_AUTH_MODE=token", "RAY_USAGE_STATS_ENABLED=0"} <= set(exported)
    start = ray_module("ray.scripts.scripts").start
    options = start.make_context("start", list(arguments)).params
    assert options["head"] == (role == "head")
    if role == "head":
        assert options["dashboard_host"] == "127.0.0.1" and options["autoscaling_config"] == "~/ray_bootstrap_config.yaml"
    else:
        ((_, head),) = ray_starts(prepared(path), "head")
        assert options["address"] == f"$RAY_HEAD_IP:{start.make_context('start', list(head)).params['port']}"


@LAUNCHERS
def test_no_command_opens_a_port_to_all_or_installs_another_ray(path):
    commands = [command for key in COMMANDS for command in prepared(path)[key]]
    assert len(commands) > 10 and not [command for command in commands if "0.0.0.0" in command]
    installed = [command for command in commands if "pip install" in command]
    assert any(command.endswith('--editable "$HOME/ray-defense[ffcv,hpo]"') for command in installed)
    assert not [command for command in installed if re.search(r"\bray(?!-defense)\b", command)]


@LAUNCHERS
def test_the_token_reaches_every_node_as_a_file_that_its_owner_alone_reads(path):
    config = load(path)
    (remote,) = [remote for remote, local in config["file_mounts"].items() if local == "~/.ray/auth_token"]
    assert remote.endswith("/.ray/auth_token") and re.match(r"(~|/home/ubuntu)/", remote)
    assert any("chmod 600 ~/.ray/auth_token" in command for command in config["initialization_commands"])


@pytest.mark.parametrize("path", [AWS, ON_PREMISE, JOB, DOCKERFILE], ids=lambda path: path.name)
def test_no_cluster_file_holds_a_secret(path):
    secret = re.compile(r"\b[0-9a-fA-F]{32,}\b|\bAKIA[0-9A-Z]{16}\b|PRIVATE KEY|RAY_AUTH_TOKEN\s*[=:]|aws_secret|stringData")
    assert not secret.findall(path.read_text())


@pytest.mark.parametrize("path", [AWS, ON_PREMISE, JOB], ids=lambda path: path.name)
def test_what_is_to_be_filled_in_is_what_the_top_lists(path):
    listed = re.findall(r"^#   (\S*FILL_IN)\b", path.read_text(), re.MULTILINE)
    body = "\n".join(line for line in path.read_text().splitlines() if not line.startswith("#"))
    assert listed and set(listed) == set(re.findall(r"[\w-]*FILL_IN", body))


def copied(path: Path) -> list[str]:
    """What of this repository the file copies before it installs the project."""
    if path != DOCKERFILE:
        return [local for local in load(path)["file_mounts"].values() if not local.startswith("~")]
    before = path.read_text().partition("RUN pip install")[0]
    return [name for line in re.findall(r"^COPY (.+)$", before, re.MULTILINE) for name in line.split()[:-1]]


@pytest.mark.parametrize("path", [AWS, ON_PREMISE, DOCKERFILE], ids=lambda path: path.name)
def test_what_is_copied_is_enough_to_install(path, tmp_path):
    assert {PROJECT["readme"], *PROJECT["license-files"]} <= set(copied(path))
    for name in copied(path):
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, tmp_path / name)
    code = "from setuptools import build_meta; build_meta.build_wheel('.')"
    built = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr[-2000:]
    (wheel,) = tmp_path.glob("*.whl")
    inside = {name for name in zipfile.ZipFile(wheel).namelist() if name.startswith("ray_defense/")}
    package = (file.relative_to(ROOT) for file in (ROOT / "ray_defense").rglob("*") if file.suffix in (".py", ".j2", ".png"))
    assert {str(file) for file in package} <= inside


@pytest.mark.parametrize("path", [AWS, ON_PREMISE, DOCKERFILE], ids=lambda path: path.name)
def test_the_packages_that_build_ffcv_are_those_of_run_sh(path):
    (packages,) = re.findall(r"packages='(.+)'", (ROOT / "run.sh").read_text())
    installed = path.read_text().partition("--no-install-recommends")[2].split("\n    -")[0].split()
    assert set(packages.split()) <= set(installed)


def test_the_image_has_a_python_that_the_project_takes_and_installs_ffcv():
    (version,) = re.findall(r"^FROM python:([\d.]+)", DOCKERFILE.read_text(), re.MULTILINE)
    assert version in SpecifierSet(PROJECT["requires-python"])
    assert 'pip install --no-cache-dir ".[ffcv,hpo]"' in DOCKERFILE.read_text() and "ffcv" in PROJECT["optional-dependencies"]


def test_the_job_runs_the_ray_that_the_project_pins():
    (pin,) = [need for need in map(Requirement, PROJECT["dependencies"]) if need.name == "ray"]
    assert job()["rayClusterSpec"]["rayVersion"] in pin.specifier


def test_the_job_has_the_fields_that_kuberay_knows():
    spec, cluster = job(), job()["rayClusterSpec"]
    assert spec["shutdownAfterJobFinishes"] is True and spec["backoffLimit"] >= 1
    assert set(spec) == {"entrypoint", "shutdownAfterJobFinishes", "ttlSecondsAfterFinished", "backoffLimit", "rayClusterSpec"}
    known = {"rayVersion", "authOptions", "enableInTreeAutoscaling", "headGroupSpec", "workerGroupSpecs"}
    assert set(cluster) == known and cluster["authOptions"] == {"mode": "token"}
    assert set(cluster["headGroupSpec"]) == {"serviceType", "rayStartParams", "template"}
    assert cluster["headGroupSpec"]["rayStartParams"] == {"num-cpus": "0"}  # text: KubeRay refuses numbers here
    for group in cluster["workerGroupSpecs"]:
        assert set(group) == {"groupName", "replicas", "minReplicas", "maxReplicas", "rayStartParams", "template"}
        assert 1 <= group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]


def test_every_pod_of_the_job_has_the_same_image_and_workers_have_gpus():
    (head,), *workers = [pod["containers"] for pod in pods()]
    assert "nvidia.com/gpu" not in head["resources"]["limits"] and workers
    for (worker,) in workers:
        assert worker["image"] == head["image"] and worker["env"] == head["env"]
        assert worker["resources"]["limits"]["nvidia.com/gpu"] >= 1
    assert all(isinstance(variable["value"], str) for variable in head["env"])  # Kubernetes refuses numbers here


def test_every_pod_of_the_job_mounts_store_and_data_from_a_claim_that_many_may_write():
    (claim,) = [part for part in yaml.safe_load_all(JOB.read_text()) if part["kind"] == "PersistentVolumeClaim"]
    assert claim["spec"]["accessModes"] == ["ReadWriteMany"]
    _, options = parse(["run", *shlex.split(job()["entrypoint"])[2:]])
    for pod in pods():
        ((name, source),) = [(volume["name"], volume["persistentVolumeClaim"]) for volume in pod["volumes"]]
        assert source["claimName"] == claim["metadata"]["name"]
        mounts = {mount["mountPath"]: mount["name"] for mount in pod["containers"][0]["volumeMounts"]}
        assert mounts == {options.work.store: name, options.work.data_root: name}


def test_the_entrypoint_is_a_script_that_the_image_holds_where_jobs_start():
    python, script, *_ = shlex.split(job()["entrypoint"])
    assert python == "python" and (ROOT / script).is_file()
    assert f"COPY {Path(script).parent} {Path(script).parent}\n" in DOCKERFILE.read_text()
    (folder,) = re.findall(r"^WORKDIR (.+)$", DOCKERFILE.read_text(), re.MULTILINE)
    assert folder.startswith("/") and all("workingDir" not in pod["containers"][0] for pod in pods())


def test_every_pipeline_named_in_the_cluster_files_is_one_that_the_command_line_takes():
    found = pipelines()
    assert len(found) >= 2
    for line in found:
        command, options = parse(["run", *shlex.split(line)[1:]])
        assert command == "run" and options.work.recipe in RECIPES and options.work.store.startswith("/")


def test_ray_knows_the_options_of_every_job_that_is_advised():
    submit = ray_module("ray.dashboard.modules.job.cli").submit
    text = re.sub(r"\\\n#\s+", "", AWS.read_text())
    advised = re.findall(r"^#   ray job submit (.+)$", text, re.MULTILINE)
    gpus = [submit.make_context("submit", shlex.split(line)).params["entrypoint_num_gpus"] for line in advised]
    assert gpus == [1, None]


@LAUNCHERS
def test_store_and_data_lie_on_the_shared_disk(path):
    (_, options) = parse(["run", *shlex.split(pipelines()[0])[1:]])
    setup = load(path)["setup_commands"]
    mounted = [command.split()[-1] for command in setup if "mount -t nfs4" in command]
    assert mounted == [str(Path(options.work.store).parent)] == [str(Path(options.work.data_root).parent)]
    assert any(options.work.store in command and options.work.data_root in command for command in setup)

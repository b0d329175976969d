"""The cluster files, as Ray, the shell and the command line read them; nothing is contacted."""

import re
import shlex
import shutil
import subprocess
import sys
import tomllib
import zipfile
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement

from ray_defense.cli.commands import COMMANDS
from ray_defense.cli.main import parse_command_line
from ray_defense.cli.work_options import WorkOptions
from ray_defense.cluster.session import prepare_environment
from ray_defense.pipeline.recipes import RECIPES

ROOT = Path(__file__).resolve().parents[2]
AWS = ROOT / "cluster.yaml"
ON_PREMISE = ROOT / "deploy" / "on_premise.yaml"
RAY_JOB = ROOT / "deploy" / "rayjob.yaml"
DOCKERFILE = ROOT / "deploy" / "Dockerfile"
LAUNCHERS = pytest.mark.parametrize("path", [AWS, ON_PREMISE], ids=lambda path: path.stem)
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
COMMAND_LISTS = (
    "initialization_commands",
    "setup_commands",
    "head_setup_commands",
    "worker_setup_commands",
    "head_start_ray_commands",
    "worker_start_ray_commands",
)
SECRET = re.compile(
    r"\b[0-9a-fA-F]{32,}\b|\bAKIA[0-9A-Z]{16}\b|PRIVATE KEY|RAY_AUTH_TOKEN\s*[=:]|aws_secret"
    r"|stringData"
)

Yaml = dict[str, Any]


def ray_module(name: str) -> ModuleType:
    """Returns a module of Ray, imported after what sets the variables that Ray reads then."""
    prepare_environment()
    return import_module(name)


def load_yaml(path: Path) -> Yaml:
    """Returns the content of a file with one document."""
    content: Yaml = yaml.safe_load(path.read_text())
    return content


def with_defaults(path: Path) -> Yaml:
    """Returns a launcher file with Ray's defaults filled in."""
    config: Yaml = ray_module("ray.autoscaler._private.util").prepare_config(load_yaml(path))
    return config


def ray_starts(config: Yaml, role: str) -> list[tuple[str, list[str]]]:
    """Returns what starts Ray on the head or on a worker.

    Args:
        config: A launcher file.
        role: "head" or "worker".

    Returns:
        What stands before `ray start`, and its arguments, of each command that starts Ray.
    """
    starts = []
    for command in config[f"{role}_start_ray_commands"]:
        before, found, arguments = command.partition("ray start ")
        if found:
            starts.append((before, shlex.split(arguments)))
    return starts


def kubernetes_parts(kind: str) -> list[Yaml]:
    """Returns the documents of a kind in the file for Kubernetes."""
    documents = yaml.safe_load_all(RAY_JOB.read_text())
    return [document for document in documents if document["kind"] == kind]


def job_spec() -> Yaml:
    """Returns the specification of the RayJob."""
    (job,) = kubernetes_parts("RayJob")
    spec: Yaml = job["spec"]
    return spec


def pod_specs() -> list[Yaml]:
    """Returns the pod specifications of the head and of every worker group."""
    cluster = job_spec()["rayClusterSpec"]
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    return [group["template"]["spec"] for group in groups]


def pipeline_lines() -> list[str]:
    """Returns every `jobs/pipeline.py ...` that the cluster files run or advise."""
    lines = []
    for path in (AWS, ON_PREMISE, RAY_JOB):
        for line in path.read_text().splitlines():
            if "jobs/pipeline.py" in line:
                lines.append(line[line.index("jobs/pipeline.py") :])
    return lines


def run_options(words: list[str]) -> WorkOptions:
    """Returns the options of `ray-defense run` with some arguments."""
    command, options = parse_command_line(["run", *words])
    assert command is COMMANDS["run"].load()
    return WorkOptions.of(options)


def provider_keys(kind: str) -> set[str]:
    """Returns what Ray's own code reads, or sets by default, under `provider` of a type."""
    module_file = ray_module("ray.autoscaler").__file__
    assert module_file is not None
    autoscaler = Path(module_file).parent
    code = []
    for name in ("autoscaler", "commands", "updater", "providers"):
        code.append(autoscaler / "_private" / f"{name}.py")
    code.extend((autoscaler / "_private" / kind).glob("*.py"))
    read = re.compile(r"""provider(?:_config|_cfg|"\]|", \{\}\))(?:\[|\.get\(\s*)"(\w+)""")
    keys = set(load_yaml(autoscaler / kind / "defaults.yaml").get("provider", {}))
    for path in code:
        keys.update(read.findall(path.read_text()))
    return keys


@LAUNCHERS
def test_ray_accepts_the_launcher_file(path: Path) -> None:
    ray_module("ray.autoscaler._private.util").validate_config(with_defaults(path))


@LAUNCHERS
def test_ray_reads_every_provider_key(path: Path) -> None:
    provider = load_yaml(path)["provider"]
    known = provider_keys(provider["type"])
    assert set(provider) <= known
    assert not {"regoin", "head_node_ip"} & known


def test_ec2_understands_the_launch_of_every_node_type() -> None:
    validate = pytest.importorskip("botocore.validate")
    from botocore.session import Session

    service = Session().get_service_model("ec2")
    shape = service.operation_model("RunInstances").input_shape
    for name, node in load_yaml(AWS)["available_node_types"].items():
        launch = {**node["node_config"], "MinCount": 1, "MaxCount": 1}
        report = validate.ParamValidator().validate(launch, shape)
        unknown = set(node["node_config"]) - set(shape.members)
        assert not report.has_errors(), (name, report.generate_report())
        assert not unknown, (name, unknown)


def test_the_head_takes_no_work_and_every_other_node_has_a_gpu() -> None:
    config = with_defaults(AWS)
    nodes = dict(config["available_node_types"])
    head = nodes.pop(config["head_node_type"])
    assert head["resources"] == {"CPU": 0}
    assert head["max_workers"] == 0
    assert nodes
    for node in nodes.values():
        assert node["resources"]["GPU"] >= 1
        assert node["resources"]["CPU"] >= 1
        assert 0 <= node["min_workers"] <= node["max_workers"] <= config["max_workers"]
    # A reclaimed head ends the cluster.
    assert "InstanceMarketOptions" not in head["node_config"]


def test_the_head_on_premise_takes_no_work() -> None:
    ((_, arguments),) = ray_starts(load_yaml(ON_PREMISE), "head")
    assert {"--num-cpus=0", "--num-gpus=0"} <= set(arguments)


@LAUNCHERS
@pytest.mark.parametrize("role", ["head", "worker"])
def test_ray_starts_once_with_the_token_and_options_that_ray_knows(path: Path, role: str) -> None:
    ((before, arguments),) = ray_starts(with_defaults(path), role)
    exported = shlex.split(before.partition("export ")[2].rstrip("; "))
    assert {"RAY_AUTH_MODE=token", "RAY_USAGE_STATS_ENABLED=0"} <= set(exported)
    start = ray_module("ray.scripts.scripts").start
    options = start.make_context("start", list(arguments)).params
    assert options["head"] == (role == "head")
    if role == "head":
        assert options["dashboard_host"] == "127.0.0.1"
        assert options["autoscaling_config"] == "~/ray_bootstrap_config.yaml"
    else:
        ((_, head_arguments),) = ray_starts(with_defaults(path), "head")
        head_options = start.make_context("start", list(head_arguments)).params
        assert options["address"] == f"$RAY_HEAD_IP:{head_options['port']}"


@LAUNCHERS
def test_no_command_opens_a_port_to_all_or_installs_another_ray(path: Path) -> None:
    config = with_defaults(path)
    commands = []
    for name in COMMAND_LISTS:
        commands.extend(config[name])
    assert len(commands) > 10
    installed = []
    for command in commands:
        assert "0.0.0.0" not in command
        if "pip install" in command:
            installed.append(command)
    of_project = '--editable "$HOME/ray-defense[ffcv,hpo]"'
    assert any(command.endswith(of_project) for command in installed)
    for command in installed:
        assert not re.search(r"\bray(?!-defense)\b", command)


@LAUNCHERS
def test_the_token_reaches_every_node_as_a_file_that_its_owner_alone_reads(path: Path) -> None:
    config = load_yaml(path)
    mounts = config["file_mounts"]
    (remote,) = [remote for remote, local in mounts.items() if local == "~/.ray/auth_token"]
    assert remote.endswith("/.ray/auth_token")
    assert re.match(r"(~|/home/ubuntu)/", remote)
    restriction = "chmod 600 ~/.ray/auth_token"
    assert any(restriction in command for command in config["initialization_commands"])


@pytest.mark.parametrize("path", [AWS, ON_PREMISE, RAY_JOB, DOCKERFILE], ids=lambda path: path.name)
def test_no_cluster_file_holds_a_secret(path: Path) -> None:
    assert not SECRET.findall(path.read_text())


@pytest.mark.parametrize("path", [AWS, ON_PREMISE, RAY_JOB], ids=lambda path: path.name)
def test_what_is_to_be_filled_in_is_what_the_top_lists(path: Path) -> None:
    text = path.read_text()
    listed = re.findall(r"^#   (\S*FILL_IN)\b", text, re.MULTILINE)
    body = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    assert listed
    assert set(listed) == set(re.findall(r"[\w-]*FILL_IN", body))


def copied_names(path: Path) -> list[str]:
    """Returns what of this repository a file copies before it installs the project."""
    names: list[str] = []
    if path == DOCKERFILE:
        last_stage = path.read_text().rpartition("\nFROM ")[2]
        before = last_stage.partition("RUN pip install")[0]
        for line in re.findall(r"^COPY (.+)$", before, re.MULTILINE):
            names.extend(line.split()[:-1])
    else:
        mounted = load_yaml(path)["file_mounts"].values()
        names.extend(local for local in mounted if not local.startswith("~"))
    return names


@pytest.mark.parametrize("path", [AWS, ON_PREMISE, DOCKERFILE], ids=lambda path: path.name)
def test_what_is_copied_is_enough_to_install(path: Path, tmp_path: Path) -> None:
    names = copied_names(path)
    assert {PROJECT["readme"], *PROJECT["license-files"]} <= set(names)
    for name in names:
        if (ROOT / name).is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / name, tmp_path / name, ignore=ignored)
        else:
            shutil.copy(ROOT / name, tmp_path / name)
    code = "from setuptools import build_meta; build_meta.build_wheel('.')"
    built = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True
    )
    assert built.returncode == 0, built.stderr[-2000:]
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        packed = set(archive.namelist())
    package = set()
    for file in (ROOT / "ray_defense").rglob("*"):
        if file.suffix in (".py", ".j2", ".png", ".typed"):
            package.add(str(file.relative_to(ROOT)))
    assert package <= packed


@pytest.mark.parametrize("path", [AWS, ON_PREMISE, DOCKERFILE], ids=lambda path: path.name)
def test_the_packages_that_build_ffcv_are_those_of_run_sh(path: Path) -> None:
    (packages,) = re.findall(r"packages='(.+)'", (ROOT / "run.sh").read_text())
    arguments = path.read_text().partition("--no-install-recommends")[2]
    installed = arguments.split("\n    -")[0].split()
    assert set(packages.split()) <= set(installed)


def test_the_job_runs_the_ray_that_the_project_pins() -> None:
    requirements = [Requirement(text) for text in PROJECT["dependencies"]]
    (pin,) = [requirement for requirement in requirements if requirement.name == "ray"]
    assert job_spec()["rayClusterSpec"]["rayVersion"] in pin.specifier


def test_the_job_has_the_fields_that_kuberay_knows() -> None:
    spec = job_spec()
    cluster = spec["rayClusterSpec"]
    assert spec["shutdownAfterJobFinishes"] is True
    assert spec["backoffLimit"] >= 1
    assert set(spec) == {
        "entrypoint",
        "shutdownAfterJobFinishes",
        "ttlSecondsAfterFinished",
        "backoffLimit",
        "rayClusterSpec",
    }
    assert set(cluster) == {
        "rayVersion",
        "authOptions",
        "enableInTreeAutoscaling",
        "headGroupSpec",
        "workerGroupSpecs",
    }
    assert cluster["authOptions"] == {"mode": "token"}
    head = cluster["headGroupSpec"]
    assert set(head) == {"serviceType", "rayStartParams", "template"}
    assert head["rayStartParams"] == {"num-cpus": "0"}  # text: KubeRay refuses numbers here
    for group in cluster["workerGroupSpecs"]:
        assert set(group) == {
            "groupName",
            "replicas",
            "minReplicas",
            "maxReplicas",
            "rayStartParams",
            "template",
        }
        assert 1 <= group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]


def test_every_pod_of_the_job_has_the_same_image_and_workers_have_gpus() -> None:
    (head,), *workers = [pod["containers"] for pod in pod_specs()]
    assert "nvidia.com/gpu" not in head["resources"]["limits"]
    assert workers
    for (worker,) in workers:
        assert worker["image"] == head["image"]
        assert worker["env"] == head["env"]
        assert worker["resources"]["limits"]["nvidia.com/gpu"] >= 1
    for variable in head["env"]:
        assert isinstance(variable["value"], str)  # Kubernetes refuses numbers here


def test_every_pod_of_the_job_mounts_store_and_data_from_a_claim_that_many_may_write() -> None:
    (claim,) = kubernetes_parts("PersistentVolumeClaim")
    assert claim["spec"]["accessModes"] == ["ReadWriteMany"]
    work = run_options(shlex.split(job_spec()["entrypoint"])[2:])
    for pod in pod_specs():
        (volume,) = pod["volumes"]
        source = volume["persistentVolumeClaim"]
        assert source["claimName"] == claim["metadata"]["name"]
        mounts = {}
        for mount in pod["containers"][0]["volumeMounts"]:
            mounts[mount["mountPath"]] = mount["name"]
        assert mounts == {work.store: volume["name"], work.data_root: volume["name"]}


def test_the_entrypoint_is_a_script_that_the_image_holds_where_jobs_start() -> None:
    python, script, *_ = shlex.split(job_spec()["entrypoint"])
    assert python == "python"
    assert (ROOT / script).is_file()
    text = DOCKERFILE.read_text()
    assert f"COPY {Path(script).parent} {Path(script).parent}\n" in text
    (folder,) = re.findall(r"^WORKDIR (.+)$", text, re.MULTILINE)
    assert folder.startswith("/")
    for pod in pod_specs():
        assert "workingDir" not in pod["containers"][0]


def test_every_pipeline_named_in_the_cluster_files_is_one_that_the_command_line_takes() -> None:
    lines = pipeline_lines()
    assert len(lines) >= 2
    for line in lines:
        work = run_options(shlex.split(line)[1:])
        assert work.recipe in RECIPES
        assert work.store.startswith("/")


def test_ray_knows_the_options_of_every_job_that_is_advised() -> None:
    submit = ray_module("ray.dashboard.modules.job.cli").submit
    text = re.sub(r"\\\n#\s+", "", AWS.read_text())
    num_gpus = []
    for arguments in re.findall(r"^#   ray job submit (.+)$", text, re.MULTILINE):
        options = submit.make_context("submit", shlex.split(arguments)).params
        num_gpus.append(options["entrypoint_num_gpus"])
    assert num_gpus == [1, None]


def test_every_placement_that_a_cluster_file_advises_is_one_that_the_command_line_takes() -> None:
    num_advised = 0
    for path in (AWS, ON_PREMISE, RAY_JOB):
        assignments = re.findall(r"--placement (\S+=[\d.]*\d)", path.read_text())
        words = ["digits_badnets"]
        for assignment in assignments:
            words.extend(["--placement", assignment])
        run_options(words).where()  # raises for an unknown key or a wrong value
        num_advised += len(assignments)
    assert num_advised >= 3


@LAUNCHERS
def test_store_and_data_lie_on_the_shared_disk(path: Path) -> None:
    work = run_options(shlex.split(pipeline_lines()[0])[1:])
    assert work.data_root is not None
    setup = load_yaml(path)["setup_commands"]
    mounted = [command.split()[-1] for command in setup if "mount -t nfs4" in command]
    assert mounted == [str(Path(work.store).parent)]
    assert mounted == [str(Path(work.data_root).parent)]
    assert any(work.store in command and work.data_root in command for command in setup)

#!/bin/sh
# Makes the environment on the first call, then runs the command. Later calls start at once: a stamp in the environment
# says which pyproject.toml and Python it was made for. RAY_DEFENSE_VENV names another environment than ./.venv.
# RAY_DEFENSE_FFCV=no leaves FFCV out, yes installs it without a question, and ask, the default, asks on a terminal.
set -eu

# No Python below imports from the current directory: hostile data may lie there. (`python -P` says the same, and a
# Python that is too old, which find_python asks, would not take it.)
PYTHONSAFEPATH=1
export PYTHONSAFEPATH

# Nor does an empty word of PYTHONPATH, which means the current directory (`PYTHONPATH=$PYTHONPATH:/code` makes one).
folders=
rest=${PYTHONPATH-}:
while [ -n "$rest" ]; do
    word=${rest%%:*}
    rest=${rest#*:}
    case $word in '' | .) ;; *) folders=$folders:$word ;; esac
done
PYTHONPATH=${folders#:}
export PYTHONPATH

root=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd -P)
venv=${RAY_DEFENSE_VENV:-$root/.venv}
case $venv in /*) ;; *) venv=$PWD/$venv ;; esac
python=$venv/bin/python
stamp=$venv/.ray-defense-stamp

usage() {
    cat >&2 <<END
usage: ./run.sh demo [options]       the whole path on a small dataset
       ./run.sh test                 the checks of the code, then the tests
       ./run.sh test [pytest args]   some tests
       ./run.sh test chaos           every fault at every stage: half an hour of killed processes
       ./run.sh test fuzz            half a million mutants of honest files, for an hour
       ./run.sh check                the checks of the code: format, lint, types, layers, repository
       ./run.sh COMMAND ...          any command of ray-defense: run, sweep, attacks, list, doctor, --help
END
    exit 2
}

say() { printf 'run.sh: %s\n' "$*" >&2; }

# fail CODE MESSAGE
fail() {
    code=$1
    shift
    say "$@"
    exit "$code"
}

key() { { cat "$root/pyproject.toml" && "$python" -V; } 2>&1 | cksum; }

recent_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

has_headers() {
    "$python" -c 'import os, sys, sysconfig; sys.exit(not os.path.exists(sysconfig.get_path("include") + "/Python.h"))'
}

# Whether FFCV can be built.
has_libraries() { command -v g++ && pkg-config --exists opencv4 libturbojpeg && has_headers; } >/dev/null 2>&1

# The stamp reads "<key> ffcv", "<key> no-build", "<key> no-libraries", which holds until they are there, or
# "<key> unwanted", which holds until somebody says yes.
is_ready() {
    [ -x "$python" ] && [ -r "$stamp" ] || return 1
    now=$(key)
    case $(cat "$stamp") in
        "$now no-libraries") ! has_libraries ;;
        "$now unwanted") [ "${RAY_DEFENSE_FFCV:-ask}" != yes ] ;;
        "$now "*) true ;;
        *) false ;;
    esac
}

# debian PACKAGE ...: installs Debian packages where this user may.
debian() {
    command -v apt-get >/dev/null || return 1
    if [ "$(id -u)" -eq 0 ]; then sudo=''; elif sudo -n true 2>/dev/null; then sudo='sudo'; else return 1; fi
    say "installing $* (apt-get)"
    $sudo apt-get update -qq >&2 &&
        $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >&2
}

find_python() {
    found=
    for candidate in python3.11 python3.12 python3.13 python3; do
        if recent_enough "$candidate"; then
            found=$candidate
            return 0
        fi
    done
    return 1
}

has_venv() { "$found" -c 'import ensurepip, venv' 2>/dev/null; }

make_environment() {
    if [ ! -x "$python" ]; then
        { find_python && has_venv; } || debian python3 python3-venv || true
        find_python || fail 2 'no Python 3.11 or later: apt-get install python3 python3-venv'
        has_venv || fail 2 "$found has no venv module: apt-get install python3-venv"
        say "making the environment $venv with $found"
        "$found" -m venv "$venv" || fail 3 "could not make $venv"
    fi
    recent_enough "$python" || fail 2 "$python is older than Python 3.11: remove $venv, or name another RAY_DEFENSE_VENV"
    "$python" -m pip --version >/dev/null 2>&1 || "$python" -m ensurepip >/dev/null || fail 2 "$python has no pip"
}

# Whether everything but FFCV is there already; asks no index.
is_satisfied() {
    satisfied=0
    wanted=$(mktemp)
    "$python" - >"$wanted" <<'END' || satisfied=$?
import re
import tomllib

with open("pyproject.toml", "rb") as file:
    project = tomllib.load(file)["project"]
extras = project["optional-dependencies"]
wanted = [*project["dependencies"], *extras["test"]]
for requirement in wanted:  # it grows: the extra "test" names others
    own = re.fullmatch(r"ray_defense\[(.*)\]", requirement)
    if own:
        for name in own[1].split(","):
            wanted.extend(extras[name])
    else:
        print(requirement)
END
    "$python" -m pip install --dry-run --no-index --quiet --requirement "$wanted" >/dev/null 2>&1 || satisfied=$?
    rm -f "$wanted"
    return "$satisfied"
}

install() { "$python" -m pip install --quiet --disable-pip-version-check --editable "$1" >&2; }

# Installs what FFCV is built with, where this user may.
get_libraries() {
    if has_libraries; then return 0; fi
    packages='libopencv-dev libturbojpeg0-dev pkg-config g++'
    has_headers || packages="$packages $("$python" -c 'import sys; print("python%d.%d-dev" % sys.version_info[:2])')"
    # shellcheck disable=SC2086  # words are meant
    if debian $packages && has_libraries; then return 0; fi
    say "going on without FFCV (NumPy reads the same shards); to have it: sudo apt-get install $packages"
    return 1
}

# Whether FFCV may be installed: its libraries are some 200 Debian packages.
wants_ffcv() {
    case ${RAY_DEFENSE_FFCV:-ask} in
        yes) return 0 ;;
        no) return 1 ;;
        ask) ;;
        *) fail 2 "RAY_DEFENSE_FFCV is $RAY_DEFENSE_FFCV: set it to no, yes or ask" ;;
    esac
    if has_libraries; then return 0; fi
    say 'FFCV, an optional reader, needs OpenCV: some 200 Debian packages. NumPy reads the same shards to the same bytes.'
    if [ ! -t 0 ]; then
        say 'installing it, since nobody can be asked here (RAY_DEFENSE_FFCV=no leaves it out)'
        return 0
    fi
    printf 'run.sh: install it? [y/N] ' >&2
    read -r answer || answer=
    case $answer in [yY]*) return 0 ;; *) return 1 ;; esac
}

# Prints what the stamp is to say of FFCV; nothing when the next call shall try again.
get_ffcv() {
    if "$python" -c 'import importlib.util, sys; sys.exit(not importlib.util.find_spec("ffcv"))'; then
        echo ffcv
    elif ! wants_ffcv; then
        say 'going on without FFCV; RAY_DEFENSE_FFCV=yes installs it'
        echo unwanted
    elif ! get_libraries; then
        echo no-libraries
    else
        say 'building FFCV: a minute or two'
        log=$(mktemp)
        if install '.[ffcv,test]' 2>"$log"; then
            echo ffcv
        else
            cat "$log" >&2
            if grep -Eq 'No matching distribution|Connection|Timeout|timed out|resolution' "$log"; then
                say 'going on without FFCV: it could not be fetched; the next call tries again'
            else
                say 'going on without FFCV: it could not be built (above)'
                echo no-build
            fi
        fi
        rm -f "$log"
    fi
}

set_up() {
    cd "$root"
    make_environment
    if is_satisfied; then
        say "$venv has what is needed"
    else
        say 'installing ray_defense and what it needs: several minutes and some gigabytes the first time'
        install '.[test]' || fail 3 'the installation failed (above): run the same command again'
    fi
    ffcv=$(get_ffcv) || exit
    if [ -n "$ffcv" ]; then
        printf '%s %s\n' "$(key)" "$ffcv" >"$stamp.part"
        mv -f "$stamp.part" "$stamp"
    fi
}

[ $# -gt 0 ] || usage
if ! is_ready; then
    mkdir -p "$venv" || fail 2 "cannot write $venv: name another RAY_DEFENSE_VENV"
    (
        if command -v flock >/dev/null; then
            flock -n 9 || { say 'waiting for another set-up of this environment' && flock 9; }
        fi
        is_ready || set_up
    ) 9>"$venv/.ray-defense-lock"
fi

PYTHONPATH=$root${PYTHONPATH:+:$PYTHONPATH} # this checkout's code, whatever the environment has installed

# The checks of the code, from the quickest on; each names what it found.
check() {
    say 'checking format, lint, types and layers'
    "$python" -m ruff format --check --quiet . &&
        "$python" -m ruff check --quiet . &&
        "$python" -m mypy &&
        "$python" -c 'import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports())' &&
        "$python" -m pytest -q tests/repo "$@"
}

# The tests. Those without Ray run side by side, a file at a time in each process and with one thread; those that start
# Ray have the machine for themselves.
test_all() {
    status=0
    OMP_NUM_THREADS=1 "$python" -m pytest -q --ignore=tests/repo -m 'not ray and not long and not fuzz' \
        -n logical --maxprocesses 4 --dist loadfile --durations=20 || status=$?
    "$python" -m pytest -q --ignore=tests/repo -m 'ray and not long and not fuzz' --durations=20 || status=$?
    return "$status"
}

case $1 in
    check)
        shift
        cd "$root"
        check "$@"
        exit
        ;;
    test)
        shift
        cd "$root"
        if [ $# -eq 0 ]; then
            check || fail 1 'the checks failed (above): mend that first'
            test_all
            exit
        elif [ "$1" = chaos ]; then
            shift
            set -- -m 'chaos or long' "$@"
        elif [ "$1" = fuzz ]; then
            shift
            set -- -m fuzz "$@"
        fi
        exec "$python" -m pytest -q "$@"
        ;;
esac
exec "$python" -P -m ray_defense "$@"

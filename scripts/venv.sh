# Sourced by the other scripts: make .venv and install what requirements/<name>.txt locks, unless that is done already.

die() {
  echo "$(basename "$0"): $*" >&2
  exit 2
}

find_python() { # the first Python that is new enough, PYTHON before all others
  local candidate
  for candidate in ${PYTHON:-python3 python3.12 python3.11}; do
    if "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null; then
      command -v "$candidate"
      return
    fi
  done
  die "Python 3.11 or 3.12 is needed; python3 is $(python3 --version 2>&1 || true). Name another with PYTHON=/path/to/python3.11"
}

installed() { # installed NAME: whether .venv holds what requirements/NAME.txt locks now
  [ "$(cat ".venv/installed-$1" 2>/dev/null)" = "$(cat "requirements/$1.txt" setup.py | cksum)" ]
}

make_venv() { # make_venv NAME: .venv with everything in requirements/NAME.txt and the project itself
  local lock="requirements/$1.txt" python
  if installed "$1" || installed dev; then # dev has everything that the others have
    .venv/bin/python -c '' || die "the Python of $PWD/.venv does not run: remove that folder"
    return
  fi
  if [ ! -x .venv/bin/python ]; then
    python=$(find_python)
    [ -w . ] || die "cannot write to $PWD, where .venv goes"
    "$python" -m venv .venv || die "$python cannot make a virtual environment (Debian and Ubuntu: apt install python3-venv)"
  fi
  [ -w .venv ] || die "cannot write to $PWD/.venv"
  echo "installing $lock into .venv ..." >&2
  .venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r "$lock" || die "could not install $lock"
  .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable . || die "could not install Inlier itself"
  cat "$lock" setup.py | cksum >".venv/installed-$1"
}

# Sourced by the other scripts: make .venv and install what requirements/<name>.txt locks, unless that is done already.

die() {
  echo "$(basename "$0"): $*" >&2
  exit 2
}

find_python() { # the first Python that is new enough, or PYTHON
  local candidate
  if [ -n "${PYTHON:-}" ]; then set -- "$PYTHON"; else set -- python3 python3.12 python3.11; fi
  for candidate; do
    if "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null; then
      command -v "$candidate"
      return
    fi
  done
  [ -z "${PYTHON:-}" ] || die "Python 3.11 or 3.12 is needed, and PYTHON=$PYTHON is neither"
  die "Python 3.11 or 3.12 is needed; python3 is $(python3 --version 2>&1 || true). Name another with PYTHON=/path/to/python3.11"
}

installed() { # installed NAME: whether .venv holds what requirements/NAME.txt locks now
  [ "$(cat ".venv/installed-$1" 2>/dev/null)" = "$(cat "requirements/$1.txt" setup.py | cksum)" ]
}

moved() { # whether .venv was made for another folder, where its scripts would still look for Python
  local place
  place=$(sed -n 's/^command = .* -m venv //p' .venv/pyvenv.cfg 2>/dev/null) && [ -n "$place" ] && [ "$place" != "$(pwd -P)/.venv" ]
}

make_venv() { # make_venv NAME: .venv with everything in requirements/NAME.txt and the project itself
  local lock="requirements/$1.txt" python
  if moved; then
    echo "$PWD/.venv was made for another folder, and is made anew" >&2
    rm -rf .venv
  fi
  if installed "$1" || installed dev; then # dev has everything that the others have
    .venv/bin/python -c '' || die "the Python of $PWD/.venv does not run: remove that folder"
    return
  fi
  if ! .venv/bin/python -m pip --version >/dev/null 2>&1; then # there is none, or one that was half made
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

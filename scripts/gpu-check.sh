#!/usr/bin/env bash
# Everything that can only be seen on a GPU, in one go: the machine, the CUDA provider, the reference's numbers, where
# every operator runs, training, the time of a step beside PyTorch's, and memory against the plan.
# `scripts/gpu-check.sh --help` says more.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
shared=${INSULA_SHARED:-$root/../shared}

usage() {
  cat <<'END'
usage: scripts/gpu-check.sh [options]

Checks and measures training on an NVIDIA GPU and writes report.txt and report.json. Needs an NVIDIA driver (580 or
newer), Node 20.19 and the dependencies (npx --yes pnpm@12.21.0 install). Half an hour on one recent GPU.

  --out DIR        where logs and the report go                    (default: gpu-check)
  --device NAME    cuda or cuda:N                                  (default: cuda)
  --golden DIR     a golden folder; repeatable                     (default: ../shared/golden/common and public)
  --tokenizers DIR folder of the FAST+ files                       (default: ../shared/data)
  --python CMD     a Python with torch, for the comparison         (default: python3)
  --steps N        measured steps of each benchmark                (default: 10)
  --layers N       layers of the full-width model                  (default: 2)
  --provider-only  CUDA 13 and cuDNN 9 are on the library path: install ONNX Runtime's provider alone
  --only NAME      only this step and what it needs; repeatable
  --dry-run        print the commands and stop
  --help

Steps: doctor install placement verify train-tiny train-small step-small step-wide torch
The CUDA provider is installed to INSULA_CUDA_DIR, or to the user's cache; nothing happens where it is already.
Exit code: 0 all well, 1 a step failed, 2 wrong usage, 3 no usable GPU.
END
}

die() {
  printf 'gpu-check: %s\n' "$1" >&2
  exit "${2:-2}"
}

out=gpu-check device=cuda python=python3 steps=10 layers=2 dry=false
goldens=() only=() install_flags=()
tokenizers=$shared/data
value() { [[ $# -ge 2 && -n $2 && $2 != --* ]] || die "$1 needs a value"; }
while [[ $# -gt 0 ]]; do
  case $1 in
    --out) value "$@" && out=$2 && shift 2 ;;
    --device) value "$@" && device=$2 && shift 2 ;;
    --golden) value "$@" && goldens+=("$2") && shift 2 ;;
    --tokenizers) value "$@" && tokenizers=$2 && shift 2 ;;
    --python) value "$@" && python=$2 && shift 2 ;;
    --steps) value "$@" && steps=$2 && shift 2 ;;
    --layers) value "$@" && layers=$2 && shift 2 ;;
    --only) value "$@" && only+=("$2") && shift 2 ;;
    --provider-only) install_flags+=(--provider-only) && shift ;;
    --dry-run) dry=true && shift ;;
    --help) usage && exit 0 ;;
    *) die "unknown option '$1'; --help lists them" ;;
  esac
done
[[ $device =~ ^cuda(:[0-9]+)?$ ]] || die "--device: expected cuda or cuda:N, found '$device'"
[[ $steps =~ ^[1-9][0-9]*$ ]] || die "--steps: expected a positive whole number, found '$steps'"
[[ $layers =~ ^[1-9][0-9]*$ ]] || die "--layers: expected a positive whole number, found '$layers'"
known=(doctor install placement verify train-tiny train-small step-small step-wide torch)
for name in ${only[@]+"${only[@]}"}; do
  [[ " ${known[*]} " == *" $name "* ]] || die "--only: no step '$name'; there are ${known[*]}"
done
if [[ ${#goldens[@]} -eq 0 ]]; then
  for name in common public; do
    if [[ -d $shared/golden/$name ]]; then goldens+=("$shared/golden/$name"); fi
  done
fi

insula=(node "$root/scripts/insula.mjs")
lib=$root/scripts/lib
failed=0

wanted() { [[ ${#only[@]} -eq 0 || " ${only[*]} " == *" $1 "* ]]; }

# step NAME WHAT COMMAND…: what it prints goes to NAME.out (results) and NAME.log; a failure does not stop the others.
step() {
  local name=$1 what=$2
  shift 2
  if $dry; then
    printf '%-12s %s\n             %s\n' "$name" "$what" "$*"
    return 0
  fi
  local began=$SECONDS code=0
  "$@" >"$out/$name.out" 2>"$out/$name.log" || code=$?
  printf '%s\t%s\t%s\t%s\n' "$name" "$code" "$((SECONDS - began))" "$what" >>"$out/steps.tsv"
  printf '%-8s %-12s %5d s  %s\n' "$([[ $code -eq 0 ]] && echo ok || echo failed)" "$name" "$((SECONDS - began))" "$what"
  if [[ $code -ne 0 ]]; then
    failed=1
    tail -n 5 "$out/$name.log" | sed 's/^/         /'
  fi
  return "$code"
}

skip() {
  $dry || printf '%s\tskipped\t0\t%s\n' "$1" "$2" >>"$out/steps.tsv"
  printf '%-8s %-12s          %s\n' skipped "$1" "$2"
}

# doctor PART FIELD: one field of one finding.
finding() {
  node -e '
    const { readFileSync } = require("node:fs");
    const [path, part, field] = process.argv.slice(1);
    const found = JSON.parse(readFileSync(path, "utf8")).find((f) => f.part === part);
    console.log(found?.[field] ?? "");' "$out/doctor.out" "$1" "$2"
}

report() { node "$lib/gpu-report.mjs" "$out"; }

# Without a GPU nothing of this can run: say why, and leave the report of what was found.
no_gpu() {
  report >/dev/null
  die "no usable GPU: $1 (report in $out/report.txt)" 3
}

if ! $dry; then
  mkdir -p "$out"
  out=$(cd "$out" && pwd)
  : >"$out/steps.tsv"
fi

step doctor "the machine" "${insula[@]}" doctor --json || true
if ! $dry; then
  [[ -s $out/doctor.out ]] || die "the doctor does not run; see $out/doctor.log" 1
  # Before two gigabytes are downloaded.
  [[ $(finding "nvidia driver" state) == ok ]] || no_gpu "NVIDIA driver: $(finding "nvidia driver" detail)"
fi

if [[ ${only[*]-} != doctor ]]; then
  step install "ONNX Runtime's CUDA provider and CUDA's libraries" \
    "${insula[@]}" doctor --install-cuda --json ${install_flags[@]+"${install_flags[@]}"} || true
fi
if ! $dry && [[ ${only[*]-} != doctor ]]; then
  "${insula[@]}" doctor --json >"$out/doctor.out" 2>"$out/doctor.log" || true
  [[ $(finding "capi: cuda" state) == ok ]] || no_gpu "$(finding "capi: cuda" detail)"
fi

if wanted placement; then
  step placement "every operator of every model on the GPU" node "$lib/gpu-placement.mjs" --device "$device" || true
fi
if wanted verify; then
  if [[ ${#goldens[@]} -gt 0 ]]; then
    flags=()
    for dir in "${goldens[@]}"; do flags+=(--golden "$dir"); done
    step verify "the reference's numbers" "${insula[@]}" verify --device "$device" --tolerances cuda \
      --tokenizers "$tokenizers" "${flags[@]}" --json || true
  else
    skip verify "no golden folders; --golden names them"
  fi
fi
if wanted train-tiny; then
  step train-tiny "50 steps, tiny" "${insula[@]}" train pi05_droid_ki --size tiny --num-train-steps 50 \
    --device "$device" --log-dir "$out/train-tiny" --overwrite || true
fi
if wanted train-small; then
  step train-small "50 steps, small" "${insula[@]}" train pi05_droid_ki --size small --num-train-steps 50 \
    --device "$device" --log-dir "$out/train-small" --overwrite || true
fi
measure=(node "$lib/gpu-step.mjs" --device "$device" --steps "$steps")
if wanted step-small; then
  step step-small "a step of the small model, float32, TF32 and bfloat16" "${measure[@]}" --model small || true
fi
if wanted step-wide; then
  step step-wide "a step at full width, $layers layers" "${measure[@]}" --model wide --layers "$layers" || true
fi
if wanted torch; then
  peer=$shared/baselines/torch_step.py
  if $dry || { [[ -f $peer ]] && "$python" -c 'import sys, torch; sys.exit(not torch.cuda.is_available())' 2>/dev/null; }; then
    for dtype in float32 bfloat16; do
      step "torch-$dtype" "PyTorch's step of the small model, $dtype" \
        "$python" "$peer" --device "$device" --dtype "$dtype" --steps "$steps" || true
    done
  else
    skip torch "$python has no torch that sees a GPU, or $peer is missing; --python names another"
  fi
fi

if $dry; then exit 0; fi
report
printf '\nreport: %s and report.json\n' "$out/report.txt"
exit "$failed"

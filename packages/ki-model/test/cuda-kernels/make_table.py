#!/usr/bin/env python3
"""Makes ../operator-kernels.json: which operators ONNX Runtime has CPU and CUDA kernels for, by element type.

    python3 -m venv venv && venv/bin/pip install onnxruntime-gpu==1.30.0
    venv/bin/python make_table.py

The facts come from the kernel registries of that very release (`get_all_opkernel_def`, what ONNX Runtime's own
docs/OperatorKernels.md is generated with), not from documentation of another version. Listing kernels runs none of
them, but the providers must load: in place of CUDA's libraries, TensorRT's and the driver, libraries are compiled
that have the same symbols and do nothing (needs cc and nm; no GPU, no CUDA). Linux x64.
"""
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

# What our graphs emit, what ONNX Runtime's optimisers may put in its place, and what mixed precision may need.
OPERATORS = """
Abs Add And ArgMax Cast Clip Concat Constant ConstantOfShape Conv Cos CumSum Div Equal Erf Exp Expand
Gather GatherElements GatherND Gelu Gemm Greater GreaterOrEqual Identity IsInf IsNaN LayerNormalization Less
LessOrEqual Log LogSoftmax MatMul Max Min Mod Mul Neg Not Or Pad Pow Range Reciprocal ReduceL2
ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare Reshape Round ScatterElements ScatterND Shape
Sigmoid Sign Sin Slice Softmax Split Sqrt Squeeze Sub Tanh Tile TopK Transpose Trilu Unsqueeze Where
com.microsoft:BiasGelu com.microsoft:FastGelu com.microsoft:FusedMatMul com.microsoft:Gelu com.microsoft:QuickGelu
com.microsoft:SkipLayerNormalization com.microsoft:RotaryEmbedding com.microsoft:MultiHeadAttention
""".split()
OPSET = 21
PROVIDERS = {"CPUExecutionProvider": "cpu", "CUDAExecutionProvider": "cuda"}
# Element types that our graphs have or may come to have.
ELEMENTS = ["float", "float16", "bfloat16", "double", "int32", "int64", "uint8", "bool"]

SPECIAL = {
    "cudaGetDeviceCount": "int cudaGetDeviceCount(int*n){*n=1;return 0;}",
    "cudaGetDevice": "int cudaGetDevice(int*n){*n=0;return 0;}",
    "cudaMalloc": "int cudaMalloc(void**p,size_t n){*p=aligned_alloc(256,(n+511)/256*256);return 0;}",
    "cudaFree": "int cudaFree(void*p){free(p);return 0;}",
    "cudaMemGetInfo": "int cudaMemGetInfo(size_t*a,size_t*b){*a=*b=(size_t)1<<36;return 0;}",
    "cudaGetDeviceProperties": "int cudaGetDeviceProperties(char*p,int d){strcpy(p,\"none\");return 0;}",
    "cudaGetErrorString": "const char*cudaGetErrorString(int e){return \"none\";}",
    "cudaStreamCreateWithFlags": "int cudaStreamCreateWithFlags(void**s,unsigned f){*s=(void*)16;return 0;}",
    "cublasCreate_v2": "int cublasCreate_v2(void**h){*h=(void*)16;return 0;}",
    "cublasLtCreate": "int cublasLtCreate(void**h){*h=(void*)16;return 0;}",
    "cudnnCreate": "int cudnnCreate(void**h){*h=(void*)16;return 0;}",
    "cudnnGetErrorString": "const char*cudnnGetErrorString(int e){return \"none\";}",
    "__cudaRegisterFatBinary": "static char h[8];void*__cudaRegisterFatBinary(void*p){return h;}",
    "getInferLibVersion": "int getInferLibVersion(){return 101600;}",
}
# Symbols without a version say not which library they belong to.
UNVERSIONED = {r"cu[A-Z]": "libcuda.so.1", r"create|get(Infer|Plugin)": "libnvinfer.so.10"}


def output(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def make_libraries(capi, folder):
    """Compile a library for each one that the providers need and that is not part of the system."""
    libraries = {}
    for provider in ("cuda", "tensorrt"):
        path = capi / f"libonnxruntime_providers_{provider}.so"
        for name in re.findall(r"NEEDED\s+(lib(?:cu|nv)\S+)", output("objdump", "-p", path)):
            libraries.setdefault(name, set())
        for symbol, version in re.findall(r" U (\w+)(?:@(lib\S+))?$", output("nm", "-D", path), re.M):
            if not version:
                version = next((lib for start, lib in UNVERSIONED.items() if re.match(start, symbol)), None)
            if version in libraries:
                libraries[version].add(symbol)
        found = re.findall(rb"\0(cudnn[A-Z]\w+)\0", path.read_bytes())  # loaded by name
        libraries.setdefault("libcudnn.so.9", set()).update(name.decode() for name in found)
    for name, symbols in libraries.items():
        body = "".join(SPECIAL.get(s, f"int {s}(){{return 0;}}") + "\n" for s in sorted(symbols)) or "int none;\n"
        (folder / "lib.c").write_text("#include <stdlib.h>\n#include <string.h>\n" + body)
        (folder / "lib.map").write_text(f"{name} {{ global: *; }};")
        versions = ["-Wl,--version-script=lib.map"] if re.match(r"libcu(dart|blas|blasLt|dnn|rand)\.", name) else []
        flags = ["-shared", "-fPIC", "-w", "-fno-builtin", f"-Wl,-soname,{name}", *versions]
        subprocess.run(["cc", *flags, "-o", name, "lib.c"], check=True, cwd=folder)


def element(type_string):
    return re.sub(r"^tensor\((.*)\)$", r"\1", type_string)


def merge(kernels):
    """One kernel for those of one version range that differ in one type only."""
    merged = []
    for versions, types in kernels:
        for other in merged:
            different = [k for k in types if types[k] != other["types"].get(k)]
            if other["versions"] == versions and types.keys() == other["types"].keys() and len(different) <= 1:
                for key in different:
                    other["types"][key] = sorted({*other["types"][key], *types[key]})
                break
        else:
            merged.append({"versions": versions, "types": types})
    for kernel in merged:
        kernel["types"] = {name: " ".join(t for t in ELEMENTS if t in types) for name, types in kernel["types"].items()}
    return sorted(merged, key=lambda k: (k["versions"][0], sorted(k["types"].items())))


def table(state, version):
    wanted = {tuple(name.split(":")) if ":" in name else ("", name) for name in OPERATORS}
    schemas = {}
    for schema in state.get_all_operator_schema():
        key, newest = (schema.domain, schema.name), 1 if schema.domain else OPSET
        if key in wanted and schema.since_version <= newest:
            if key not in schemas or schemas[key].since_version < schema.since_version:
                schemas[key] = schema
    kernels = {key: {"cpu": [], "cuda": []} for key in schemas}
    for kernel in state.get_all_opkernel_def():
        key, (start, end) = (kernel.domain, kernel.op_name), kernel.version_range
        if key not in kernels or kernel.provider not in PROVIDERS:
            continue
        since, newest = schemas[key].since_version, end == 2**31 - 1
        # ONNX Runtime's own rule: an open range is for the version that it starts with.
        if not (start == since or (start < since <= end and not newest)):
            continue
        types = {name: sorted({*map(element, t)} & {*ELEMENTS}) for name, t in kernel.type_constraints.items()}
        if not all(types.values()):
            continue
        kernels[key][PROVIDERS[kernel.provider]].append(([start, None if newest else end], types))
    operators = {}
    for key, schema in sorted(schemas.items()):
        constraints = {c.type_param_str: c.allowed_type_strs for c in schema.type_constraints}
        single = {name: element(types[0]) for name, types in constraints.items() if len(types) == 1}
        variadic = [i for i in schema.inputs if "Variadic" in str(i.option)]
        operators[":".join(filter(None, key))] = {
            "since": schema.since_version,
            "inputs": [element(i.typeStr) for i in schema.inputs],
            "outputs": [single.get(o.typeStr, element(o.typeStr)) for o in schema.outputs],
            **({"variadic": True} if variadic or any("Variadic" in str(o.option) for o in schema.outputs) else {}),
            **{provider: merge(list_) for provider, list_ in kernels[key].items()},
        }
    source = f"kernel registries of onnxruntime-gpu {version} (PyPI), Linux x64"
    return {"source": source, "version": version, "opset": OPSET, "operators": operators}


def text(value, depth=0):
    """JSON with a line per kernel."""
    if depth < 3 and isinstance(value, dict):
        rows = [f'{"  " * (depth + 1)}{json.dumps(k)}: {text(v, depth + 1)}' for k, v in value.items()]
        return "{\n" + ",\n".join(rows) + "\n" + "  " * depth + "}"
    if depth == 3 and isinstance(value, list) and value and isinstance(value[0], dict):
        return "[\n" + ",\n".join("  " * 4 + json.dumps(v) for v in value) + "\n" + "  " * 3 + "]"
    return json.dumps(value)


def main():
    if "INSULA_TABLE_LIBRARIES" not in os.environ:
        import importlib.util

        capi = Path(importlib.util.find_spec("onnxruntime").origin).parent / "capi"
        with tempfile.TemporaryDirectory() as folder:
            make_libraries(capi, Path(folder))
            # The dynamic linker reads its path when a process starts.
            env = {**os.environ, "LD_LIBRARY_PATH": folder, "INSULA_TABLE_LIBRARIES": folder}
            sys.exit(subprocess.run([sys.executable, *sys.argv], env=env).returncode)
    import onnxruntime
    import onnxruntime.capi.onnxruntime_pybind11_state as state

    path = Path(__file__).parent.parent / "operator-kernels.json"
    path.write_text(text(table(state, onnxruntime.__version__)) + "\n")
    print(path)


main()

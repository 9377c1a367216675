"""One peer, one process: makes a session and answers commands on its standard input.

    python peers.py onnxruntime-f32|onnxruntime-int8|openvino-f32|openvino-bf16|openvino-int8 DIRECTORY THREADS
    python peers.py pytorch-f32|pytorch-f16 DIRECTORY THREADS cpu|cuda|metal

A command is `TOWER BATCH LENGTH SECONDS`, with TOWER image or text and LENGTH the tokens of a text; the answer is
a line of JSON: the median of the seconds a batch took, and resident memory. `vectors TOWER LENGTH` answers
with the vectors of the 32 inputs.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np

END = 49_407


def memory():
    """Resident megabytes of this process: all, and what is its own."""
    fields = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(fields["VmRSS"].split()[0]) / 1024


def inputs(folder, tower, batch, length):
    rows = np.arange(batch) % 32
    if tower == "image":
        return np.fromfile(folder / "pixels.f32", np.float32).reshape(32, 3, 224, 224)[rows]
    ids = np.fromfile(folder / "ids.u32", np.uint32).reshape(32, -1)[rows, :length].astype(np.int64)
    ids[:, -1] = END
    return np.ascontiguousarray(ids)


def onnxruntime(folder, precision, threads):
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1

    def session(tower):
        path = folder / f"{tower}.onnx"
        if precision == "int8":
            small = folder / f"{tower}-ort-int8.onnx"
            if not small.exists():
                from onnxruntime.quantization import QuantType, quantize_dynamic

                quantize_dynamic(path, small, weight_type=QuantType.QInt8, per_channel=True, op_types_to_quantize=["MatMul"])
            path = small
        made = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        name = made.get_inputs()[0].name
        return lambda x: made.run(None, {name: x})[0]

    return session


def openvino(folder, precision, threads):
    import openvino as ov

    core = ov.Core()

    def session(tower):
        path = folder / f"{tower}.onnx"
        if precision == "int8":
            small = folder / f"{tower}-ov-int8.xml"
            if not small.exists():
                import nncf

                rows = [inputs(folder, tower, 32, 77)[i : i + 1] for i in range(32)]
                made = nncf.quantize(
                    core.read_model(path), nncf.Dataset(rows), subset_size=32, model_type=nncf.ModelType.TRANSFORMER
                )
                ov.save_model(made, small)
            path = small
        hint = "bf16" if precision == "bf16" else "f32"
        settings = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": hint}
        request = core.compile_model(core.read_model(path), "CPU", settings).create_infer_request()
        return lambda x: next(iter(request.infer([x], share_inputs=True).values()))

    return session


def pytorch(folder, precision, threads, device):
    import torch
    from transformers import CLIPModel

    torch.set_num_threads(threads)
    device, dtype = {"metal": "mps"}.get(device, device), {"f16": torch.float16, "f32": torch.float32}[precision]
    model = CLIPModel.from_pretrained(folder, attn_implementation="sdpa").to(device, dtype).eval()

    def session(tower):
        def run(x):
            # What goes in and comes out crosses the bus on both sides.
            x = torch.from_numpy(x).to(device)
            with torch.inference_mode():
                found = model.get_image_features(x.to(dtype)) if tower == "image" else model.get_text_features(x)
                found = getattr(found, "pooler_output", found)  # from transformers 5 on it is one field of several
                return found.float().cpu().numpy()

        return run

    return session


def main():
    name, folder, threads = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    library, precision = name.split("-")
    if library == "pytorch":
        session = pytorch(folder, precision, threads, sys.argv[4])
    else:
        session = {"onnxruntime": onnxruntime, "openvino": openvino}[library](folder, precision, threads)
    sessions = {tower: session(tower) for tower in ("image", "text")}
    print(json.dumps({"ready": name}), flush=True)
    for line in sys.stdin:
        words = line.split()
        if words[0] == "vectors":
            tower, length = words[1], int(words[2])
            found = sessions[tower](inputs(folder, tower, 32, length))
            print(json.dumps({"vectors": np.asarray(found, np.float64).tolist()}), flush=True)
            continue
        tower, batch, length, seconds = words[0], int(words[1]), int(words[2]), float(words[3])
        x, times = inputs(folder, tower, batch, length), []
        sessions[tower](x)
        started = time.perf_counter()
        while len(times) < 3 or time.perf_counter() - started < seconds:
            before = time.perf_counter()
            sessions[tower](x)
            times.append(time.perf_counter() - before)
        print(json.dumps({"seconds": float(np.median(times)), "megabytes": memory()}), flush=True)


if __name__ == "__main__":
    main()

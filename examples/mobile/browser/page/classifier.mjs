// A worker, so that the page stays responsive while the network computes.
import * as ort from "./ort/ort.wasm.bundle.min.mjs";

// Threads share memory, which a browser allows only to a page served with the headers of serve.py.
const threads = self.crossOriginIsolated ? Math.min(4, navigator.hardwareConcurrency || 1) : 1;
ort.env.wasm.numThreads = threads;
ort.env.wasm.wasmPaths = { wasm: new URL("./ort/ort-wasm-simd-threaded.wasm", import.meta.url).href };

const session = ort.InferenceSession.create(new URL("./model.onnx", import.meta.url).href);
session.then(
  () => postMessage({ ready: true, threads }),
  (error) => postMessage({ ready: false, message: String(error.message ?? error) }),
);

onmessage = async ({ data: { id, rgb, width, height } }) => {
  try {
    const network = await session, start = performance.now();
    const pixels = new ort.Tensor("uint8", rgb, [1, height, width, 3]);
    const { probabilities, scores } = await network.run({ pixels });
    const ms = performance.now() - start;
    postMessage({ id, ms, probabilities: [...probabilities.data], scores: [...scores.data] });
  } catch (error) {
    postMessage({ id, message: String(error.message ?? error) });
  }
};

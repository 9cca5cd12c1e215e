// Pixels of a picture as the model was trained on them: upright, colour profiles ignored,
// transparency over black. What a browser reads in another way is refused.

const MOST_PIXELS = 89e6, LEAST_SIDE = 8, MOST_RATIO = 50, FAINT = 32;

export async function readPicture(file) {
  const bytes = new Uint8Array(await file.arrayBuffer());
  const isPlain = checkHeader(bytes);
  let bitmap;
  try {
    bitmap = await createImageBitmap(new Blob([bytes]), {
      colorSpaceConversion: "none", imageOrientation: "from-image", premultiplyAlpha: "default",
    });
  } catch {
    throw new Error("The picture is damaged: this browser cannot read it.");
  }
  const { width, height } = bitmap;
  const [short, long] = [Math.min(width, height), Math.max(width, height)];
  if (short < LEAST_SIDE || long > MOST_RATIO * short || width * height > MOST_PIXELS) {
    throw new Error(`${width} × ${height} pixels: too small, too large, or too long and narrow.`);
  }
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d", { alpha: false, willReadFrequently: true });
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  const rgba = context.getImageData(0, 0, width, height).data;
  const rgb = new Uint8Array(width * height * 3);
  for (let from = 0, to = 0; from < rgba.length; from += 4) {
    rgb[to++] = rgba[from];
    rgb[to++] = rgba[from + 1];
    rgb[to++] = rgba[from + 2];
  }
  if (!isPlain && widestRange(rgb) <= FAINT) {
    throw new Error("The picture shows almost nothing: save it as 8-bit RGB without transparency.");
  }
  return { rgb, width, height };
}

// Returns whether the pixels are stored as they are: neither with a palette nor with transparency.
function checkHeader(bytes) {
  const text = (from, to) => String.fromCharCode(...bytes.subarray(from, to));
  const view = new DataView(bytes.buffer);
  if (text(1, 4) === "PNG" && bytes[0] === 0x89 && bytes.length > 33) return checkPng(view, text);
  if (bytes[0] === 0xff && bytes[1] === 0xd8) return checkJpeg(view);
  if (text(0, 4) === "RIFF" && text(8, 12) === "WEBP") {
    const isExtended = text(12, 16) === "VP8X";
    if (isExtended && bytes[20] & 0x02) throw new Error("The picture moves: save one frame of it.");
    return text(12, 16) === "VP8 ";
  }
  throw new Error("Only PNG, JPEG and WebP are read here. Save DICOM and TIFF as 8-bit PNG.");
}

function checkPng(view, text) {
  const bits = view.getUint8(24), colour = view.getUint8(25);
  if (bits > 8) throw new Error(`The picture has ${bits} bits per value: save it with 8.`);
  let isPlain = colour === 0 || colour === 2;
  for (let at = 8; at + 8 <= view.byteLength; at += 12 + view.getUint32(at)) {
    const kind = text(at + 4, at + 8);
    if (kind === "acTL") throw new Error("The picture moves: save one frame of it.");
    if (kind === "tRNS") isPlain = false;
    if (kind === "IDAT") break;
  }
  return isPlain;
}

function checkJpeg(view) {
  for (let at = 2; at + 10 <= view.byteLength && view.getUint8(at) === 0xff; ) {
    const marker = view.getUint8(at + 1);
    const isFrame = marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker);
    if (isFrame && view.getUint8(at + 9) === 4) {
      throw new Error("The picture has four colours (CMYK): save it as RGB.");
    }
    if (isFrame) break;
    at += marker === 0xff ? 1 : 2 + view.getUint16(at + 2);
  }
  return true;
}

// Returns the largest range of a colour, without half a per cent at each end.
function widestRange(rgb) {
  const counts = [0, 1, 2].map(() => new Uint32Array(256));
  for (let i = 0; i < rgb.length; i++) counts[i % 3][rgb[i]]++;
  const least = (rgb.length / 3) * 0.005;
  const end = (of, order) => {
    let sum = 0;
    return order.find((level) => (sum += of[level]) > least);
  };
  const up = [...Array(256).keys()], down = [...up].reverse();
  return Math.max(...counts.map((of) => end(of, down) - end(of, up)));
}

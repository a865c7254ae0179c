/** An image as the service takes it: what its bytes say counts, not its name or type. */

import { dimensions } from './format.js';
import { strings } from './strings.js';

const MAX_BYTES = 8 * 1024 * 1024;
const MIN_SIDE_PX = 64;
const MAX_SIDE_PX = 8192;
const MAX_PIXELS = 36_000_000;
export const ACCEPTED = 'image/png,image/jpeg,image/webp';

/** The first bytes of each type; dots stand for any byte. */
const SIGNATURES = [/^\x89PNG\r\n\x1a\n/, /^\xff\xd8\xff/, /^RIFF.{4}WEBP/s];
const SIGNATURE_BYTES = 12;

/** A sentence that says why the file cannot be used, or empty. @param {Blob} file @param {string} name */
export async function imageFault(file, name) {
  const words = strings.images.faults;
  const head = String.fromCharCode(...new Uint8Array(await file.slice(0, SIGNATURE_BYTES).arrayBuffer()));
  if (!SIGNATURES.some((signature) => signature.test(head))) return words.type(name);
  if (file.size > MAX_BYTES) return words.tooLarge(name);
  let picture;
  try {
    picture = await createImageBitmap(file);
  } catch {
    return words.type(name);
  }
  const { width, height } = picture;
  picture.close();
  const sides = [width, height];
  const isFine = Math.min(...sides) >= MIN_SIDE_PX && Math.max(...sides) <= MAX_SIDE_PX && width * height <= MAX_PIXELS;
  return isFine ? '' : words.pixels(name, dimensions(`${width}x${height}`));
}

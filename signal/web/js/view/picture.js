// A picture in its frame, cropped towards what was seen, with a box drawn around it.
import { h } from './dom.js';

/**
 * @param {[number, number, number, number] | null} box x, y, w, h in 0..1 of the picture
 * @param {string} alt
 * @param {boolean} whole shows all of the picture instead of filling the frame
 */
export function picture(box, alt, whole = false) {
  const image = h('img', { alt, decoding: 'async', draggable: 'false' });
  const mark = h('span', { class: 'mark', 'aria-hidden': 'true' });
  const inner = h('span', { class: 'inner' }, image, mark);
  const element = h('span', { class: whole ? 'frame whole' : 'frame' }, inner);
  draw(mark, box);
  image.addEventListener('load', () => {
    fit(element, inner, image, box);
    element.classList.add('loaded');
    element.querySelector('.missing')?.remove();
  });
  return {
    element,
    /** Shows what is at `url`; null keeps the empty frame. */
    show(url) {
      if (url && image.src !== url) image.src = url;
    },
    /** Moves the box. */
    mark(next) {
      box = next;
      draw(mark, box);
      if (image.naturalWidth) fit(element, inner, image, box);
    },
    /** Says that there is no picture to be had now. */
    miss(why) {
      if (image.src || element.querySelector('.missing')) return;
      element.append(h('span', { class: 'missing' }, why));
    },
  };
}

function draw(mark, box) {
  mark.hidden = !box || box[2] <= 0 || box[3] <= 0 || (box[2] > 0.98 && box[3] > 0.98);
  if (mark.hidden) return;
  const [x, y, w, height] = box.map((value) => Math.min(1, Math.max(0, value)) * 100);
  Object.assign(mark.style, { left: `${x}%`, top: `${y}%`, width: `${w}%`, height: `${height}%` });
}

/** Lets the picture cover its frame, moved so that the box stays in sight. */
function fit(element, inner, image, box) {
  const ratio = image.naturalWidth / image.naturalHeight;
  inner.style.aspectRatio = String(ratio);
  if (element.classList.contains('whole')) {
    element.style.setProperty('--ratio', String(ratio));
    return;
  }
  const frame = 4 / 3;
  const wide = ratio >= frame;
  const [x, y] = box ? [box[0] + box[2] / 2, box[1] + box[3] / 2] : [0.5, 0.5];
  const over = wide ? ratio / frame : frame / ratio;
  const shift = Math.min(over - 1, Math.max(0, (wide ? x : y) * over - 0.5)) * -100;
  Object.assign(inner.style, {
    width: wide ? 'auto' : '100%',
    height: wide ? '100%' : 'auto',
    left: wide ? `${shift}%` : '0',
    top: wide ? '0' : `${shift}%`,
  });
}

// Elements in one call. Text is text: nothing here parses HTML.

/**
 * Makes an element. `on…` functions listen, `class` and `test` (data-testid) are short forms, true and false toggle,
 * null leaves out; anything else is an attribute.
 * @param {string} tag
 * @param {Record<string, any>} [properties]
 * @param {...any} children nodes, text, lists of them; null and false are left out
 */
export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) set(element, name, value);
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** Sets one property as `h` does. */
export function set(element, name, value) {
  if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
  else if (name === 'class') element.className = value;
  else if (name === 'test') element.dataset.testid = value;
  else if (typeof value === 'boolean') element.toggleAttribute(name, value);
  else if (value !== null && value !== undefined) element.setAttribute(name, value);
}

/** Sets text only where it differs, so that screen readers are not told twice. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Brings `parent`'s children into the order of `nodes`, touching only what moved. */
export function arrange(parent, nodes) {
  const wanted = new Set(nodes);
  for (const child of [...parent.children]) if (!wanted.has(child)) child.remove();
  let at = parent.firstElementChild;
  for (const node of nodes) {
    if (node === at) at = at.nextElementSibling;
    else parent.insertBefore(node, at);
  }
}
